/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* What crosses between kernel and user space: fixed widths, explicit padding, the unit in the name.
 * Python takes these layouts from the BTF of the built object; nothing declares them again. */
#ifndef TCPVITALS_RECORDS_H
#define TCPVITALS_RECORDS_H

#include <linux/types.h>

#define HISTOGRAM_BUCKETS 384
#define MAX_PORTS 64

/* Where counters are: the slots from FIRST on are the groups'.  A socket's slot is UNRESOLVED until
 * its first segment, REJECTED when the filters do not want it, OTHER when no slot was free. */
enum slot {
	SLOT_UNRESOLVED = 0,
	SLOT_OTHER = 1,
	SLOT_FIRST = 2,
	SLOT_REJECTED = 0xffffffff,
};

enum role {
	ROLE_UNKNOWN = 0,
	ROLE_CLIENT = 1,
	ROLE_SERVER = 2,
};

enum sample {
	SAMPLE_SRTT = 0,
	SAMPLE_RTT = 1,
	SAMPLE_MIN = 2,
	SAMPLE_INFLATION = 3,
};

/* What could not be counted, for each CPU; user space shows each field by its name. */
struct losses {
	/* A socket could get no state of its own, so its samples of `rtt` or `inflation` cannot be
	 * told apart from ones already counted, and are left out. */
	__u64 socket_state;
};

/* Parts of the key; what is not in `settings.key_parts` stays zero. */
enum key_part {
	KEY_LADDR = 1,
	KEY_RADDR = 2,
	KEY_LPORT = 4,
	KEY_RPORT = 8,
	KEY_SERVICE = 16,
	KEY_ROLE = 32,
	KEY_NETNS = 64,
};

/* 128 bits in network order; an IPv4 address has family 4 and fills the first word. */
struct address {
	__u32 words_be[4];
};

struct group_key {
	struct address laddr;
	struct address raddr;
	__u64 netns_cookie; /* 0 where the kernel has none to read */
	__u64 cgroup_id;    /* room for what is to come */
	__u32 netns_inode;
	__u32 tgid; /* room for what is to come */
	__u16 lport;
	__u16 rport;
	__u16 service_port;
	__u8 family; /* 4, 6, or 0 when the key has no address */
	__u8 role;
};

/* Where a key's counters are.  The generation tells a slot's successive groups apart. */
struct group_place {
	enum slot slot;
	__u32 generation;
};

/* One for each slot: whose it is. */
struct group {
	struct group_key key;
	__u32 generation;
	__u32 in_use;
};

/* One for each slot and shard, a whole number of cache lines.  `raised` fields only grow: the
 * smallest sample is kept as its complement, so that zeroes are a fresh record. */
struct rtt_counters {
	__u32 generation;
	__u32 max_us;
	__u64 sum_us;
	__u32 min_us_complement;
	__u32 padding[11];
	__u64 buckets[HISTOGRAM_BUCKETS];
};

/* One for each socket. */
struct socket_state {
	__u32 slot;
	__u32 generation;
	__u32 delivered;
	__u8 role;
	__u8 delivered_known;
	__u16 padding;
};

struct listener {
	__u32 netns_inode;
	__u16 port;
	__u16 padding;
};

struct address_filter {
	struct address address;
	struct address mask;
	__u32 family; /* 4, 6, or 0: any address will do */
};

struct port_filter {
	__u32 count; /* 0: any port will do */
	__u16 ports[MAX_PORTS];
};

/* Fixed before the programs are loaded: the verifier removes what they rule out. */
struct settings {
	struct address_filter want_laddr;
	struct address_filter want_raddr;
	struct port_filter want_lport;
	struct port_filter want_rport;
	__u32 want_family; /* 4, 6, or 0: both */
	__u32 want_netns_inode;

	enum key_part key_parts; /* any of them together */
	struct address laddr_mask_v4;
	struct address laddr_mask_v6;
	struct address raddr_mask_v4;
	struct address raddr_mask_v6;

	enum sample sample;
	__u32 unit_us; /* bucketed value = microseconds / this */

	__u32 shard_mask;      /* shards - 1, a power of two */
	__u32 sharded_slots;   /* slots below this have a counter for each shard */
	__u8 exclusive_shards; /* one CPU a shard, and nothing interrupts us there: no atomics */
	__u8 per_socket;       /* grouping, filters or sample need to remember the socket */
	__u8 socket_storage;   /* sk_storage may be used here, else a hash by pointer */
	__u8 need_role;
};

#endif
