/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* The bucket function; model/histogram.py is its twin, and a test holds the two together. */
#ifndef TCPVITALS_HISTOGRAM_H
#define TCPVITALS_HISTOGRAM_H

#include <bpf/bpf_helpers.h>
#include "records.h"

#define SUB_BUCKET_BITS 4

/* Position of the highest set bit of a value that is not 0.  Without branches: round trips differ
 * from segment to segment, and a ladder of comparisons would be foreseen wrongly. */
static __always_inline __u32 log2_floor(__u32 value)
{
	__u32 result = 0, step;

	step = (value > 0xffff) << 4;
	value >>= step;
	result |= step;
	step = (value > 0xff) << 3;
	value >>= step;
	result |= step;
	step = (value > 0xf) << 2;
	value >>= step;
	result |= step;
	step = (value > 0x3) << 1;
	value >>= step;
	result |= step;
	return result | (value >> 1);
}

/* Sixteen buckets of width 1, then sixteen for each power of two (HDR style).  With e the power,
 * the index is (e - 3) * 16 + the four bits below the highest: (e - 4) * 16 + (value >> (e - 4)).
 */
static __always_inline __u32 bucket_of(__u32 value)
{
	__u32 shift, index;

	if (value < 1 << SUB_BUCKET_BITS)
		return value;
	shift = log2_floor(value) - SUB_BUCKET_BITS;
	index = (shift << SUB_BUCKET_BITS) + (value >> shift);
	return index < HISTOGRAM_BUCKETS ? index : HISTOGRAM_BUCKETS - 1;
}

#endif
