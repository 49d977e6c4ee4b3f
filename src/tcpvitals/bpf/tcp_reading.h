/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* What a TCP socket says of its own round trips, read in one place. */
#ifndef TCPVITALS_TCP_READING_H
#define TCPVITALS_TCP_READING_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "kernel_types.h"

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

/* False when the socket is not TCP after all.  bpf_skc_to_tcp_sock came with 5.9; its pointer is
 * read directly, which lockdown allows and bpf_probe_read_kernel does not. */
static __always_inline bool read_tcp(struct sock *sk, struct tcp_reading *reading)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;

	if (HAVE_SKC_TO_TCP_SOCK) {
		tp = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);
		if (!tp)
			return false;
		reading->srtt_us = tp->srtt_us >> 3;
		reading->min_us = tp->rtt_min.s[0].v;
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
