/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* A histogram of round-trip times for each group of sockets, one sample at a received segment.
 *
 * One handler under two hooks that fire at the same place: the top of tcp_rcv_established, before
 * the segment's ACK is looked at, so what we read is what the ACK before it left. */
#include "kernel_types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "counters.h"
#include "filters.h"
#include "groups.h"
#include "listeners.h"
#include "sockets.h"
#include "tcp_reading.h"

SEC("license")
char LICENSE[] = "Dual MIT/GPL";

static __always_inline __u8 role_of(struct socket_state *state, const struct endpoints *ends)
{
	if (state && state->role)
		return state->role;
	return role_by_listener(ends);
}

/* A socket's first segment, or the first since its slot was taken back: find where it belongs. */
static __noinline __u32 place_socket(struct sock *sk, struct socket_state *state)
{
	struct group_place place = {.slot = SLOT_FIRST};
	struct endpoints ends = {};
	struct group_key key = {};
	__u8 role = ROLE_UNKNOWN;

	read_endpoints(sk, &ends);
	if (!wants_socket(&ends)) {
		place.slot = SLOT_REJECTED;
	} else if (settings.key_parts) {
		if (settings.need_role)
			role = role_of(state, &ends);
		make_key(&key, sk, &ends, role);
		place_of_key(&key, &place);
	}
	if (state) {
		state->generation = place.generation;
		state->slot = place.slot;
	}
	return place.slot;
}

/* False when there is no new sample: nothing was delivered since the last one. */
static __always_inline bool is_new_sample(struct socket_state *state, __u32 delivered)
{
	struct losses *lost;
	bool is_new;

	if (!state) {
		lost = losses_here();
		if (lost)
			__sync_fetch_and_add(&lost->socket_state, 1);
		return false;
	}
	is_new = state->delivered_known && state->delivered != delivered;
	state->delivered = delivered;
	state->delivered_known = 1;
	return is_new;
}

/* The sample at this segment, in microseconds; false when there is none. */
static __always_inline bool take_sample(struct sock *sk, struct socket_state *state,
                                        __u32 *value_us)
{
	struct tcp_reading now;

	if (!read_tcp(sk, &now))
		return false;
	if (settings.sample == SAMPLE_SRTT) {
		*value_us = now.srtt_us;
		return true;
	}
	if (settings.sample == SAMPLE_MIN) {
		*value_us = now.min_us;
		return now.min_us != ~0U;
	}
	*value_us = now.rtt_us;
	if (settings.sample == SAMPLE_INFLATION)
		*value_us = now.rtt_us > now.min_us ? now.rtt_us - now.min_us : 0;
	return is_new_sample(state, now.delivered) && now.rtt_us;
}

static __always_inline int count(struct sock *sk, struct socket_state *state,
                                 struct rtt_counters *to, __u32 slot)
{
	__u32 value_us;

	if (to && take_sample(sk, state, &value_us))
		add_sample(to, slot, value_us);
	return 0;
}

/* Out of the way of the sockets whose place is known. */
static __noinline int place_and_count(struct sock *sk, struct socket_state *state)
{
	__u32 slot = place_socket(sk, state);

	return slot == SLOT_REJECTED ? 0 : count(sk, state, counters_of(slot), slot);
}

static __always_inline int count_group(struct sock *sk)
{
	struct socket_state *state = find_or_add_socket(sk);
	struct rtt_counters *to;
	__u32 slot;

	if (!state)
		return place_and_count(sk, state);
	slot = state->slot;
	if (slot == SLOT_REJECTED)
		return 0;
	to = counters_of(slot);
	if (slot == SLOT_UNRESOLVED || !to || to->generation != state->generation)
		return place_and_count(sk, state);
	return count(sk, state, to, slot);
}

static __always_inline int on_segment(struct sock *sk)
{
	return settings.per_socket ? count_group(sk)
	                           : count(sk, NULL, counters_of(SLOT_FIRST), SLOT_FIRST);
}

SEC("fentry/tcp_rcv_established")
int BPF_PROG(rtt_fentry, struct sock *sk)
{
	return on_segment(sk);
}

SEC("tp_btf/tcp_probe")
int BPF_PROG(rtt_tp_btf, struct sock *sk)
{
	return on_segment(sk);
}

/* A connect begins: all that we knew of this socket was of a connection before. */
static __always_inline void on_connect(struct sock *sk)
{
	struct socket_state *state = find_or_add_socket(sk);

	if (state)
		*state = (struct socket_state){.role = ROLE_CLIENT};
}

/* A handshake that we answered ends: a server, unless both ends had called (RFC 9293, 3.5). */
static __always_inline void on_accept(struct sock *sk)
{
	struct socket_state *state = find_or_add_socket(sk);

	if (state && !state->role)
		state->role = ROLE_SERVER;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(role_by_state, struct sock *sk, int old_state, int new_state)
{
	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (new_state == TCP_SYN_SENT)
		on_connect(sk);
	if (!settings.need_role)
		return 0;
	if (old_state == TCP_SYN_RECV && new_state == TCP_ESTABLISHED)
		on_accept(sk);
	if (new_state == TCP_LISTEN)
		note_listener(sk->__sk_common.skc_net.net->ns.inum, sk->__sk_common.skc_num);
	return 0;
}

/* Only for the stand-in: sk_storage goes with its socket. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(socket_gone, struct sock *sk)
{
	forget_socket(sk);
	return 0;
}
