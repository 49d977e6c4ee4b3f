/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Connection requests that were answered more than once.
 *
 * A request has no socket, so that its SYN-ACKs are counted at their events.  It counts them
 * itself, too, and its timeouts: where an event was not seen, the next one tells, or the connection
 * that the request becomes, whose total_retrans begins with them (and total_rto, from 6.7 on). */
#ifndef TCPVITALS_HANDSHAKES_H
#define TCPVITALS_HANDSHAKES_H

#include "totals.h"

#define HANDSHAKES_BITS 14
#define HANDSHAKES (1 << HANDSHAKES_BITS)
/* So many take half a year. */
#define MANY 24

/* What was counted of a request. */
struct handshake {
	__u64 ends; /* the hash of its two ends, 0 for none */
	__u32 retransmitted;
	__u32 timeouts;
};

/* Each has its one place; of two that fall on the same, the older is forgotten: of that one, what
 * is not seen stays unknown. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HANDSHAKES); /* 1 where retransmissions are not counted */
	__type(key, __u32);
	__type(value, struct handshake);
} handshakes SEC(".maps");

/* User space writes when it began to count, in seconds of boot time. */
__u32 counting_since_s = 0;

/* What is to be added of one request. */
struct synacks {
	__u32 retransmitted;
	__u32 timeouts;
	__u32 timed_out; /* 1 at its first timeout */
	__u32 late;      /* 1 if it became a connection after that */
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

/* Whether a request that has come so far must have begun after we did: its timer waits for 1 s at
 * first, and then for twice as long each time. */
static __always_inline bool is_ours(__u32 retransmitted, __u32 timeouts)
{
	__u32 age_s = bpf_ktime_get_boot_ns() / 1000000000 - counting_since_s;
	__u32 turns = retransmitted > timeouts ? retransmitted : timeouts;

	return counting_since_s && turns < MANY && age_s > 2u << turns;
}

/* Where nothing is known of a request, what it had before this event is taken as counted, unless
 * its place is free and it is not older than we are: then all its events were missed. */
static __always_inline void begin_handshake(struct handshake *known, __u64 hash,
                                            __u32 retransmitted, __u32 timeouts)
{
	bool missed = !known->ends && is_ours(retransmitted, timeouts);

	known->ends = hash;
	known->retransmitted = missed ? 0 : retransmitted;
	known->timeouts = missed ? 0 : timeouts;
}

/* A SYN-ACK was retransmitted, at the request's timer or because the SYN came again. */
static __always_inline void on_request(struct request_sock *request, const struct endpoints *ends,
                                       bool by_timer, struct synacks *step)
{
	__u32 retransmitted = request->num_retrans; /* without this one */
	__u32 timeouts = BPF_CORE_READ_BITFIELD(request, num_timeout);
	__u64 hash = hash_of(ends);
	struct handshake *known = place_of(hash);
	bool fresh;

	step->retransmitted = 1;
	step->timeouts = by_timer;
	if (!known)
		return;
	fresh = known->ends != hash || !retransmitted;
	if (fresh)
		begin_handshake(known, hash, retransmitted, timeouts);
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
	} else if (known->ends || !is_ours(retransmitted, timeouts)) {
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

/* A handshake that we answered ends.  What total_retrans holds so far are SYN-ACKs, and total_rto
 * their timeouts: as a rule both are 0. */
static __noinline int end_handshake(struct sock *sk, struct socket_state *state)
{
	struct tcp_sock *tp = tcp_sock_of(sk);
	struct synacks step = {};
	__u32 timeouts = 0;

	if (!tp)
		return 0;
	if (HAVE_TOTAL_RTO)
		timeouts = tp->total_rto;
	state->handshake = 1;
	state->accounted_known = 1;
	begin_life(state);
	leave_out_synacks(state, tp->total_retrans, read_timeouts(sk, true));
	if (!tp->total_retrans && !timeouts)
		return 0;
	on_answer(sk, tp->total_retrans, timeouts, &step);
	count_synacks(sk, totals_slot(sk, state, true), &step);
	if (settings.flow_ports && step.retransmitted)
		count_flow(sk, state, step.retransmitted);
	return 0;
}

#endif
