/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Bringing the totals of all live sockets up to date, and counting those that are open. */
#ifndef TCPVITALS_SETTLING_H
#define TCPVITALS_SETTLING_H

#include "totals.h"

/* What has closed is settled, and its counters may be on their way back to 0 for a new connection.
 */
static __always_inline bool may_settle(const struct socket_state *state)
{
	return state->accounted_known && !state->closed;
}

/* What the kernel counts as CurrEstab. */
static __always_inline void note_live(struct sock *sk, struct socket_state *state, __u8 tcp_state,
                                      bool direct)
{
	__u64 *count;
	__u32 slot;

	if (!settings.count_live || (tcp_state != TCP_ESTABLISHED && tcp_state != TCP_CLOSE_WAIT))
		return;
	slot = totals_slot(sk, state, direct);
	count = bpf_map_lookup_elem(&live, &slot);
	if (count && slot != SLOT_UNRESOLVED)
		__sync_fetch_and_add(count, 1);
}

static __always_inline void settle_live(struct sock *sk, struct socket_state *state)
{
	bool first = is_met_first(state, sk->__sk_common.skc_state);

	mark_namespace(&sk->__sk_common, true);
	if (!may_settle(state))
		return;
	settle(sk, state);
	if (state->closed) /* it closed while we were at it: ours may have been the older reading */
		settle(sk, state);
	else if (first)
		note_live(sk, state, sk->__sk_common.skc_state, true);
}

/* Every socket, wherever it is. */
SEC("iter/bpf_sk_storage_map")
int settle_sockets(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct socket_state *state = ctx->value;
	struct sock *sk = ctx->sk;

	if (sk && state)
		settle_live(sk, state);
	return 0;
}

/* What the one above may do to a kernel is worse than not to meet every socket.  It reads an
 * element's pointer to its socket's storages, which is null
 *  - from 7.0 on, when the socket is destroyed at that moment (bpf_selem_unlink_nofail);
 *  - in any kernel, when the element is added at that moment to a socket that has other storages
 *    (bpf_local_storage_update links it to the map first).
 * Where one of these can be, or the kernel refuses it to us, two others together meet the sockets
 * that a process holds, in any namespace, and all of our own namespace.  Those of other namespaces
 * that no process holds (not accepted yet, closed by their process, or the kernel's own) are
 * settled by their own events. */
SEC("iter/tcp")
int settle_own_namespace(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct socket_state *state;
	struct tcp_sock *tp;

	if (!common)
		return 0;
	tp = bpf_skc_to_tcp_sock(common); /* null for a request, and for TIME_WAIT */
	if (!tp)
		return 0;
	state = find_socket((struct sock *)tp);
	if (state)
		settle_live((struct sock *)tp, state);
	return 0;
}

SEC("iter/task_file")
int settle_open_files(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct socket_state *state;
	struct socket *socket;
	struct sock *sk;

	if (!file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || !bpf_skc_to_tcp_sock(sk))
		return 0;
	state = find_socket(sk);
	if (state)
		settle_live(sk, state);
	return 0;
}

/* Prints the id of every map of socket storages that there is, other programs' included. */
SEC("iter/bpf_map")
int visit_socket_storages(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;
	__u32 id;

	if (!map || map->map_type != BPF_MAP_TYPE_SK_STORAGE)
		return 0;
	id = map->id;
	bpf_seq_write(ctx->meta->seq, &id, sizeof(id));
	return 0;
}

/* For kernels whose tracing programs cannot use sk_storage.  The socket may be gone while we look,
 * and another one in its place: one that is closed is left alone. */
SEC("iter/bpf_map_elem")
int settle_sockets_by_pointer(struct bpf_iter__bpf_map_elem *ctx)
{
	struct socket_state *state = ctx->value;
	__u64 *pointer = ctx->key;
	struct sock *sk;
	__u8 tcp_state;
	__s32 again;
	bool first;

	if (!pointer || !state)
		return 0;
	sk = (struct sock *)*pointer;
	mark_namespace(&sk->__sk_common, false);
	tcp_state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (tcp_state == TCP_CLOSE)
		return 0;
	first = is_met_first(state, tcp_state);
	if (!may_settle(state) || !is_connected(state, tcp_state))
		return 0;
	again = settle_step(sk, state, false, false);
	if (settings.flow_ports && again)
		count_flow_indirectly(sk, state, again);
	if (first)
		note_live(sk, state, tcp_state, false);
	return 0;
}

#endif
