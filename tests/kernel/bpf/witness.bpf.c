/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* A second opinion for the tests: counts segments and log2 slots of srtt at the same hooks, in its
 * own way and with nothing of ours but the kernel's types; and lends out our bucket function. */
#include "kernel_types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "histogram.h"

SEC("license")
char LICENSE[] = "Dual MIT/GPL";

#define SLOTS 27

const volatile __u32 netns_inode = 0;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} slots SEC(".maps");

static __always_inline int witness(struct sock *sk)
{
	__u32 srtt_us = BPF_CORE_READ((struct tcp_sock *)sk, srtt_us) >> 3, slot = 0;
	__u64 *count;

	if (BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum) != netns_inode)
		return 0;
	/* A loop of branches would be 2^31 paths to the verifier. */
	while (slot < SLOTS - 1 && srtt_us > 1) {
		srtt_us >>= 1;
		slot++;
	}
	count = bpf_map_lookup_elem(&slots, &slot);
	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}

SEC("fentry/tcp_rcv_established")
int BPF_PROG(witness_fentry, struct sock *sk)
{
	return witness(sk);
}

SEC("tp_btf/tcp_probe")
int BPF_PROG(witness_tp_btf, struct sock *sk)
{
	return witness(sk);
}

SEC("raw_tp")
int bucket_of_argument(__u64 *arguments)
{
	return bucket_of((__u32)arguments[0]);
}
