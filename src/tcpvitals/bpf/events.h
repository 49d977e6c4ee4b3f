/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* The ring that takes rare things to user space one by one.  Totals never depend on it. */
#ifndef TCPVITALS_EVENTS_H
#define TCPVITALS_EVENTS_H

#include "counters.h"
#include "owners.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* bytes; set before load */
} events SEC(".maps");

/* Nobody uses it: it takes the layouts of what is in the ring into the object's BTF. */
const struct event_records {
	struct retransmission retransmission;
	struct state_change state_change;
} *event_records;

static __always_inline void *reserve_event(__u64 bytes)
{
	void *record = bpf_ringbuf_reserve(&events, bytes, 0);
	struct losses *lost;

	if (record)
		return record;
	lost = losses_here();
	if (lost)
		__sync_fetch_and_add(&lost->events, 1);
	return NULL;
}

/* Whatever is not set here or by the caller would be an older event's. */
static __always_inline void begin_event(struct event *event, enum event_kind kind, struct sock *sk,
                                        const struct socket_state *state,
                                        const struct endpoints *ends)
{
	event->since_boot_ns = bpf_ktime_get_boot_ns();
	event->cgroup_id = cgroup_of(sk, true);
	event->ends = *ends;
	event->owner = state ? state->owner : (struct owner){};
	event->kind = kind;
	event->padding = 0;
}

#endif
