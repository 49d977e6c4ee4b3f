/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* The bucket function; model/histogram.py is its twin, and a test holds the two together. */
#ifndef TCPVITALS_HISTOGRAM_H
#define TCPVITALS_HISTOGRAM_H

#include <bpf/bpf_helpers.h>
#include "records.h"

#define SUB_BUCKET_BITS 4

/* Sixteen buckets of width 1, then sixteen for each power of two (HDR style).  With e the power,
 * the index is (e - 3) * 16 + the four bits below the highest: (e - 4) * 16 + (value >> (e - 4)).
 *
 * Looked for from below, unrolled: round trips of one host are alike, so the branches are foreseen
 * and nothing waits for them, while arithmetic for the power would be waited for every time. */
static __always_inline __u32 bucket_of(__u32 value)
{
	if (value < 1 << SUB_BUCKET_BITS)
		return value;
#pragma clang loop unroll(full)
	for (__u32 shift = 0; shift < (HISTOGRAM_BUCKETS >> SUB_BUCKET_BITS) - 1; shift++)
		if (value < 2U << (SUB_BUCKET_BITS + shift))
			return (shift << SUB_BUCKET_BITS) + (value >> shift);
	return HISTOGRAM_BUCKETS - 1;
}

#endif
