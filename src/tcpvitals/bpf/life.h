/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* A socket's life as its TCP state tells it: role, owner, the beginning and the end of its totals,
 * and how long each state took. */
#ifndef TCPVITALS_LIFE_H
#define TCPVITALS_LIFE_H

#include "events.h"
#include "handshakes.h"
#include "open_files.h"
#include "totals.h"

/* All that was known of this socket was of a connection before, but for how long its TCP state
 * lasts.  Where it lies: a copy on the stack is more than 5.10 allows. */
static __always_inline void begin_anew(struct socket_state *state)
{
	__u64 since = state->since_boot_ns;

	__builtin_memset(state, 0, sizeof(*state));
	state->since_boot_ns = since;
}

static __always_inline void on_connect(struct sock *sk, struct socket_state *state)
{
	begin_anew(state);
	state->role = ROLE_CLIENT;
	begin_totals(sk, state, true);
	own_by_current(state);
}

/* The addresses are known, the port's owner is the caller. */
static __always_inline void on_listen(struct sock *sk, struct socket_state *state)
{
	begin_anew(state);
	state->accounted_known = 1;
	state->handshake = 1;
	own_by_current(state);
	note_listener(sk->__sk_common.skc_net.net->ns.inum, sk->__sk_common.skc_num, &state->owner);
}

/* What the listener's state left in its copy, but for the owner, is not the connection's. */
static __always_inline void on_request_answered(struct socket_state *state)
{
	__builtin_memset(state, 0, __builtin_offsetof(struct socket_state, owner));
	state->timeouts = 0;
	state->role = ROLE_SERVER;
	state->accounted_known = 1;
	state->handshake = 1;
	state->followed = 0;
	begin_life(state);
}

/* Where no state could be copied (before 5.11, or a listener that nobody knew), the port's will do.
 */
static __always_inline void inherit_owner(struct sock *sk, struct socket_state *state)
{
	struct listening *listening;
	struct endpoints ends = {};

	if (state->owner.tgid)
		return;
	read_endpoints(&sk->__sk_common, &ends, true);
	listening = listening_at(&ends);
	if (listening)
		set_owner(state, &listening->owner);
}

/* Whether a socket in SYN_RECV has connected, as both ends may at once (RFC 9293, 3.5).  Where the
 * kernel skipped the connect's program, this tells: its counters are accounted, and hold no
 * SYN-ACKs of a request. */
static __always_inline bool has_connected(const struct socket_state *state)
{
	return state->role == ROLE_CLIENT || (state->accounted_known && !state->handshake);
}

/* A handshake that a listener answered ends: a server. */
static __always_inline void on_accept(struct sock *sk, struct socket_state *state)
{
	if (has_connected(state)) {
		state->role = ROLE_CLIENT;
		return;
	}
	state->role = ROLE_SERVER;
	inherit_owner(sk, state);
	__sync_fetch_and_add(&accepted, 1);
	end_handshake(sk, state, 0, 0, false);
}

/* Only close() and shutdown() do this, in the process that calls them: with a listener's children
 * it is the first that we see of the one that accepted. */
static __always_inline bool is_closed_by_process(int old_state, int new_state)
{
	return new_state == TCP_LAST_ACK ||
	       (new_state == TCP_FIN_WAIT1 &&
	        (old_state == TCP_ESTABLISHED || old_state == TCP_SYN_RECV));
}

static __always_inline bool is_by_call(int old_state, int new_state)
{
	return new_state == TCP_SYN_SENT || new_state == TCP_LISTEN ||
	       is_closed_by_process(old_state, new_state);
}

static __always_inline bool is_attempt(int tcp_state)
{
	return tcp_state == TCP_SYN_SENT || tcp_state == TCP_SYN_RECV;
}

/* Whether a change opens a connection, closes one, or ends an attempt at one. */
static __always_inline bool is_turn(int old_state, int new_state)
{
	if (is_attempt(old_state))
		return !is_attempt(new_state);
	return new_state == TCP_CLOSE && old_state != TCP_LISTEN;
}

static __noinline int count_turn(struct sock *sk, struct socket_state *state, int old_state,
                                 int new_state)
{
	struct retrans_counters *to = counters_of_slot(totals_slot(sk, state, true));

	if (!to)
		return 0;
	if (new_state != TCP_CLOSE)
		__sync_fetch_and_add(&to->connections_opened, 1);
	else if (is_attempt(old_state))
		__sync_fetch_and_add(&to->connections_failed, 1);
	else
		__sync_fetch_and_add(&to->connections_closed, 1);
	return 0;
}

