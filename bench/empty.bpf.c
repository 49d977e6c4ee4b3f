/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* What the hook itself costs, and what measuring costs: taken off every other figure. */
#include "kernel_types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license")
= "Dual MIT/GPL";

SEC("tp_btf/tcp_probe")
int BPF_PROG(empty, struct sock *sk)
{
	return 0;
}
