/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Connection requests that were answered more than once.
 *
 * A request has no socket, so that its SYN-ACKs are counted at their events.  It counts them
 * itself, too, and its timeouts: where an event was not seen, the next one tells, or the connection
 * that the request becomes, whose total_retrans begins with them (and total_rto, from 6.7 on).
 *
 * Where the end of the handshake was not seen either, the connection's next event tells.  By then
 * total_retrans may hold segments of its own that were not seen: these have no cause. */
#ifndef TCPVITALS_HANDSHAKES_H
#define TCPVITALS_HANDSHAKES_H

#include "totals.h"

#define HANDSHAKES_BITS 14
#define HANDSHAKES (1 << HANDSHAKES_BITS)
/* So many take half a year. */
#define MANY 24

/* What was counted of a request. */
struct handshake {
	__u64 ends;        /* the hash of its two ends, 0 for none */
	__u32 sent_number; /* the initial sequence number of its SYN-ACKs: each request's own */
	__u32 retransmitted;
	__u32 timeouts;
	__u32 taken_s; /* when it took the place of another, as in counted_s() */
};

/* Each has its one place; of two that fall on the same, the older is forgotten: of that one, what
 * is not seen stays unknown. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HANDSHAKES); /* 1 where retransmissions are not counted */
	__type(key, __u32);
	__type(value, struct handshake);
} handshakes SEC(".maps");

/* What is to be added of one request. */
struct synacks {
	__u32 retransmitted;
	__u32 timeouts;
	__u32 timed_out;    /* 1 at its first timeout */
	__u32 late;         /* 1 if it became a connection after that */
	__u32 unattributed; /* SYN-ACKs, or segments of the connection that it became */
	bool unknown;       /* it may have begun before we did: nothing is added */
};

static __always_inline __u64 hash_of(const struct endpoints *ends)
{
	const __u32 *words = (const __u32 *)ends;
	__u64 hash = 0xcbf29ce484222325;

#pragma unroll
	for (unsigned int i = 0; i < sizeof(*ends) / sizeof(*words); i++)
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15;
	return hash | 1;
}

static __always_inline struct handshake *place_of(__u64 hash)
{
	__u32 place = hash >> (64 - HANDSHAKES_BITS);

	return bpf_map_lookup_elem(&handshakes, &place);
}

/* For how long we have counted. */
static __always_inline __u32 counted_s(void)
{
	__s32 counted = bpf_ktime_get_boot_ns() / 1000000000 - counting_since_s;

	return counting_since_s && counted > 0 ? counted : 0;
}

/* Whether a request of which nothing is at its place must have begun after we did, and after
 * another one took the place: then all its events were missed.  Its timer waits for 1 s at first,
 * and then for twice as long each time. */
static __always_inline bool is_ours(const struct handshake *known, __u32 retransmitted,
                                    __u32 timeouts)
{
	__u32 turns = retransmitted > timeouts ? retransmitted : timeouts;

	return turns < MANY && counted_s() > known->taken_s + (2u << turns);
}

/* Where nothing is known of a request, what it had before this event is taken as counted, unless it
 * is ours. */
static __always_inline void begin_handshake(struct handshake *known, __u64 hash,
                                            __u32 retransmitted, __u32 timeouts)
{
	bool missed = is_ours(known, retransmitted, timeouts);

	known->ends = hash;
	known->taken_s = counted_s();
	known->retransmitted = missed ? 0 : retransmitted;
	known->timeouts = missed ? 0 : timeouts;
}

/* A SYN-ACK was retransmitted, at the request's timer or because the SYN came again.  Both may be
 * at once, on two CPUs: then both see the same numbers, and the request counts two. */
static __always_inline void on_request(struct request_sock *request, const struct endpoints *ends,
                                       bool by_timer, struct synacks *step)
{
	__u32 retransmitted = request->num_retrans; /* without this one */
	__u32 timeouts = BPF_CORE_READ_BITFIELD(request, num_timeout);
	__u64 hash = hash_of(ends);
	struct handshake *known = place_of(hash);
	__u32 number = BPF_CORE_READ((struct tcp_request_sock *)request, snt_isn);
	bool fresh;

	step->retransmitted = 1;
	step->timeouts = by_timer;
	if (!known)
		return;
	fresh = known->ends != hash || known->sent_number != number;
	if (fresh) {
		known->sent_number = number;
		begin_handshake(known, hash, retransmitted, timeouts);
	}
	if (retransmitted > known->retransmitted)
		step->retransmitted += retransmitted - known->retransmitted;
	if (timeouts > known->timeouts)
		step->timeouts += timeouts - known->timeouts;
	step->timed_out = timeouts + by_timer && (fresh || !known->timeouts);
	__sync_fetch_and_add(&known->retransmitted, step->retransmitted);
	__sync_fetch_and_add(&known->timeouts, step->timeouts);
}

