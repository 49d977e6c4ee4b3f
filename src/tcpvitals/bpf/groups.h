/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Groups of sockets and where their counters are.
 *
 * User space fills `free_slots` and takes idle groups' slots back; we take a slot for each new key
 * and never give one up, but for the loser of a race.  A socket remembers its slot and the slot's
 * generation; a generation that moved on means that the slot was taken back. */
#ifndef TCPVITALS_GROUPS_H
#define TCPVITALS_GROUPS_H

#include "sockets.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before load, as are those below */
	__type(key, struct group_key);
	__type(value, struct group_place);
} group_places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct group);
} groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__type(value, __u32);
} free_slots SEC(".maps");

static __always_inline void mask_address(struct address *to, const struct address *from,
                                         const volatile struct address *mask)
{
	for (int i = 0; i < 4; i++)
		to->words_be[i] = from->words_be[i] & mask->words_be[i];
}

static __always_inline void key_addresses(struct group_key *key, const struct endpoints *ends)
{
	bool v4 = ends->family == 4;

	if (settings.key_parts & (KEY_LADDR | KEY_RADDR))
		key->family = ends->family;
	if (settings.key_parts & KEY_LADDR)
		mask_address(&key->laddr, &ends->laddr,
		             v4 ? &settings.laddr_mask_v4 : &settings.laddr_mask_v6);
	if (settings.key_parts & KEY_RADDR)
		mask_address(&key->raddr, &ends->raddr,
		             v4 ? &settings.raddr_mask_v4 : &settings.raddr_mask_v6);
}

/* The service is the listener's port, whichever side we are on. */
static __always_inline void key_ports(struct group_key *key, const struct endpoints *ends,
                                      __u8 role)
{
	if (settings.key_parts & KEY_LPORT)
		key->lport = ends->lport;
	if (settings.key_parts & KEY_RPORT)
		key->rport = ends->rport;
	if (settings.key_parts & KEY_SERVICE)
		key->service_port = role == ROLE_SERVER ? ends->lport : ends->rport;
	if (settings.key_parts & KEY_ROLE)
		key->role = role;
}

/* Sockets without a group share one, and look again whenever its generation moves on. */
static __always_inline void place_other(struct group_place *place)
{
	__u32 slot = SLOT_OTHER;
	struct group *other = bpf_map_lookup_elem(&groups, &slot);

	place->slot = SLOT_OTHER;
	place->generation = other ? other->generation : 0;
}

/* Two CPUs may do this for one key at a time: the second finds the first's place and hands its own
 * slot back. */
static __always_inline void add_group(const struct group_key *key, struct group_place *place)
{
	struct group_place *theirs;
	struct group *group;

	if (bpf_map_pop_elem(&free_slots, &place->slot))
		goto none;
	group = bpf_map_lookup_elem(&groups, &place->slot);
	if (!group)
		goto none;
	group->key = *key;
	place->generation = group->generation;
	if (!bpf_map_update_elem(&group_places, key, place, BPF_NOEXIST)) {
		group->in_use = 1;
		return;
	}
	bpf_map_push_elem(&free_slots, &place->slot, BPF_EXIST);
	theirs = bpf_map_lookup_elem(&group_places, key);
	if (theirs) {
		*place = *theirs;
		return;
	}
none:
	place_other(place);
}

static __always_inline void place_of_key(const struct group_key *key, struct group_place *place)
{
	struct group_place *known = bpf_map_lookup_elem(&group_places, key);

	if (known)
		*place = *known;
	else
		add_group(key, place);
}

#endif
