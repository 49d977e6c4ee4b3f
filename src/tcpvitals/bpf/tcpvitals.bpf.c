/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Every program, each a thin entry for a handler that its header explains.  User space loads those
 * that a command needs. */
#include "kernel_types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "life.h"
#include "open_files.h"
#include "retransmissions.h"
#include "rtt.h"
#include "totals.h"

SEC("license")
char LICENSE[] = "Dual MIT/GPL";

SEC("fentry/tcp_rcv_established")
int BPF_PROG(rtt_fentry, struct sock *sk)
{
	return on_segment(sk);
}

/* At the same place as the one above. */
SEC("tp_btf/tcp_probe")
int BPF_PROG(rtt_tp_btf, struct sock *sk)
{
	return on_segment(sk);
}

extern void bpf_local_irq_save(unsigned long *flags) __ksym __weak;
extern void bpf_local_irq_restore(unsigned long *flags) __ksym __weak;

/* From 6.2 on the kernel skips a program that would run inside another run of itself on the same
 * CPU. Packets interrupt system calls, and from 7.0 on tasks preempt each other in the middle of a
 * program: where interrupts may be held off (6.14), nothing gets in between. */
#define UNINTERRUPTED(handler)                         \
	({                                             \
		unsigned long flags;                   \
                                                       \
		if (bpf_local_irq_save)                \
			bpf_local_irq_save(&flags);    \
		handler;                               \
		if (bpf_local_irq_save)                \
			bpf_local_irq_restore(&flags); \
		0;                                     \
	})

/* Elsewhere it helps that what a call does has a program of its own, which packets do not need. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_changed_by_call, struct sock *sk, int old_state, int new_state)
{
	if (!is_by_call(old_state, new_state))
		return 0;
	return UNINTERRUPTED(on_state(sk, old_state, new_state));
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_changed_by_packet, struct sock *sk, int old_state, int new_state)
{
	if (is_by_call(old_state, new_state))
		return 0;
	return UNINTERRUPTED(on_state(sk, old_state, new_state));
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(socket_gone, struct sock *sk)
{
	return UNINTERRUPTED(on_end(sk));
}

/* Up to 6.16, but for backports: only what left this host. */
SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmitted, struct sock *sk, struct sk_buff *skb)
{
	return UNINTERRUPTED(on_retransmission(sk, skb, 0));
}

/* From 6.17: failures too. */
SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmitted_or_failed, struct sock *sk, struct sk_buff *skb, int error)
{
	return UNINTERRUPTED(on_retransmission(sk, skb, error));
}

SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(synack_retransmitted, struct sock *sk, struct request_sock *request)
{
	return UNINTERRUPTED(on_synack(sk, request));
}
