/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* A slot's counters, and adding to them.  They only ever grow; user space subtracts. */
#ifndef TCPVITALS_COUNTERS_H
#define TCPVITALS_COUNTERS_H

#include <bpf/bpf_helpers.h>
#include "histogram.h"
#include "records.h"
#include "settings.h"

/* Slots below `sharded_slots` have `shard_mask + 1` records each, side by side; the rest, one each.
 * Slots are handed out in order, so the first and as a rule busiest groups have the shards. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before load */
	__type(key, __u32);
	__type(value, struct rtt_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct losses);
} losses SEC(".maps");

static __always_inline struct losses *losses_here(void)
{
	__u32 only = 0;

	return bpf_map_lookup_elem(&losses, &only);
}

/* One of several histograms is that many records further on. */
static __always_inline struct rtt_counters *counters_after(__u32 skipped, __u32 slot)
{
	__u32 sharded = settings.sharded_slots, mask = settings.shard_mask; /* read once each */
	__u32 index = skipped + sharded * mask + slot;

	if (slot < sharded)
		index = skipped + slot * (mask + 1) + (bpf_get_smp_processor_id() & mask);
	return bpf_map_lookup_elem(&counters, &index);
}

static __always_inline struct rtt_counters *counters_of(__u32 slot)
{
	return counters_after(0, slot);
}

/* Compare-and-swap needs -mcpu=v3 (5.12).  Without, a raise that meets another may be lost; user
 * space then sees that the bucket of the lost value is beyond the extreme, and trusts the bucket.
 */
static __always_inline void raise_shared(__u32 *extreme, __u32 value)
{
#if __BPF_CPU_VERSION__ >= 3
	__u32 seen = *extreme;

	for (int tries = 0; tries < 8 && value > seen; tries++) {
		__u32 found = __sync_val_compare_and_swap(extreme, seen, value);

		if (found == seen)
			break;
		seen = found;
	}
#else
	*extreme = value;
#endif
}

static __always_inline void add_shared(struct rtt_counters *to, __u64 bucket, __u32 value_us)
{
	__sync_fetch_and_add(&to->buckets[bucket], 1);
	__sync_fetch_and_add(&to->sum_us, value_us);
	if (value_us > to->max_us)
		raise_shared(&to->max_us, value_us);
	if (~value_us > to->min_us_complement)
		raise_shared(&to->min_us_complement, ~value_us);
}

static __always_inline void add_exclusive(struct rtt_counters *to, __u64 bucket, __u32 value_us)
{
	to->buckets[bucket]++;
	to->sum_us += value_us;
	if (value_us > to->max_us)
		to->max_us = value_us;
	if (~value_us > to->min_us_complement)
		to->min_us_complement = ~value_us;
}

/* One CPU a shard, and nothing interrupts us there. */
static __always_inline bool is_exclusive(__u32 slot)
{
	return settings.exclusive_shards && slot < settings.sharded_slots;
}

static __always_inline void add_count(__u64 *counter, __u32 slot, __u64 value)
{
	if (is_exclusive(slot))
		*counter += value;
	else
		__sync_fetch_and_add(counter, value);
}

static __always_inline void raise(__u32 *extreme, __u32 slot, __u32 value)
{
	if (value <= *extreme)
		return;
	if (is_exclusive(slot))
		*extreme = value;
	else
		raise_shared(extreme, value);
}

static __always_inline void add_sample(struct rtt_counters *to, __u32 slot, __u32 value_us)
{
	__u64 bucket = bucket_of(settings.unit_us > 1 ? value_us / settings.unit_us : value_us);

	barrier_var(bucket); /* the verifier is to see the bound on the register that is used */
	if (bucket >= HISTOGRAM_BUCKETS)
		return;
	if (is_exclusive(slot))
		add_exclusive(to, bucket, value_us);
	else
		add_shared(to, bucket, value_us);
}

#endif
