/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* How far away the other end is, as the two addresses tell. */
#ifndef TCPVITALS_SCOPES_H
#define TCPVITALS_SCOPES_H

#include <bpf/bpf_endian.h>
#include "records.h"

/* Whether an address begins with the `bits` of a prefix; both in host order. */
static __always_inline bool begins_with(__u32 word, __u32 prefix, int bits)
{
	return !((word ^ prefix) >> (32 - bits));
}

static __always_inline enum scope scope_of_v4(__u32 word)
{
	if (begins_with(word, 0x7f000000, 8))
		return SCOPE_LOOPBACK;
	if (begins_with(word, 0xa9fe0000, 16))
		return SCOPE_LINK_LOCAL;
	if (begins_with(word, 0x0a000000, 8) || begins_with(word, 0xac100000, 12) ||
	    begins_with(word, 0xc0a80000, 16) || begins_with(word, 0x64400000, 10))
		return SCOPE_PRIVATE;
	return SCOPE_PUBLIC;
}

static __always_inline enum scope scope_of_v6(const struct address *address, __u32 word)
{
	if (!word && !address->words_be[1] && !address->words_be[2] &&
	    address->words_be[3] == bpf_htonl(1))
		return SCOPE_LOOPBACK;
	if (begins_with(word, 0xfe800000, 10))
		return SCOPE_LINK_LOCAL;
	if (begins_with(word, 0xfc000000, 7))
		return SCOPE_PRIVATE;
	return SCOPE_PUBLIC;
}

static __always_inline bool is_same(const struct address *one, const struct address *other)
{
	return !((one->words_be[0] ^ other->words_be[0]) | (one->words_be[1] ^ other->words_be[1]) |
	         (one->words_be[2] ^ other->words_be[2]) | (one->words_be[3] ^ other->words_be[3]));
}

static __always_inline bool is_unspecified(const struct address *address)
{
	return !(address->words_be[0] | address->words_be[1] | address->words_be[2] |
	         address->words_be[3]);
}

/* A socket that listens has no other end.  What a host sends to its own address, whichever that is,
 * goes over loopback. */
static __always_inline enum scope scope_of(const struct endpoints *ends)
{
	__u32 word = bpf_ntohl(ends->raddr.words_be[0]);

	if (is_unspecified(&ends->raddr))
		return SCOPE_UNKNOWN;
	if (is_same(&ends->laddr, &ends->raddr))
		return SCOPE_LOOPBACK;
	return ends->family == 4 ? scope_of_v4(word) : scope_of_v6(&ends->raddr, word);
}

#endif
