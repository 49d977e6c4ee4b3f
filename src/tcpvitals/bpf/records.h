/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* What crosses between kernel and user space: fixed widths, explicit padding, the unit in the name.
 * Python takes these layouts from the BTF of the built object; nothing declares them again. */
#ifndef TCPVITALS_RECORDS_H
#define TCPVITALS_RECORDS_H

#include <linux/types.h>

#define HISTOGRAM_BUCKETS 384
#define MAX_PORT_RANGES 64

/* Where counters are: the slots from FIRST on are the groups'.  A socket's slot is UNRESOLVED until
 * its first segment, REJECTED when the filters do not want it, OTHER when no slot was free.  The
 * counters of the slot UNRESOLVED are nobody's. */
enum slot {
	SLOT_UNRESOLVED = 0,
	SLOT_OTHER = 1,
	SLOT_FIRST = 2,
	SLOT_REJECTED = 0xffffffff,
};

#define ROLE_BITS 4

enum role {
	ROLE_UNKNOWN = 0,
	ROLE_CLIENT = 1,
	ROLE_SERVER = 2,
};

/* Which of the histograms each sample has: 1 for the first, and so on; 0 for none. */
struct histograms {
	__u8 srtt;
	__u8 rtt;
	__u8 min;
	__u8 network;   /* clean samples: of ACKs that had to be sent at once */
	__u8 inflation; /* the same, above the connection's minimum */
};

/* Why a segment was sent again. */
enum cause {
	CAUSE_OTHER = 0,
	CAUSE_RTO = 1,
	CAUSE_FAST = 2,
	CAUSE_SLOW_START = 3, /* after a timeout */
	CAUSE_TLP = 4,        /* tail loss probe */
	CAUSE_SYN = 5,
	CAUSE_SYNACK = 6,
	CAUSES = 7,
};

/* What could not be counted, for each CPU; user space shows each field by its name. */
struct losses {
	/* A socket could get no state of its own: new samples of its round trips cannot be told
	 * apart from ones already counted, and its totals start anew at every retransmission. */
	__u64 socket_state;
	/* Events for which the ring had no room. */
	__u64 events;
	/* Additions to the totals of a network namespace that has no slot: they are in `other`. */
	__u64 namespaces;
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
	KEY_PROCESS = 128,
	KEY_CGROUP = 256,
	KEY_SCOPE = 512,
};

/* Where the other end is. */
enum scope {
	SCOPE_UNKNOWN = 0,
	SCOPE_LOOPBACK = 1,
	SCOPE_LINK_LOCAL = 2,
	SCOPE_PRIVATE = 4,
	SCOPE_PUBLIC = 8,
};

#define COMM_BYTES 16

/* 128 bits in network order; an IPv4 address has family 4 and fills the first word. */
struct address {
	__u32 words_be[4];
};

struct group_key {
	struct address laddr;
	struct address raddr;
	char comm[COMM_BYTES];
	__u64 netns_cookie; /* before 5.12, what stands in for it */
	__u64 cgroup_id;    /* 0 when unknown */
	__u32 netns_inode;
	__u32 tgid; /* 0 when unknown */
	__u16 lport;
	__u16 rport;
	__u16 service_port;
	__u8 family;     /* 4, 6, or 0 when the key has no address */
	__u8 role_scope; /* enum role, and enum scope above ROLE_BITS: 5.10 has no stack for more */
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
	/* What stands beside clean samples, where `settings.count_context`. */
	__u32 floor_us_complement; /* of the connections' minimum RTT, as the kernel has it */
	__u64 samples;             /* clean or not: this histogram has the clean ones */
	__u64 handshakes;
	__u64 handshake_sum_us;
	__u64 padding[2];
	__u64 buckets[HISTOGRAM_BUCKETS];
};

/* What the kernel's own counters of a socket (struct tcp_sock) said when they were last added to
 * the totals. */
struct accounted {
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u32 data_segs_out;
	__u32 total_retrans;
	__u32 dsack_dups;
	__u32 timeouts; /* of a step only: `socket_state.timeouts` remembers them */
};

/* The process that a socket belongs to; tgid 0 is unknown. */
struct owner {
	__u32 tgid;
	char comm[COMM_BYTES];
};

/* What the segments before this one left of a socket. */
enum sampling {
	SAMPLING_BEGUN = 1, /* `delivered` is known */
	SAMPLING_CLEAN = 2, /* the last ACK had to be sent at once: its sample is the network's */
};

/* One for each socket; a segment touches no more than the first 16 bytes. */
struct socket_state {
	__u32 slot;
	__u32 generation;
	__u32 delivered;
	__u8 role;
	__u8 sampling;        /* of enum sampling */
	__u8 accounted_known; /* `accounted` says where its counters stood */
	__u8 closed;          /* all it did is in the totals */
	struct accounted accounted;
	__u64 since_boot_ns; /* when its TCP state began, 0 if unknown */
	__u32 event_retrans; /* total_retrans at its last event */
	__u32 owner_pass;    /* the pass over all open files that last saw the owner */
	struct owner owner;
	__u8 handshake; /* its total_retrans may begin with SYN-ACKs, counted one by one */
	__u8 settling;  /* the settling that last met it */
	__u8 followed;  /* begun in `lives`, and not yet ended */
	__u8 padding;
	__u64 timeouts; /* what the kernel said of its timeouts when they were last counted */
};

/* Connections whose counters are followed to their end: begun, less ended, less those that are met
 * when all are settled, are those whose end no program of ours saw. */
