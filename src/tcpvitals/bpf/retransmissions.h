/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Why a segment is sent again, counted by cause and told as an event. */
#ifndef TCPVITALS_RETRANSMISSIONS_H
#define TCPVITALS_RETRANSMISSIONS_H

#include "events.h"
#include "handshakes.h"
#include "totals.h"

#define ATTEMPTS 65536

/* How often the data that begins at a sequence number was sent again. */
struct attempts {
	__u64 socket;
	__u32 seq;
	__u32 count;
};

/* Each has its one place; of two that fall on the same, the older is forgotten.  A hash that
 * forgets the longest unused would be exact for as many, and takes a microsecond. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ATTEMPTS);
	__type(key, __u32);
	__type(value, struct attempts);
} attempts SEC(".maps");

struct resend {
	__u32 segments;
	__u32 error;
	__u32 flags;
	__u32 seq;
	__u32 bytes;
	enum cause cause;
	bool lost;    /* marked so, and not yet sent again since */
	bool put_off; /* the kernel did not count it */
	bool timeout; /* it is what the kernel counts as a timeout */
};

/* The TCP header is not yet there: the control block has what will be in it. */
static __always_inline void read_skb(struct sk_buff *skb, struct resend *resend)
{
	struct tcp_skb_cb *control = (struct tcp_skb_cb *)skb->cb;

	resend->segments = control->tcp_gso_segs;
	resend->flags = control->tcp_flags;
	resend->seq = control->seq;
	resend->lost = (control->sacked & (TCPCB_LOST | TCPCB_SACKED_RETRANS)) == TCPCB_LOST;
	resend->bytes = skb->len;
}

/* The timer clears icsk_pending before it sends; an ACK that arrives leaves it as it is, and so
 * does the start of a recovery that sends nothing yet: then the probe may come all the same.
 * Recovery sends nothing but what is marked as lost (tcp_xmit_retransmit_queue), and the probe
 * whatever is the last (tcp_send_loss_probe). */
static __always_inline enum cause cause_of(struct tcp_sock *tp, __u8 state,
                                           const struct resend *resend)
{
	struct inet_connection_sock *icsk = &tp->inet_conn;
	__u8 recovery = BPF_CORE_READ_BITFIELD(icsk, icsk_ca_state);
	__u8 pending = icsk->icsk_pending;

	if (resend->flags & TCPHDR_SYN || state == TCP_SYN_SENT)
		return CAUSE_SYN;
	if (pending == ICSK_TIME_LOSS_PROBE && (recovery < TCP_CA_Recovery || !resend->lost))
		return CAUSE_TLP;
	if (recovery == TCP_CA_Loss)
		return pending ? CAUSE_SLOW_START : CAUSE_RTO;
	return recovery == TCP_CA_Recovery ? CAUSE_FAST : CAUSE_OTHER;
}

/* Before a segment is counted it may be put off, for reasons that have these numbers. */
static __always_inline bool may_be_put_off(__u32 error)
{
	return error == EBUSY || error == EAGAIN || error == EINVAL || error == ENOMEM ||
	       error == EHOSTUNREACH;
}

/* If this is the first that is seen of a connection, all but this one was before. */
static __always_inline void begin_connected(struct sock *sk, struct socket_state *state,
                                            const struct resend *resend)
{
	__u32 own = may_be_put_off(resend->error) ? 0 : resend->segments;

	if (state)
		end_handshake_late(sk, state, own, resend->timeout);
}

/* Did the kernel count it?  The socket's own counter tells, if we know where it stood. */
static __always_inline bool is_counted(struct tcp_sock *tp, struct socket_state *state,
                                       const struct resend *resend)
{
	__u32 before, now = tp->total_retrans;

	if (!state || !state->accounted_known)
		return !may_be_put_off(resend->error);
	before = state->event_retrans;
	state->event_retrans = now;
	return now != before;
}

