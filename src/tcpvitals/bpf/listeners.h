/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Who listens, in every network namespace: read once at start, from every task's open files. */
#ifndef TCPVITALS_LISTENERS_H
#define TCPVITALS_LISTENERS_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "sockets.h"

enum bpf_func_id___listeners {
	BPF_FUNC_sock_from_file___listeners = 1,
};

#define HAVE_SOCK_FROM_FILE                                      \
	bpf_core_enum_value_exists(enum bpf_func_id___listeners, \
	                           BPF_FUNC_sock_from_file___listeners)

static __always_inline void note_listener(__u32 netns_inode, __u16 port)
{
	struct listener listener = {.netns_inode = netns_inode, .port = port};
	enum role role = ROLE_SERVER;

	bpf_map_update_elem(&listeners, &listener, &role, BPF_ANY);
}

/* bpf_sock_from_file came with 5.11, and bpf_skc_to_tcp_sock tells TCP from the rest: a listening
 * Unix socket has the same state number. */
static __always_inline void note_file(struct file *file)
{
	struct socket *socket = bpf_sock_from_file(file);
	struct sock *sk;

	if (!socket)
		return;
	sk = socket->sk;
	if (!sk || !bpf_skc_to_tcp_sock(sk) || sk->__sk_common.skc_state != TCP_LISTEN)
		return;
	note_listener(sk->__sk_common.skc_net.net->ns.inum, sk->__sk_common.skc_num);
}

/* A file whose inode is a socket's is one of sockfs: a socket in a directory cannot be opened. */
static __always_inline void note_file_before_5_11(struct file *file)
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
	    BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP ||
	    BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_LISTEN)
		return;
	note_listener(BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum),
	              BPF_CORE_READ(sk, __sk_common.skc_num));
}

SEC("iter/task_file")
int find_listeners(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;

	if (!file)
		return 0;
	if (HAVE_SOCK_FROM_FILE)
		note_file(file);
	else
		note_file_before_5_11(file);
	return 0;
}

#endif
