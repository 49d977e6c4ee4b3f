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
#include "settling.h"
#include "totals.h"

SEC("license")
char LICENSE[] = "Dual MIT/GPL";

SEC("fentry/tcp_rcv_established")
int BPF_PROG(rtt_fentry, struct sock *sk, struct sk_buff *skb)
{
	return on_segment(sk, skb);
}

/* At the same place as the one above. */
SEC("tp_btf/tcp_probe")
int BPF_PROG(rtt_tp_btf, struct sock *sk, struct sk_buff *skb)
{
	return on_segment(sk, skb);
}

/* From 6.2 on the kernel skips a program that would run inside another run of itself on the same
 * CPU. Packets interrupt system calls: what a call does has a program of its own, so that neither
 * makes the kernel skip the other.  Holding interrupts off does not help: what is pending comes as
 * soon as they are let in again, which is still inside the run. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_changed_by_call, struct sock *sk, int old_state, int new_state)
{
	return is_by_call(old_state, new_state) ? on_state(sk, old_state, new_state) : 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_changed_by_packet, struct sock *sk, int old_state, int new_state)
{
	return is_by_call(old_state, new_state) ? 0 : on_state(sk, old_state, new_state);
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(socket_gone, struct sock *sk)
{
	return on_end(sk);
}

/* Up to 6.16, but for backports: only what left this host. */
SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmitted, struct sock *sk, struct sk_buff *skb)
{
	return on_retransmission(sk, skb, 0);
}

/* From 6.17: failures too. */
SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmitted_or_failed, struct sock *sk, struct sk_buff *skb, int error)
{
	return on_retransmission(sk, skb, error);
}

SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(synack_retransmitted, struct sock *sk, struct request_sock *request)
{
	return on_synack(sk, request);
}