static __noinline int count_given_up(struct sock *sk, struct socket_state *state)
{
	struct retrans_counters *to = counters_of_slot(totals_slot(sk, state, true));

	if (to)
		__sync_fetch_and_add(&to->timeouts_last, 1);
	to = settings.count_namespaces ? namespace_totals(&sk->__sk_common, true) : NULL;
	if (to)
		__sync_fetch_and_add(&to->timeouts_last, 1);
	return 0;
}

static __always_inline void on_close(struct sock *sk, struct socket_state *state)
{
	state->closed = 1;
	end_handshake_late(sk, state, 0, false);
	settle(sk, state);
	if ((settings.count_totals || settings.count_namespaces) && is_given_up(sk))
		count_given_up(sk, state);
	end_life(state);
}

static __noinline int emit_state(struct sock *sk, const struct socket_state *state, __u64 took_ns,
                                 int old_state, int new_state)
{
	struct state_change *record;
	struct endpoints ends = {};

	read_socket_ends(sk, &ends, true);
	if (!wants_socket(state, &ends))
		return 0;
	record = reserve_event(sizeof(*record));
	if (!record)
		return 0;
	begin_event(&record->event, EVENT_STATE, sk, state, &ends);
	record->socket = (__u64)sk;
	record->took_ns = took_ns;
	record->old_state = old_state;
	record->new_state = new_state;
	bpf_ringbuf_submit(record, 0);
	return 0;
}

/* The time in the old state, 0 if unknown.  It is remembered before any filter has its say: a
 * socket gets its port only after its first change. */
static __always_inline __u64 next_state(struct socket_state *state, int new_state)
{
	__u64 now = bpf_ktime_get_boot_ns();
	__u64 took_ns = state->since_boot_ns ? now - state->since_boot_ns : 0;

	state->since_boot_ns = new_state == TCP_CLOSE ? 0 : now;
	return took_ns;
}

static __always_inline void on_change(struct sock *sk, struct socket_state *state, int old_state,
                                      int new_state)
{
	if (new_state == TCP_SYN_SENT)
		on_connect(sk, state);
	else if (new_state == TCP_LISTEN)
		on_listen(sk, state);
	else if (old_state == TCP_LISTEN && new_state == TCP_SYN_RECV)
		on_request_answered(state);
	else if (old_state == TCP_SYN_RECV)
		on_accept(sk, state);
	else if (!state->accounted_known)
		begin_totals(sk, state, true);
	if (is_closed_by_process(old_state, new_state) &&
	    (state->role == ROLE_SERVER || !state->owner.tgid))
		own_by_current(state);
	if (new_state == TCP_CLOSE)
		on_close(sk, state);
	if (settings.count_totals && is_turn(old_state, new_state))
		count_turn(sk, state, old_state, new_state);
}

/* All that RTT needs: a socket's first segment makes its state. */
static __always_inline int on_change_for_rtt(struct sock *sk, int old_state, int new_state)
{
	struct socket_state *state;

	if (new_state == TCP_SYN_SENT ||
	    (settings.need_role && old_state == TCP_SYN_RECV && new_state == TCP_ESTABLISHED)) {
		state = find_or_add_socket(sk);
		if (state && new_state == TCP_SYN_SENT)
			*state = (struct socket_state){.role = ROLE_CLIENT};
		else if (state && !state->role)
			state->role = ROLE_SERVER;
	}
	if (settings.need_role && new_state == TCP_LISTEN)
		note_listener(sk->__sk_common.skc_net.net->ns.inum, sk->__sk_common.skc_num, NULL);
	return 0;
}

static __always_inline int on_state(struct sock *sk, int old_state, int new_state)
{
	struct socket_state *state;
	__u64 took_ns = 0;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (!settings.need_owner)
		return on_change_for_rtt(sk, old_state, new_state);
	state = find_or_add_socket(sk);
	if (state) {
		on_change(sk, state, old_state, new_state);
		if (settings.emit_states)
			took_ns = next_state(state, new_state);
	}
	if (settings.emit_states)
		emit_state(sk, state, took_ns, old_state, new_state);
	return 0;
}

/* Settled at its close, but for what the kernel skipped then. */
static __always_inline int on_end(struct sock *sk)
{
	struct socket_state *state = find_socket(sk);

	if (state && !state->closed) {
		end_handshake_late(sk, state, 0, false);
		settle(sk, state);
		if (state->followed)
			__sync_fetch_and_add(&lives.late, 1);
		end_life(state);
	}
	if (!settings.socket_storage)
		forget_socket(sk);
	return 0;
}

#endif
