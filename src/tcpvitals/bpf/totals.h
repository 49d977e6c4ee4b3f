/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* What was sent and sent again, from the kernel's own counters of each socket.
 *
 * A socket remembers what of its counters is already in the totals, and whoever looks at it next
 * adds the rest: a retransmission, the synchronising iterator, its close.  The others hold the
 * socket, but the iterator may meet any of them: each exchanges what is remembered for what it has
 * read, and adds the difference, so that all steps together are what the last one read, whatever
 * their order.  A step back, when the iterator comes last with what it read first, is made good by
 * the next; and after the close, when there is no next, by the iterator itself. */
#ifndef TCPVITALS_TOTALS_H
#define TCPVITALS_TOTALS_H

#include "counters.h"
#include "flows.h"
#include "lives.h"
#include "namespaces.h"
#include "places.h"
#include "tcp_reading.h"
#include "timeouts.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before load: one for each slot */
	__type(key, __u32);
	__type(value, struct retrans_counters);
} retrans_counters SEC(".maps");

/* Connections that are open, by slot: user space zeroes them, and the iterator counts anew. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before load, as above */
	__type(key, __u32);
	__type(value, __u64);
} live SEC(".maps");

static __always_inline bool read_totals(struct sock *sk, struct accounted *now, bool direct)
{
	struct tcp_sock *tp = direct ? tcp_sock_of(sk) : (struct tcp_sock *)sk;

	if (!tp)
		return false;
	now->bytes_sent = FIELD(direct, tp, bytes_sent);
	now->bytes_retrans = FIELD(direct, tp, bytes_retrans);
	now->data_segs_out = FIELD(direct, tp, data_segs_out);
	now->total_retrans = FIELD(direct, tp, total_retrans);
	now->dsack_dups = FIELD(direct, tp, dsack_dups);
	return true;
}

/* From here on, whatever the socket did before. */
static __always_inline void begin_totals(struct sock *sk, struct socket_state *state, bool direct)
{
	struct accounted now = {};

	if (!read_totals(sk, &now, direct))
		return;
	state->accounted = now;
	state->timeouts = read_timeouts(sk, direct);
	state->event_retrans = now.total_retrans;
	state->accounted_known = 1;
	leave_out(now.total_retrans);
	begin_life(state);
}

/* What total_retrans began with, `retrans`, is no retransmission of the socket's own. */
static __always_inline void leave_out_synacks(struct socket_state *state, __u32 retrans,
                                              __u64 timeouts)
{
	state->handshake = 0;
	state->accounted.total_retrans = retrans;
	state->event_retrans = retrans;
	state->timeouts = timeouts;
}

/* A listener sends no data; and until the handshake of a connection that it accepts ends,
 * total_retrans holds SYN-ACKs.  When both ends connect at once (RFC 9293, 3.5), the socket goes
 * through SYN_RECV, too, and retransmits there as any other. */
static __always_inline bool is_connected(const struct socket_state *state, __u8 tcp_state)
{
	return tcp_state != TCP_LISTEN && (tcp_state != TCP_SYN_RECV || !state->handshake);
}

static __always_inline struct retrans_counters *counters_of_slot(__u32 slot)
{
	return bpf_map_lookup_elem(&retrans_counters, &slot);
}

static __always_inline bool is_placed(const struct socket_state *state)
{
	struct group *group;
	__u32 slot = state->slot;

	if (slot == SLOT_UNRESOLVED)
		return false;
	if (slot == SLOT_REJECTED || !settings.key_parts)
		return true;
	group = bpf_map_lookup_elem(&groups, &slot);
	return group && group->generation == state->generation;
}

/* Nobody's counters when the filters do not want the socket or nobody counts groups. */
static __always_inline __u32 totals_slot(struct sock *sk, struct socket_state *state, bool direct)
{
	__u32 slot;

	if (!settings.count_totals)
		return SLOT_UNRESOLVED;
	if (state && is_placed(state))
		slot = state->slot;
	else
		slot = direct ? place_socket(sk, state) : find_socket_place(sk, state, false);
	return slot == SLOT_REJECTED ? SLOT_UNRESOLVED : slot;
}

static __always_inline void add_step(struct retrans_counters *to, const struct accounted *step)
{
	__sync_fetch_and_add(&to->segments_sent, (__s32)step->data_segs_out);
	__sync_fetch_and_add(&to->segments_retransmitted, (__s32)step->total_retrans);
	__sync_fetch_and_add(&to->segments_unnecessary, (__s32)step->dsack_dups);
	__sync_fetch_and_add(&to->bytes_sent, step->bytes_sent);
	__sync_fetch_and_add(&to->bytes_retransmitted, step->bytes_retrans);
	if (step->timeouts)
		__sync_fetch_and_add(&to->timeouts, (__s32)step->timeouts);
}

/* Exchanges what is remembered for `now`, which becomes the difference. */
static __always_inline void take_step(struct accounted *accounted, struct accounted *now)
{
	now->data_segs_out -= EXCHANGE(&accounted->data_segs_out, now->data_segs_out);
	now->total_retrans -= EXCHANGE(&accounted->total_retrans, now->total_retrans);
	now->dsack_dups -= EXCHANGE(&accounted->dsack_dups, now->dsack_dups);
	now->bytes_sent -= EXCHANGE(&accounted->bytes_sent, now->bytes_sent);
	now->bytes_retrans -= EXCHANGE(&accounted->bytes_retrans, now->bytes_retrans);
}

static __always_inline bool is_nothing(const struct accounted *step)
{
	return !(step->data_segs_out | step->total_retrans | step->dsack_dups | step->bytes_sent |
	         step->bytes_retrans | step->timeouts);
}

/* Bring the totals up to what the socket's own counters say; how many segments more it sent again.
 */
static __always_inline __s32 settle_step(struct sock *sk, struct socket_state *state, bool timeout,
                                         bool direct)
{
	struct retrans_counters *to;
	struct accounted step = {};

	__s32 timeouts = 0;

	if (!read_totals(sk, &step, direct))
		return 0;
	if (state->handshake) /* its end was not seen: how many are SYN-ACKs is not known yet */
		step.total_retrans = state->accounted.total_retrans;
	else
		timeouts = step_of_timeouts(sk, state, timeout, direct);
	take_step(&state->accounted, &step);
	step.timeouts = timeouts;
	if (is_nothing(&step))
		return 0;
	to = counters_of_slot(totals_slot(sk, state, direct));
	if (to)
		add_step(to, &step);
	to = settings.count_namespaces ? namespace_totals(&sk->__sk_common, direct) : NULL;
	if (to)
		add_step(to, &step);
	return step.total_retrans;
}

static __noinline int settle_socket(struct sock *sk, struct socket_state *state, bool timeout)
{
	if (!settings.count_totals && !settings.count_namespaces)
		return 0;
	if (!is_connected(state, sk->__sk_common.skc_state))
		return 0;
	if (state->accounted_known)
		return settle_step(sk, state, timeout, true);
	begin_totals(sk, state, true);
	return 0;
}

/* The flow's in a call of its own: the stacks of both are more than 5.10 allows. */
static __always_inline void settle_at(struct sock *sk, struct socket_state *state, bool timeout)
{
	__s32 again = settle_socket(sk, state, timeout);

	if (settings.flow_ports && again)
		count_flow(sk, state, again);
}

static __always_inline void settle(struct sock *sk, struct socket_state *state)
{
	settle_at(sk, state, false);
}

#endif
