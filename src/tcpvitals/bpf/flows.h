/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Segments sent again, by the two ends of the connection.
 *
 * A table of its own, finer than the groups, of the few flows that had any: a segment that need not
 * be sent again costs nothing here.  What goes into the groups' segments_retransmitted goes here,
 * too, and at the same time, so that the sums are the same. */
#ifndef TCPVITALS_FLOWS_H
#define TCPVITALS_FLOWS_H

#include "places.h"

struct places flow_places SEC(".maps");
struct slots flow_groups SEC(".maps");
struct free free_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before load, as are those above */
	__type(key, __u32);
	__type(value, __u64);
} flow_segments SEC(".maps");

/* What a role does not tell apart is not told: a client's own port, a server's peers'. */
static __always_inline void flow_ports(struct group_key *key, const struct endpoints *ends,
                                       __u8 role)
{
	bool full = settings.flow_ports == FLOWS_FULL;

	if (full || role == ROLE_SERVER)
		key->lport = ends->lport;
	if (full || role != ROLE_SERVER)
		key->rport = ends->rport;
}

/* Of a flow that the filters want. */
static __noinline int add_to_flow(const struct endpoints *ends, __u8 role, __s32 segments)
{
	struct group_key key = {};
	struct group_place place = {};
	__u64 *count;
	__u32 slot;

	if (!ends)
		return 0;
	key.family = ends->family;
	key.laddr = ends->laddr;
	key.raddr = ends->raddr;
	flow_ports(&key, ends, role);
	place_of_key((struct table){&flow_places, &flow_groups, &free_flows}, &key, &place);
	slot = place.slot;
	count = bpf_map_lookup_elem(&flow_segments, &slot);
	if (count)
		__sync_fetch_and_add(count, segments);
	return 0;
}

/* The socket's place is known by then: its totals were counted there. */
static __noinline int count_flow(struct sock *sk, struct socket_state *state, __s32 segments)
{
	struct endpoints ends = {};

	if (state->slot == SLOT_REJECTED)
		return 0;
	read_socket_ends(sk, &ends, true);
	return add_to_flow(&ends, role_of(state, &ends), segments);
}

static __noinline int count_flow_indirectly(struct sock *sk, struct socket_state *state,
                                            __s32 segments)
{
	struct endpoints ends = {};

	if (state->slot == SLOT_REJECTED)
		return 0;
	read_socket_ends(sk, &ends, false);
	return add_to_flow(&ends, role_of(state, &ends), segments);
}

#endif
