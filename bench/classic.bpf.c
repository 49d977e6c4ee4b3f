/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* The baselines of rare things: what the usual tools do at a retransmission and at a state change.
 *
 * At a retransmission ebpf-network-viz's algorithm: a record with addresses, ports, state and the
 * current task goes to user space.  At a state change tcpstates': when the state began is kept in a
 * hash by the socket's address, and a record goes to user space.  Both write to a ring buffer here,
 * which is the quicker way, and has room. */
#include "kernel_types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license")
= "Dual MIT/GPL";

struct record {
	__u64 when_ns;
	__u64 socket;
	__u64 took_us;
	__u32 pid;
	__u16 family, lport, rport, state, old_state, padding;
	__u8 laddr[16], raddr[16];
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct sock *);
	__type(value, __u64);
} since SEC(".maps");

static __always_inline struct record *begin(struct sock *sk)
{
	struct record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record)
		return NULL;
	record->when_ns = bpf_ktime_get_ns();
	record->socket = (__u64)sk;
	record->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	record->family = sk->__sk_common.skc_family;
	record->lport = sk->__sk_common.skc_num;
	record->rport = sk->__sk_common.skc_dport;
	if (record->family == AF_INET) {
		BPF_CORE_READ_INTO((__u32 *)record->laddr, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((__u32 *)record->raddr, sk, __sk_common.skc_daddr);
	} else {
		BPF_CORE_READ_INTO(&record->laddr, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&record->raddr, sk, __sk_common.skc_v6_daddr);
	}
	return record;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(classic_retransmission, struct sock *sk)
{
	struct record *record = begin(sk);

	if (!record)
		return 0;
	record->state = sk->__sk_common.skc_state;
	bpf_ringbuf_submit(record, 0);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(classic_state, struct sock *sk, int old_state, int new_state)
{
	__u64 now = bpf_ktime_get_ns(), *began;
	struct record *record;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	began = bpf_map_lookup_elem(&since, &sk);
	record = begin(sk);
	if (record) {
		record->took_us = began ? (now - *began) / 1000 : 0;
		record->old_state = old_state;
		record->state = new_state;
		bpf_ringbuf_submit(record, 0);
	}
	if (new_state == TCP_CLOSE)
		bpf_map_delete_elem(&since, &sk);
	else
		bpf_map_update_elem(&since, &sk, &now, BPF_ANY);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(empty_state, struct sock *sk)
{
	return 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(empty_retransmission, struct sock *sk)
{
	return 0;
}
