/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* What a TCP socket says of its own round trips, read in one place. */
#ifndef TCPVITALS_TCP_READING_H
#define TCPVITALS_TCP_READING_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "kernel_types.h"
#include "settings.h"

struct tcp_reading {
	__u32 srtt_us;
	__u32 min_us; /* ~0 before the first sample, as in the kernel */
	__u32 rtt_us; /* the newest sample, 0 before the first */
	__u32 delivered;
};

enum bpf_func_id___tcp_reading {
	BPF_FUNC_skc_to_tcp_sock___tcp_reading = 1,
};

#define HAVE_SKC_TO_TCP_SOCK                                       \
	bpf_core_enum_value_exists(enum bpf_func_id___tcp_reading, \
	                           BPF_FUNC_skc_to_tcp_sock___tcp_reading)

extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

/* From 6.2 on the verifier takes our word for what the hook passes, and the cast is no instruction;
 * before, bpf_skc_to_tcp_sock (5.9) is a call that looks at the socket. */
static __always_inline struct tcp_sock *tcp_sock_of(struct sock *sk)
{
	if (bpf_rdonly_cast)
		return bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
	return (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);
}

/* False when the socket is not TCP after all.  bpf_skc_to_tcp_sock came with 5.9; its pointer is
 * read directly, which lockdown allows and bpf_probe_read_kernel does not. */
static __always_inline bool read_tcp(struct sock *sk, struct tcp_reading *reading)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;

	if (HAVE_SKC_TO_TCP_SOCK) {
		tp = tcp_sock_of(sk);
		if (!tp)
			return false;
		reading->srtt_us = tp->srtt_us >> 3;
		/* Another cache line, and not always wanted. */
		reading->min_us = settings.sample >= SAMPLE_MIN || settings.all_samples
		                          ? tp->rtt_min.s[0].v
		                          : ~0U;
		reading->rtt_us = tp->rack.rtt_us;
		reading->delivered = tp->delivered;
		return true;
	}
	reading->srtt_us = BPF_CORE_READ(tp, srtt_us) >> 3;
	reading->min_us = BPF_CORE_READ(tp, rtt_min.s[0].v);
	reading->rtt_us = BPF_CORE_READ(tp, rack.rtt_us);
	reading->delivered = BPF_CORE_READ(tp, delivered);
	return true;
}

#endif
