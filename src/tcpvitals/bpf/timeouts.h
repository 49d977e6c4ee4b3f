/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Expiries of a socket's retransmission timer, which the kernel counts as TCPTimeouts.
 *
 * tcp_retransmit_timer counts each, unless the peer's window is closed.  Then the connection is
 * given up, or the socket's own count goes up by one and a segment is retransmitted, which may fail
 * without an event.  So timeouts are taken from the socket's own count, as retransmissions are. */
#ifndef TCPVITALS_TIMEOUTS_H
#define TCPVITALS_TIMEOUTS_H

#include "exchange.h"
#include "tcp_reading.h"

#define HAVE_TOTAL_RTO bpf_core_field_exists(struct tcp_sock, total_rto)

/* The timeouts at which tcp_retransmit_timer went on.  From 6.7 on total_rto counts them, modulo
 * 2^16.  Before, icsk_retransmits counts those since snd_una last advanced, modulo 2^8. */
static __always_inline __u64 read_timeouts(struct sock *sk, bool direct)
{
	struct tcp_sock *tp = direct ? tcp_sock_of(sk) : (struct tcp_sock *)sk;

	if (!tp)
		return 0;
	if (HAVE_TOTAL_RTO)
		return FIELD(direct, tp, total_rto);
	return (__u64)FIELD(direct, tp, snd_una) << 32 |
	       FIELD(direct, tp, inet_conn.icsk_retransmits);
}

/* How many came between two readings.  Before 6.7 at least so many: of timeouts without an event,
 * those are missed that an ACK or an undone loss (tcp_try_undo_loss) made the kernel forget before
 * anything looked at the socket. */
static __always_inline __s32 timeouts_between(__u64 before, __u64 now)
{
	if (HAVE_TOTAL_RTO)
		return (__s16)(now - before);
	return now >> 32 == before >> 32 && (__u32)now >= (__u32)before ? now - before : (__u32)now;
}

/* The difference of its timeouts; `seen` says that we are called at one. */
static __always_inline __s32 step_of_timeouts(struct sock *sk, struct socket_state *state,
                                              bool seen, bool direct)
{
	__u64 now = read_timeouts(sk, direct);
	__s32 step = timeouts_between(EXCHANGE(&state->timeouts, now), now);

	/* Before 6.7: undone and begun again, it stands where it stood. */
	if (!HAVE_TOTAL_RTO && seen && step < 1)
		return 1;
	return step;
}

/* tcp_retransmit_timer's own condition, with which it counts no timeout. */
static __always_inline bool is_window_closed(struct sock *sk, struct tcp_sock *tp)
{
	__u8 state = sk->__sk_common.skc_state;

	return !tp->snd_wnd && !(sk->__sk_common.skc_flags & SOCK_DEAD_FLAG) &&
	       state != TCP_SYN_SENT && state != TCP_SYN_RECV;
}

/* Whether a connection that closes was given up at a timeout: the kernel has counted it, and
 * nothing is sent.  The timer alone runs with icsk_pending clear; then tcp_write_timeout fails
 * (tcp_write_err, which has emptied the queue), or tcp_out_of_resources did (which has not).  The
 * timer of a closed window, and the probing one, do the same and count nothing. */
static __always_inline bool is_given_up(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sock_of(sk);

	if (!tp || tp->inet_conn.icsk_pending || is_window_closed(sk, tp))
		return false;
	return tp->packets_out || (sk->sk_err && tp->inet_conn.icsk_retransmits);
}

#endif
