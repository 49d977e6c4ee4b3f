/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Histograms of round-trip times for each group of sockets, one sample of each kind at a received
 * segment.
 *
 * Taken at the top of tcp_rcv_established, before the segment's ACK is looked at: what is read is
 * what the ACK before it left. */
#ifndef TCPVITALS_RTT_H
#define TCPVITALS_RTT_H

#include "counters.h"
#include "places.h"
#include "tcp_reading.h"

/* An ACK without data that newly acknowledges two full-sized segments or more: its sender must not
 * hold it back (RFC 5681, 4.2), so that its sample has no delayed ACK in it, and no time that the
 * application took for an answer. */
static __always_inline bool had_to_be_sent(struct sk_buff *skb, const struct tcp_reading *now)
{
	struct tcp_skb_cb *control = (struct tcp_skb_cb *)skb->cb;
	__s32 acknowledged = control->ack_seq - now->snd_una;

	return control->seq == control->end_seq && now->mss &&
	       acknowledged >= (__s32)(2 * now->mss);
}

static __always_inline __u8 next_sampling(struct sk_buff *skb, const struct tcp_reading *now)
{
	if (shows_clean() && had_to_be_sent(skb, now))
		return SAMPLING_BEGUN | SAMPLING_CLEAN;
	return SAMPLING_BEGUN;
}

/* Into the histogram of this number, if it is not 0; `first` is the slot's in the first of them. */
static __always_inline void show(__u32 number, struct rtt_counters *first, __u32 slot,
                                 __u32 value_us)
{
	struct rtt_counters *to = first;

	if (!number)
		return;
	if (number > 1)
		to = counters_after((number - 1) * settings.histogram_records, slot);
	if (to)
		add_sample(to, slot, value_us);
}

/* The first srtt of a connection is the handshake's own sample (RFC 6298, 2.2).  It is still there
 * at a connection's first segment if nothing was delivered but the SYN or SYN-ACK, which counts as
 * one, and nothing was received: data with the handshake's last ACK may mean that this ACK had been
 * held back.  There is none where the SYN or SYN-ACK was retransmitted without timestamps. */
static __always_inline bool is_handshakes(const struct tcp_reading *now)
{
	return now->delivered == 1 && !now->has_received && now->srtt_us;
}

static __always_inline void count_handshake(const struct tcp_reading *now, struct rtt_counters *to,
                                            __u32 slot)
{
	if (!shows_clean() || !is_handshakes(now))
		return;
	show(settings.histograms.network, to, slot, now->srtt_us);
	if (settings.count_context) {
		if (settings.histograms.network)
			add_count(&to->samples, slot, 1);
		add_count(&to->handshakes, slot, 1);
		add_count(&to->handshake_sum_us, slot, now->srtt_us);
		raise(&to->floor_us_complement, slot, ~now->min_us);
	}
}

static __always_inline void count_new(const struct tcp_reading *now, bool clean,
                                      struct rtt_counters *to, __u32 slot)
{
	show(settings.histograms.rtt, to, slot, now->rtt_us);
	if (settings.count_context) {
		add_count(&to->samples, slot, 1);
		raise(&to->floor_us_complement, slot, ~now->min_us);
	}
	if (!clean)
		return;
	show(settings.histograms.network, to, slot, now->rtt_us);
	show(settings.histograms.inflation, to, slot,
	     now->rtt_us > now->min_us ? now->rtt_us - now->min_us : 0);
}

/* The sample that the ACK before this segment took, if it took one: something was delivered. */
static __always_inline void count_newest(struct sk_buff *skb, struct socket_state *state,
                                         const struct tcp_reading *now, struct rtt_counters *to,
                                         __u32 slot)
{
	__u32 delivered = state->delivered;
	__u8 sampling = state->sampling;

	state->delivered = now->delivered;
	state->sampling = next_sampling(skb, now);
	if (!sampling)
		count_handshake(now, to, slot);
	else if (delivered != now->delivered && now->rtt_us)
		count_new(now, sampling & SAMPLING_CLEAN, to, slot);
}

static __always_inline void lose_sample(void)
{
	struct losses *lost = losses_here();

	if (lost)
		__sync_fetch_and_add(&lost->socket_state, 1);
}

static __always_inline int count(struct sock *sk, struct sk_buff *skb, struct socket_state *state,
                                 struct rtt_counters *to, __u32 slot)
{
	struct tcp_reading now = {.min_us = ~0U};

	if (!to || !read_tcp(sk, &now))
		return 0;
	show(settings.histograms.srtt, to, slot, now.srtt_us);
	if (now.min_us != ~0U)
		show(settings.histograms.min, to, slot, now.min_us);
	if (!shows_newest())
		return 0;
	if (state)
		count_newest(skb, state, &now, to, slot);
	else
		lose_sample();
	return 0;
}

/* Out of the way of the sockets whose place is known. */
static __noinline int place_and_count(struct sock *sk, struct sk_buff *skb,
                                      struct socket_state *state)
{
	__u32 slot = place_socket(sk, state);

	return slot == SLOT_REJECTED ? 0 : count(sk, skb, state, counters_of(slot), slot);
}

static __always_inline int count_group(struct sock *sk, struct sk_buff *skb)
{
	struct socket_state *state = find_or_add_socket(sk);
	struct rtt_counters *to;
	__u32 slot;

	if (!state)
		return place_and_count(sk, skb, state);
	slot = state->slot;
	if (slot == SLOT_REJECTED)
		return 0;
	to = counters_of(slot);
	if (slot == SLOT_UNRESOLVED || !to || to->generation != state->generation)
		return place_and_count(sk, skb, state);
	return count(sk, skb, state, to, slot);
}

static __always_inline int on_segment(struct sock *sk, struct sk_buff *skb)
{
	return settings.per_socket ? count_group(sk, skb)
	                           : count(sk, skb, NULL, counters_of(SLOT_FIRST), SLOT_FIRST);
}

#endif