/* Causes that are the timer's; it runs with icsk_pending clear. */
static __always_inline bool is_timeout(struct sock *sk, struct tcp_sock *tp, enum cause cause)
{
	return (cause == CAUSE_RTO || cause == CAUSE_SYN) && !tp->inet_conn.icsk_pending &&
	       !is_window_closed(sk, tp);
}

/* A socket that we see for the first time: what it does now is to count. */
static __always_inline void begin_with(struct sock *sk, struct socket_state *state,
                                       const struct resend *resend)
{
	if (!state || state->accounted_known)
		return;
	begin_totals(sk, state, true);
	state->timeouts -= resend->timeout;
	state->accounted.total_retrans -= resend->segments;
	leave_out(-(__s32)resend->segments);
	state->accounted.bytes_retrans -= resend->bytes;
	state->accounted.data_segs_out -= resend->bytes ? resend->segments : 0;
	state->accounted.bytes_sent -= resend->bytes;
}

static __always_inline void add_resend(struct retrans_counters *to, const struct resend *resend)
{
	__u32 cause = resend->cause;

	if (cause >= CAUSES)
		return;
	if (resend->put_off) {
		__sync_fetch_and_add(&to->attempts_put_off, 1);
		return;
	}
	if (resend->error)
		__sync_fetch_and_add(&to->segments_failed, resend->segments);
	else
		__sync_fetch_and_add(&to->by_cause[cause], resend->segments);
	if (resend->error == EBUSY) /* counted as retransmitted, but not as failed */
		__sync_fetch_and_add(&to->attempts_put_off, 1);
	if (!resend->bytes)
		__sync_fetch_and_add(&to->segments_control, resend->segments);
}

/* Sockets without a state: nothing else will add what they sent. */
static __always_inline void add_stateless(struct retrans_counters *to, const struct resend *resend)
{
	if (resend->put_off)
		return;
	__sync_fetch_and_add(&to->segments_retransmitted, resend->segments);
	if (resend->bytes) /* for a known 0 clang makes an atomic "or", unknown before 5.12 */
		__sync_fetch_and_add(&to->bytes_retransmitted, resend->bytes);
}

static __always_inline __u32 next_attempt(struct sock *sk, __u32 seq)
{
	/* Fibonacci hashing of what is random already: a sequence begins anywhere (RFC 6528). */
	__u32 place = seq * 0x9e3779b9 >> 16;
	struct attempts *known = bpf_map_lookup_elem(&attempts, &place);

	if (!known)
		return 1;
	if (known->socket != (__u64)sk || known->seq != seq)
		*known = (struct attempts){.socket = (__u64)sk, .seq = seq};
	return ++known->count;
}

static __noinline int emit_resend(struct sock *sk, struct tcp_sock *tp,
                                  const struct socket_state *state, const struct endpoints *ends,
                                  const struct resend *resend)
{
	struct retransmission *record = reserve_event(sizeof(*record));

	if (!record)
		return 0;
	begin_event(&record->event, EVENT_RETRANSMISSION, sk, state, ends);
	record->segments = resend->segments;
	record->bytes = resend->bytes;
	record->seq = resend->seq;
	record->attempt = next_attempt(sk, resend->seq);
	record->srtt_us = tp->srtt_us >> 3;
	record->cwnd = tp->snd_cwnd;
	record->error = resend->error;
	record->cause = resend->cause;
	record->state = sk->__sk_common.skc_state;
	record->padding = 0;
	bpf_ringbuf_submit(record, 0);
	return 0;
}

static __always_inline void count_resend(struct sock *sk, __u32 slot, const struct resend *resend,
                                         const struct endpoints *ends, bool stateless)
{
	struct retrans_counters *to = counters_of_slot(slot);

	if (to) {
		add_resend(to, resend);
		if (stateless)
			add_stateless(to, resend);
	}
	to = settings.count_namespaces ? namespace_totals(&sk->__sk_common, true) : NULL;
	if (to) {
		add_resend(to, resend);
		if (stateless)
			add_stateless(to, resend);
	}
	if (settings.flow_ports && stateless && slot != SLOT_UNRESOLVED && !resend->put_off)
		add_to_flow(ends, role_by_listener(ends), resend->segments);
}

