/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* The baseline: the algorithm of ebpf-tcprtt, the Go program that tcpvitals replaces, and before it
 * of bcc's tcprtt, written down from their descriptions.
 *
 * One hash map that all CPUs share, a log2 histogram for each key, looked up at every segment; the
 * kernel's memory copied out field by field; atomic additions.  Hooked to tp_btf/tcp_probe, as ours
 * is, so that the hook costs the same. */
#include "kernel_types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define MOST_KEYS 10240
#define SLOTS 27

char LICENSE[] SEC("license")
= "Dual MIT/GPL";

struct histogram {
	__u64 latency;
	__u64 cnt;
	__u32 slots[SLOTS];
};

/* The filters, constant once loaded and off here: like ours they cost next to nothing then.  -ms is
 * left out, because clang would divide either way, and the baseline is to be at its best. */
const volatile struct {
	__u16 sport;
	__u16 dport;
	__u32 saddr;
	__u32 daddr;
} wanted = {};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MOST_KEYS);
	__type(key, __u64);
	__type(value, struct histogram);
} histograms SEC(".maps");

static const struct histogram nothing;

enum grouping {
	WHOLE_HOST,
	BY_REMOTE_ADDRESS,
};

static __always_inline __u64 log2_slot(__u32 value)
{
	__u32 high = 0;

	for (__u32 bits = 16; bits; bits >>= 1) {
		__u32 step = value >> bits ? bits : 0;

		value >>= step;
		high += step;
	}
	return high < SLOTS ? high : SLOTS - 1;
}

static __always_inline bool is_wanted(struct sock *sk)
{
	if (wanted.sport && wanted.sport != BPF_CORE_READ(sk, __sk_common.skc_num))
		return false;
	if (wanted.dport && wanted.dport != BPF_CORE_READ(sk, __sk_common.skc_dport))
		return false;
	if (wanted.saddr && wanted.saddr != BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr))
		return false;
	return !wanted.daddr || wanted.daddr == BPF_CORE_READ(sk, __sk_common.skc_daddr);
}

static __always_inline struct histogram *histogram_of(__u64 key)
{
	struct histogram *found = bpf_map_lookup_elem(&histograms, &key);

	if (found)
		return found;
	bpf_map_update_elem(&histograms, &key, &nothing, BPF_NOEXIST);
	return bpf_map_lookup_elem(&histograms, &key);
}

static __always_inline int count(struct sock *sk, enum grouping grouping, bool extended)
{
	__u64 key = 0;
	struct histogram *to;
	__u32 srtt;

	if (!is_wanted(sk))
		return 0;
	if (grouping == BY_REMOTE_ADDRESS)
		key = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	to = histogram_of(key);
	if (!to)
		return 0;
	srtt = BPF_CORE_READ((struct tcp_sock *)sk, srtt_us) >> 3;
	__sync_fetch_and_add(&to->slots[log2_slot(srtt)], 1);
	if (extended) {
		__sync_fetch_and_add(&to->latency, srtt);
		__sync_fetch_and_add(&to->cnt, 1);
	}
	return 0;
}

SEC("tp_btf/tcp_probe")
int BPF_PROG(seed_whole_host, struct sock *sk)
{
	return count(sk, WHOLE_HOST, false);
}

SEC("tp_btf/tcp_probe")
int BPF_PROG(seed_raddr, struct sock *sk)
{
	return count(sk, BY_REMOTE_ADDRESS, false);
}

/* With -show-ext it also keeps the sum and the count, as ours always does. */
SEC("tp_btf/tcp_probe")
int BPF_PROG(seed_extended, struct sock *sk)
{
	return count(sk, WHOLE_HOST, true);
}
