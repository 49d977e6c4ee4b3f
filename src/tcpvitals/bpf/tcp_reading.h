/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* What a TCP socket says of its own round trips, read in one place. */
#ifndef TCPVITALS_TCP_READING_H
#define TCPVITALS_TCP_READING_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "settings.h"
#include "sockets.h"

struct tcp_reading {
	__u32 srtt_us;
	__u32 min_us; /* ~0 before the first sample, as in the kernel */
	__u32 rtt_us; /* the newest sample, 0 before the first */
	__u32 delivered;
	__u32 snd_una;     /* before the segment at hand is looked at */
	__u32 mss;         /* bytes of a full-sized segment */
	bool has_received; /* data */
};

/* Whether it matters which samples are clean. */
static __always_inline bool shows_clean(void)
{
	return settings.histograms.network || settings.histograms.inflation;
}

static __always_inline bool shows_newest(void)
{
	return settings.histograms.rtt || shows_clean();
}

/* In another cache line than the rest. */
static __always_inline bool needs_min(void)
{
	return settings.histograms.min || settings.histograms.inflation || settings.count_context;
}

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

/* Only what is asked for: it is in several cache lines. */
static __always_inline void read_fields(struct tcp_sock *tp, struct tcp_reading *reading,
                                        bool direct)
{
	reading->srtt_us = FIELD(direct, tp, srtt_us) >> 3;
	if (needs_min())
		reading->min_us = FIELD(direct, tp, rtt_min.s[0].v);
	if (!shows_newest())
		return;
	reading->rtt_us = FIELD(direct, tp, rack.rtt_us);
	reading->delivered = FIELD(direct, tp, delivered);
	if (!shows_clean())
		return;
	reading->snd_una = FIELD(direct, tp, snd_una);
	reading->mss = FIELD(direct, tp, mss_cache);
	reading->has_received = FIELD(direct, tp, bytes_received);
}

/* False when the socket is not TCP after all.  bpf_skc_to_tcp_sock came with 5.9; its pointer is
 * read directly, which lockdown allows and bpf_probe_read_kernel does not. */
static __always_inline bool read_tcp(struct sock *sk, struct tcp_reading *reading)
{
	struct tcp_sock *tp;

	if (!HAVE_SKC_TO_TCP_SOCK) {
		read_fields((struct tcp_sock *)sk, reading, false);
		return true;
	}
	tp = tcp_sock_of(sk);
	if (!tp)
		return false;
	read_fields(tp, reading, true);
	return true;
}

#endif
