/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Does the user want this socket?  All filters must agree. */
#ifndef TCPVITALS_FILTERS_H
#define TCPVITALS_FILTERS_H

#include "scopes.h"
#include "sockets.h"

static __always_inline bool wants_address(const volatile struct address_filter *filter,
                                          const struct address *address, __u8 family)
{
	if (!filter->family)
		return true;
	if (filter->family != family)
		return false;
	for (int i = 0; i < 4; i++)
		if ((address->words_be[i] & filter->mask.words_be[i]) !=
		    filter->address.words_be[i])
			return false;
	return true;
}

static __always_inline bool wants_port(const volatile struct port_filter *filter, __u16 port)
{
	if (!filter->count)
		return true;
	for (__u32 i = 0; i < MAX_PORT_RANGES; i++) {
		if (i >= filter->count)
			return false;
		if (filter->ranges[i].first <= port && port <= filter->ranges[i].last)
			return true;
	}
	return false;
}

static __always_inline bool wants_owner(const struct socket_state *state)
{
	return !settings.want_tgid || (state && state->owner.tgid == settings.want_tgid);
}

static __always_inline bool wants_scope(const struct endpoints *ends)
{
	return !settings.want_scopes || settings.want_scopes & scope_of(ends);
}

static __always_inline bool wants_socket(const struct socket_state *state,
                                         const struct endpoints *ends)
{
	if (settings.want_family && settings.want_family != ends->family)
		return false;
	if (settings.want_netns_inode && settings.want_netns_inode != ends->netns_inode)
		return false;
	return wants_owner(state) && wants_scope(ends) &&
	       wants_address(&settings.want_laddr, &ends->laddr, ends->family) &&
	       wants_address(&settings.want_raddr, &ends->raddr, ends->family) &&
	       wants_port(&settings.want_lport, ends->lport) &&
	       wants_port(&settings.want_rport, ends->rport);
}

#endif
