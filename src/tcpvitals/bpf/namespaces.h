/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* What each network namespace counted, filters or not.
 *
 * A table of its own, whose keys have nothing but the namespace's inode number and cookie.  Its
 * slot is looked up at each addition, so that user space takes a dead namespace's slot back by
 * forgetting the key. */
#ifndef TCPVITALS_NAMESPACES_H
#define TCPVITALS_NAMESPACES_H

#include "counters.h"
#include "groups.h"

struct places namespace_places SEC(".maps");
struct slots namespace_groups SEC(".maps");
struct free free_namespaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before load, as are those above */
	__type(key, __u32);
	__type(value, struct retrans_counters);
} namespace_counters SEC(".maps");

/* Slots of namespaces that a socket holds, while `mark_namespaces` says so. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before load, as above */
	__type(key, __u32);
	__type(value, __u64);
} namespace_held SEC(".maps");

/* User space sets it while it runs the iterator over all sockets, and has namespaces of which it
 * knows no process and no name. */
__u32 mark_namespaces = 0;

/* A call of its own: beside the callers' variables, the key is more than 5.10's stack has room for.
 */
static __noinline __u32 namespace_slot(__u32 inode, __u64 cookie)
{
	struct group_key key = {.netns_inode = inode, .netns_cookie = cookie};
	struct group_place place = {};
	struct losses *lost;

	place_of_key((struct table){&namespace_places, &namespace_groups, &free_namespaces}, &key,
	             &place);
	lost = place.slot == SLOT_OTHER ? losses_here() : NULL;
	if (lost)
		__sync_fetch_and_add(&lost->namespaces, 1);
	return place.slot;
}

static __always_inline struct retrans_counters *namespace_totals(struct sock_common *from,
                                                                 bool direct)
{
	__u32 slot = namespace_slot(netns_inode(from, direct), netns_cookie(from, direct));

	return bpf_map_lookup_elem(&namespace_counters, &slot);
}

static __noinline int mark_held(__u32 inode, __u64 cookie)
{
	struct group_key key = {.netns_inode = inode, .netns_cookie = cookie};
	struct group_place *known = bpf_map_lookup_elem(&namespace_places, &key);
	__u32 slot = known ? known->slot : SLOT_UNRESOLVED;
	__u64 *held = bpf_map_lookup_elem(&namespace_held, &slot);

	if (held)
		*held = 1;
	return 0;
}

static __always_inline void mark_namespace(struct sock_common *from, bool direct)
{
	if (mark_namespaces)
		mark_held(netns_inode(from, direct), netns_cookie(from, direct));
}

#endif
