/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
#ifndef TCPVITALS_EXCHANGE_H
#define TCPVITALS_EXCHANGE_H

/* Puts a new value, and returns the old one.  Kernels before 5.12 cannot do it in one step: there a
 * step could be added twice by two that meet within these few instructions. */
#if __BPF_CPU_VERSION__ >= 3
#define EXCHANGE(at, value) __sync_lock_test_and_set(at, value)
#else
#define EXCHANGE(at, value)                                             \
	({                                                              \
		typeof(value) before = *(volatile typeof(value) *)(at); \
		*(volatile typeof(value) *)(at) = (value);              \
		before;                                                 \
	})
#endif

#endif
