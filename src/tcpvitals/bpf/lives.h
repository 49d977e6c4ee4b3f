/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* How many connections begin and end, as far as we see it.
 *
 * What a connection did last is added at its close, or else at the end of its socket.  Where
 * neither is seen it is in no total; that it happened is known from the sum: user space compares
 * what began and ended with what is still there.  It reads `begun` before, and `ended` after it has
 * looked, so that nothing under way is taken for lost: here the flag of a life that begins is set
 * before it is counted, and that of one that ends is cleared after. */
#ifndef TCPVITALS_LIVES_H
#define TCPVITALS_LIVES_H

#include "records.h"

struct lives lives = {};

/* User space moves it on, from 1 to 255 and round again, before it has sockets settled; and what it
 * was before. */
__u32 settling = 0;
__u32 settling_before = 0;

/* User space writes when it began to count, in seconds of boot time. */
__u32 counting_since_s = 0;

/* A socket that a process held when we began was seen then.  Any other may be older, but as a rule
 * its beginning was not seen. */
static __always_inline void leave_out(__s32 retransmitted)
{
	if (counting_since_s && retransmitted)
		__sync_fetch_and_add(&lives.left_out, retransmitted);
}

static __always_inline void begin_life(struct socket_state *state)
{
	if (state->followed)
		return;
	state->followed = 1;
	state->settling = 0;
	__sync_fetch_and_add(&lives.begun, 1);
}

static __always_inline void end_life(struct socket_state *state)
{
	if (!state->followed)
		return;
	__sync_fetch_and_add(&lives.ended, 1);
	state->followed = 0;
}

/* Whether a socket that is not followed was there when this settling began, or was followed then:
 * it has closed, or is a listener that was met the last time. */
static __always_inline bool is_no_newcomer(const struct socket_state *state, __u8 tcp_state)
{
	return state->closed ||
	       (tcp_state == TCP_LISTEN && state->settling == (__u8)settling_before);
}

/* Whether no iterator has met this socket in this settling; then it is counted. */
static __always_inline bool is_met_first(struct socket_state *state, __u8 tcp_state)
{
	if (state->settling == (__u8)settling)
		return false;
	if (state->followed)
		__sync_fetch_and_add(&lives.met, 1);
	else if (is_no_newcomer(state, tcp_state))
		__sync_fetch_and_add(&lives.met_other, 1);
	state->settling = settling;
	return true;
}

#endif
