/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* A histogram of round-trip times for each group of sockets, one sample at a received segment.
 *
 * Taken at the top of tcp_rcv_established, before the segment's ACK is looked at: what is read is
 * what the ACK before it left. */
#ifndef TCPVITALS_RTT_H
#define TCPVITALS_RTT_H

#include "counters.h"
#include "places.h"
#include "tcp_reading.h"

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

static __always_inline void add_to_histogram(__u32 number, __u32 slot, __u32 value_us)
{
	struct rtt_counters *to = counters_after(number * settings.histogram_records, slot);

	if (to)
		add_sample(to, slot, value_us);
}

/* Three histograms side by side: srtt, rtt, inflation. */
static __always_inline int count_all(struct sock *sk, struct socket_state *state,
                                     struct rtt_counters *to, __u32 slot)
{
	struct tcp_reading now;

	if (!to || !read_tcp(sk, &now))
		return 0;
	add_sample(to, slot, now.srtt_us);
	if (!is_new_sample(state, now.delivered) || !now.rtt_us)
		return 0;
	add_to_histogram(1, slot, now.rtt_us);
	add_to_histogram(2, slot, now.rtt_us > now.min_us ? now.rtt_us - now.min_us : 0);
	return 0;
}

static __always_inline int count(struct sock *sk, struct socket_state *state,
                                 struct rtt_counters *to, __u32 slot)
{
	__u32 value_us;

	if (settings.all_samples)
		return count_all(sk, state, to, slot);
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

#endif