static __always_inline struct socket_state *state_or_loss(struct sock *sk)
{
	struct socket_state *state = find_or_add_socket(sk);
	struct losses *lost = state ? NULL : losses_here();

	if (lost)
		__sync_fetch_and_add(&lost->socket_state, 1);
	return state;
}

static __always_inline int on_retransmission(struct sock *sk, struct sk_buff *skb, int error)
{
	struct tcp_sock *tp = tcp_sock_of(sk);
	struct socket_state *state = state_or_loss(sk);
	struct resend resend = {.error = -error};
	struct endpoints ends = {};

	if (!tp)
		return 0;
	read_skb(skb, &resend);
	resend.cause = cause_of(tp, sk->__sk_common.skc_state, &resend);
	resend.timeout = is_timeout(sk, tp, resend.cause);
	begin_connected(sk, state, &resend);
	resend.put_off = !is_counted(tp, state, &resend);
	if (!resend.put_off)
		begin_with(sk, state, &resend);
	if (state)
		settle_at(sk, state, resend.timeout);
	read_socket_ends(sk, &ends, true);
	count_resend(sk, totals_slot(sk, state, true), &resend, &ends, !state);
	if (!settings.emit_retransmissions || resend.put_off)
		return 0;
	if (wants_socket(state, &ends))
		emit_resend(sk, tp, state, &ends, &resend);
	return 0;
}

/* The request has the addresses; the socket is the listener, or the child of a fast open. */
static __always_inline __u32 request_slot(struct sock *sk, const struct socket_state *state,
                                          const struct endpoints *ends)
{
	struct group_place place = {};

	if (!settings.count_totals)
		return SLOT_UNRESOLVED;
	find_place(sk, state, ends, ROLE_SERVER, &place, true);
	return place.slot == SLOT_REJECTED ? SLOT_UNRESOLVED : place.slot;
}

static __noinline int emit_synack(struct sock *sk, struct request_sock *request,
                                  const struct socket_state *state, const struct endpoints *ends)
{
	struct retransmission *record = reserve_event(sizeof(*record));

	if (!record)
		return 0;
	__builtin_memset(record, 0, sizeof(*record));
	begin_event(&record->event, EVENT_RETRANSMISSION, sk, state, ends);
	record->segments = 1;
	record->attempt = request->num_retrans + 1;
	record->cause = CAUSE_SYNACK;
	record->state = request->__req_common.skc_state;
	bpf_ringbuf_submit(record, 0);
	return 0;
}

/* At a timeout, or because the SYN came again while the timer was waiting?  The timer is the
 * request's own; a fast open's request has none, and its child's retransmission timer does it
 * (tcp_fastopen_synack_timer). */
static __always_inline bool is_synack_by_timer(struct sock *sk, struct request_sock *request)
{
	struct tcp_sock *child;

	if (sk->__sk_common.skc_state == TCP_LISTEN)
		return !request->rsk_timer.entry.pprev;
	child = tcp_sock_of(sk);
	return child && !child->inet_conn.icsk_pending;
}

static __always_inline int on_synack(struct sock *sk, struct request_sock *request)
{
	struct socket_state *state = find_socket(sk);
	struct endpoints ends = {};
	struct synacks step = {};
	__u32 slot;

	read_endpoints(&request->__req_common, &ends, true);
	on_request(request, &ends, is_synack_by_timer(sk, request), &step);
	slot = request_slot(sk, state, &ends);
	count_synacks(sk, slot, &step);
	if (settings.flow_ports && slot != SLOT_UNRESOLVED)
		add_to_flow(&ends, ROLE_SERVER, step.retransmitted);
	if (settings.emit_retransmissions && wants_socket(state, &ends))
		emit_synack(sk, request, state, &ends);
	return 0;
}

#endif
