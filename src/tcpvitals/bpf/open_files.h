/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Every task's open files: who listens, and whose each socket is.
 *
 * User space runs a pass at start, and again when there are new sockets.  Of several processes that
 * hold a socket the first one seen, which has the lowest process id, is its owner. */
#ifndef TCPVITALS_OPEN_FILES_H
#define TCPVITALS_OPEN_FILES_H

#include "totals.h"

/* User space writes the number of the pass it is about to run. */
__u32 pass = 0;
/* Sockets that were accepted, whose owner is only inherited: what the next pass is for. */
__u32 accepted = 0;

enum bpf_func_id___open_files {
	BPF_FUNC_sock_from_file___open_files = 1,
};

#define HAVE_SOCK_FROM_FILE                                       \
	bpf_core_enum_value_exists(enum bpf_func_id___open_files, \
	                           BPF_FUNC_sock_from_file___open_files)

static __always_inline void note_listener(__u32 netns_inode, __u16 port, const struct owner *owner)
{
	struct listener listener = {.netns_inode = netns_inode, .port = port};
	struct listening listening = {.role = ROLE_SERVER, .owner_pass = pass}, *known;

	known = bpf_map_lookup_elem(&listeners, &listener);
	if (known && known->owner_pass == pass && known->owner.tgid)
		return;
	if (owner)
		listening.owner = *owner;
	bpf_map_update_elem(&listeners, &listener, &listening, BPF_ANY);
}

static __always_inline void note_owner(struct sock *sk, const struct owner *owner, bool direct)
{
	struct socket_state *state = find_or_add_socket(sk);

	if (!state)
		return;
	if (!state->accounted_known)
		begin_totals(sk, state, direct);
	if (FIELD(direct, sk, __sk_common.skc_state) == TCP_LISTEN)
		state->handshake = 1; /* what it accepts begins with a copy of this */
	if (state->owner_pass == pass)
		return;
	state->owner_pass = pass;
	set_owner(state, owner);
}

/* bpf_skc_to_tcp_sock tells TCP from the rest: a listening Unix socket has the same state number.
 */
static __always_inline void note_file(struct file *file, const struct owner *owner)
{
	struct socket *socket = bpf_sock_from_file(file);
	struct sock *sk;

	if (!socket)
		return;
	sk = socket->sk;
	if (!sk || !bpf_skc_to_tcp_sock(sk))
		return;
	if (sk->__sk_common.skc_state == TCP_LISTEN)
		note_listener(sk->__sk_common.skc_net.net->ns.inum, sk->__sk_common.skc_num, owner);
	if (settings.need_owner)
		note_owner(sk, owner, true);
}

/* Nobody uses it: it takes the layout of what is printed into the object's BTF. */
const struct netns_task *netns_task;

/* Prints every namespace that a process is in, and that process: user space need not be permitted
 * to look at either. */
SEC("iter/task")
int visit_namespaces(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct netns_task found = {};
	struct nsproxy *nsproxy;
	struct net *net;

	if (!task || task->pid != task->tgid)
		return 0;
	nsproxy = task->nsproxy;
	if (!nsproxy) /* it has ended */
		return 0;
	net = nsproxy->net_ns;
	found.tgid = task->tgid;
	found.inode = net->ns.inum;
	found.cookie = cookie_of(net, true);
	bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	return 0;
}

/* bpf_sock_from_file came with 5.11.  A file whose inode is a socket's is one of sockfs: a socket
 * in a directory cannot be opened. */
static __always_inline void note_file_before_5_11(struct file *file, const struct owner *owner)
{
	struct socket *socket;
	struct sock *sk;
	__u16 family;

	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return;
	socket = BPF_CORE_READ(file, private_data);
	sk = socket ? BPF_CORE_READ(socket, sk) : NULL;
	if (!sk)
		return;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if ((family != AF_INET && family != AF_INET6) ||
	    BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return;
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN)
		note_listener(BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum),
		              BPF_CORE_READ(sk, __sk_common.skc_num), owner);
	if (settings.need_owner && !settings.socket_storage)
		note_owner(sk, owner, false);
}

SEC("iter/task_file")
int visit_open_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct owner owner = {};

	if (!file || !task)
		return 0;
	owner.tgid = task->tgid;
	copy_comm(&owner, task->group_leader);
	if (HAVE_SOCK_FROM_FILE)
		note_file(file, &owner);
	else
		note_file_before_5_11(file, &owner);
	return 0;
}

#endif