/* A request became a connection: what it had that no event told, and that it is no longer waiting.
 */
static __noinline int on_answer(struct sock *sk, __u32 retransmitted, __u32 timeouts,
                                struct synacks *step)
{
	struct handshake *known, before = {};
	struct endpoints ends = {};
	__u64 hash;

	read_socket_ends(sk, &ends, true);
	hash = hash_of(&ends);
	known = place_of(hash);
	if (!known)
		return 0;
	if (known->ends == hash) {
		before = *known;
		known->ends = 0;
	} else if (!is_ours(known, retransmitted, timeouts)) {
		step->unknown = true;
		return 0;
	}
	step->late = before.timeouts > 0;
	if (retransmitted > before.retransmitted)
		step->retransmitted = retransmitted - before.retransmitted;
	if (timeouts > before.timeouts)
		step->timeouts = timeouts - before.timeouts;
	return 0;
}

static __always_inline void add_synacks(struct retrans_counters *to, const struct synacks *step)
{
	__sync_fetch_and_add(&to->segments_retransmitted, step->retransmitted);
	__sync_fetch_and_add(&to->segments_control, step->retransmitted);
	__sync_fetch_and_add(&to->by_cause[CAUSE_SYNACK], step->retransmitted);
	if (step->unattributed)
		__sync_fetch_and_add(&to->segments_retransmitted, step->unattributed);
	if (step->timeouts)
		__sync_fetch_and_add(&to->timeouts, step->timeouts);
	if (step->timed_out)
		__sync_fetch_and_add(&to->handshakes_timed_out, 1);
	if (step->late)
		__sync_fetch_and_add(&to->handshakes_late, 1);
}

static __noinline int count_synacks(struct sock *sk, __u32 slot, const struct synacks *step)
{
	struct retrans_counters *to = counters_of_slot(slot);

	if (to)
		add_synacks(to, step);
	to = settings.count_namespaces ? namespace_totals(&sk->__sk_common, true) : NULL;
	if (to)
		add_synacks(to, step);
	return 0;
}

/* What total_retrans and total_rto began with is counted but for what its events told. */
static __noinline int count_answer(struct sock *sk, struct socket_state *state, __u32 retransmitted,
                                   __u32 timeouts, bool late)
{
	struct synacks step = {};

	on_answer(sk, retransmitted, timeouts, &step);
	if (late && step.unknown) {
		__sync_fetch_and_add(&lives.left_out, retransmitted);
		__sync_fetch_and_add(&lives.timeouts_left_out, timeouts);
		return 0;
	}
	if (late) {
		step.unattributed = step.retransmitted;
		step.retransmitted = 0;
	}
	count_synacks(sk, totals_slot(sk, state, true), &step);
	if (settings.flow_ports && step.retransmitted + step.unattributed)
		count_flow(sk, state, step.retransmitted + step.unattributed);
	return 0;
}

/* A handshake that we answered ends.  What total_retrans holds so far are SYN-ACKs, and total_rto
 * their timeouts: as a rule both are 0. */
static __always_inline void end_handshake(struct sock *sk, struct socket_state *state,
                                          __u32 retransmitted, __u32 timed_out, bool late)
{
	struct tcp_sock *tp = tcp_sock_of(sk);
	__u32 timeouts = 0;

	if (!tp)
		return;
	retransmitted = tp->total_retrans - retransmitted;
	if (HAVE_TOTAL_RTO)
		timeouts = tp->total_rto - timed_out;
	state->accounted_known = 1;
	begin_life(state);
	leave_out_synacks(state, retransmitted, read_timeouts(sk, true) - timed_out);
	if (retransmitted || timeouts)
		count_answer(sk, state, retransmitted, timeouts, late);
}

/* Its end was not seen; now something else is: `retransmitted` segments, `timed_out` if that was at
 * a timeout. */
static __always_inline void end_handshake_late(struct sock *sk, struct socket_state *state,
                                               __u32 retransmitted, bool timed_out)
{
	if (state->handshake && is_connected(state, sk->__sk_common.skc_state))
		end_handshake(sk, state, retransmitted, timed_out, true);
}

#endif
