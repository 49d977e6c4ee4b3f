/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Groups of sockets and where their counters are.
 *
 * User space fills `free_slots` and takes idle groups' slots back; we take a slot for each new key
 * and never give one up, but for the loser of a race.  A socket remembers its slot and the slot's
 * generation; a generation that moved on means that the slot was taken back. */
#ifndef TCPVITALS_GROUPS_H
#define TCPVITALS_GROUPS_H

#include "scopes.h"
#include "sockets.h"

/* A table of slots; what they count is elsewhere.  Their lengths are set before load. */
struct places {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct group_key);
	__type(value, struct group_place);
};

struct slots {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct group);
};

struct free {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__type(value, __u32);
};

struct places group_places SEC(".maps");
struct slots groups SEC(".maps");
struct free free_slots SEC(".maps");

/* Which of the tables; a constant wherever it is used. */
struct table {
	void *places;
	void *slots;
	void *free;
};

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
static __always_inline void key_ends(struct group_key *key, const struct endpoints *ends, __u8 role)
{
	if (settings.key_parts & KEY_LPORT)
		key->lport = ends->lport;
	if (settings.key_parts & KEY_RPORT)
		key->rport = ends->rport;
	if (settings.key_parts & KEY_SERVICE)
		key->service_port = role == ROLE_SERVER ? ends->lport : ends->rport;
	if (settings.key_parts & KEY_ROLE)
		key->role_scope |= role;
	if (settings.key_parts & KEY_SCOPE)
		key->role_scope |= scope_of(ends) << ROLE_BITS;
}

/* Sockets without a group share one, and look again whenever its generation moves on. */
static __always_inline void place_other(struct table table, struct group_place *place)
{
	__u32 slot = SLOT_OTHER;
	struct group *other = bpf_map_lookup_elem(table.slots, &slot);

	place->slot = SLOT_OTHER;
	place->generation = other ? other->generation : 0;
}

/* Two CPUs may do this for one key at a time: the second finds the first's place and hands its own
 * slot back. */
static __always_inline void add_group(struct table table, const struct group_key *key,
                                      struct group_place *place)
{
	struct group_place *theirs;
	struct group *group;

	if (bpf_map_pop_elem(table.free, &place->slot))
		goto none;
	group = bpf_map_lookup_elem(table.slots, &place->slot);
	if (!group)
		goto none;
	group->key = *key;
	place->generation = group->generation;
	if (!bpf_map_update_elem(table.places, key, place, BPF_NOEXIST)) {
		group->in_use = 1;
		return;
	}
	bpf_map_push_elem(table.free, &place->slot, BPF_EXIST);
	theirs = bpf_map_lookup_elem(table.places, key);
	if (theirs) {
		*place = *theirs;
		return;
	}
none:
	place_other(table, place);
}

static __always_inline void place_of_key(struct table table, const struct group_key *key,
                                         struct group_place *place)
{
	struct group_place *known = bpf_map_lookup_elem(table.places, key);

	if (known)
		*place = *known;
	else
		add_group(table, key, place);
}

#endif
