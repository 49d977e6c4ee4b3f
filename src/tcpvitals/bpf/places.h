/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Which slot a socket counts into: found at its first count, and again when that slot is taken back
 * or the socket changes hands. */
#ifndef TCPVITALS_PLACES_H
#define TCPVITALS_PLACES_H

#include "filters.h"
#include "groups.h"
#include "owners.h"
#include "tcp_reading.h"

/* `sk` says whose it is, `ends` who talks: for a connection request these are two. */
static __always_inline void find_place(struct sock *sk, const struct socket_state *state,
                                       const struct endpoints *ends, __u8 role,
                                       struct group_place *place, bool direct)
{
	struct group_key key = {};

	place->slot = SLOT_FIRST;
	if (!wants_socket(state, ends)) {
		place->slot = SLOT_REJECTED;
	} else if (settings.key_parts) {
		key_addresses(&key, ends);
		key_ends(&key, ends, role);
		key_owner(&key, sk, state, direct);
		place_of_key((struct table){&group_places, &groups, &free_slots}, &key, place);
	}
}

static __always_inline __u8 role_of(const struct socket_state *state, const struct endpoints *ends)
{
	if (!settings.need_role)
		return ROLE_UNKNOWN;
	return state && state->role ? state->role : role_by_listener(ends);
}

/* A socket that closes gives its port back (skc_num is 0), but still has it in inet_sport. */
static __always_inline __u16 port_before_close(struct sock *sk, bool direct)
{
	struct tcp_sock *tp = direct ? tcp_sock_of(sk) : (struct tcp_sock *)sk;

	return tp ? bpf_ntohs(FIELD(direct, tp, inet_conn.icsk_inet.inet_sport)) : 0;
}

static __always_inline void read_socket_ends(struct sock *sk, struct endpoints *ends, bool direct)
{
	read_endpoints(&sk->__sk_common, ends, direct);
	if (!ends->lport)
		ends->lport = port_before_close(sk, direct);
}

static __always_inline __u32 find_socket_place(struct sock *sk, struct socket_state *state,
                                               bool direct)
{
	struct group_place place = {};
	struct endpoints ends = {};

	read_socket_ends(sk, &ends, direct);
	find_place(sk, state, &ends, role_of(state, &ends), &place, direct);
	if (state) {
		state->generation = place.generation;
		state->slot = place.slot;
	}
	return place.slot;
}

/* Out of the way of the sockets whose place is known. */
static __noinline __u32 place_socket(struct sock *sk, struct socket_state *state)
{
	return find_socket_place(sk, state, true);
}

#endif