struct lives {
	__u64 begun;
	__u64 ended;
	__u64 late;      /* of the ended ones: only the socket's end was seen, and not its close */
	__u64 met;       /* in this settling */
	__u64 met_other; /* likewise, but not followed, and no newcomers */
	/* What connections had retransmitted before anything was seen of them, where that may have
	 * been before we began: it is in no total. */
	__u64 left_out;
	__u64 timeouts_left_out;
};

/* The totals of one group or of one network namespace; they only grow. */
struct retrans_counters {
	__u64 segments_sent; /* data_segs_out: with data, retransmitted ones included */
	__u64 bytes_sent;
	__u64 segments_retransmitted; /* total_retrans, and SYN-ACKs */
	__u64 bytes_retransmitted;
	__u64 segments_unnecessary; /* dsack_dups: the peer had them already */
	__u64 segments_failed;      /* counted by the kernel, but did not leave this host */
	__u64 segments_control;     /* of the retransmitted ones: those without data */
	__u64 attempts_put_off;     /* not counted by the kernel: still in this host's queue */
	__u64 timeouts;             /* after which the connection or handshake went on */
	__u64 timeouts_last;        /* connections given up at a timeout */
	__u64 handshakes_timed_out; /* connection requests with at least one timeout */
	__u64 handshakes_late;      /* those of them that became connections all the same */
	__u64 connections_opened;
	__u64 connections_closed; /* of the opened ones, and of those older than we are */
	__u64 connections_failed; /* attempts that came to nothing */
	__u64 by_cause[CAUSES];   /* segments, without the failed ones */
};

/* Which ports tell flows apart. */
enum flow_ports {
	FLOWS_OFF = 0,     /* flows are not counted */
	FLOWS_BOUNDED = 1, /* the service's; the ephemeral side's is 0 */
	FLOWS_FULL = 2,
};

/* A network namespace, and a process in it. */
struct netns_task {
	__u64 cookie; /* before 5.12, what stands in for it */
	__u32 inode;
	__u32 tgid;
};

/* A socket's two ends, addresses of dual-stack sockets already as plain IPv4. */
struct endpoints {
	struct address laddr;
	struct address raddr;
	__u32 netns_inode;
	__u16 lport;
	__u16 rport;
	__u8 family; /* 4 or 6 */
	__u8 padding[3];
};

enum event_kind {
	EVENT_RETRANSMISSION = 1,
	EVENT_STATE = 2,
};

/* How every event begins. */
struct event {
	__u64 since_boot_ns;
	__u64 cgroup_id;
	struct endpoints ends;
	struct owner owner;
	enum event_kind kind;
	__u32 padding;
};

struct retransmission {
	struct event event;
	__u32 segments;
	__u32 bytes;
	__u32 seq;
	__u32 attempt; /* 1 for the first retransmission of this data */
	__u32 srtt_us;
	__u32 cwnd;
	__u32 error; /* errno, 0 if it left this host */
	enum cause cause;
	__u32 state;
	__u32 padding;
};

struct state_change {
	struct event event;
	__u64 socket;  /* its address in the kernel */
	__u64 took_ns; /* in the old state, 0 if unknown */
	__u32 old_state;
	__u32 new_state;
};

struct listener {
	__u32 netns_inode;
	__u16 port;
	__u16 padding;
};

/* What a connection takes over from its listener's port where it cannot from the listener. */
struct listening {
	enum role role;
	__u32 owner_pass; /* as in struct socket_state */
	struct owner owner;
};

struct address_filter {
	struct address address;
	struct address mask;
	__u32 family; /* 4, 6, or 0: any address will do */
};

struct port_range {
	__u16 first;
	__u16 last; /* inclusive */
};

struct port_filter {
	__u32 count; /* 0: any port will do */
	struct port_range ranges[MAX_PORT_RANGES];
};

/* Fixed before the programs are loaded: the verifier removes what they rule out. */
struct settings {
	struct address_filter want_laddr;
	struct address_filter want_raddr;
	struct port_filter want_lport;
	struct port_filter want_rport;
	__u32 want_family; /* 4, 6, or 0: both */
	__u32 want_netns_inode;
	enum scope want_scopes; /* any of them together, or 0: all */
	__u32 want_tgid;        /* or 0: any */

	enum key_part key_parts; /* any of them together */
	struct address laddr_mask_v4;
	struct address laddr_mask_v6;
	struct address raddr_mask_v4;
	struct address raddr_mask_v6;

	__u32 unit_us; /* bucketed value = microseconds / this */

	enum flow_ports flow_ports;
	__u32 histogram_records; /* from one histogram of all slots to the next */

	__u32 shard_mask;      /* shards - 1, a power of two */
	__u32 sharded_slots;   /* slots below this have a counter for each shard */
	__u8 exclusive_shards; /* one CPU a shard, and nothing interrupts us there: no atomics */
	__u8 per_socket;       /* grouping, filters or sample need to remember the socket */
	__u8 socket_storage;   /* sk_storage may be used here, else a hash by pointer */
	__u8 need_role;
	__u8 need_owner;
	__u8 count_totals;     /* retransmissions and what was sent, for each group */
	__u8 count_namespaces; /* the same for each network namespace, filters or not */
	__u8 emit_retransmissions;
	__u8 emit_states;
	__u8 count_live; /* the iterator counts the connections that are open */
	struct histograms histograms;
	__u8 count_context; /* what stands beside clean samples; there is one histogram */
};

#endif
