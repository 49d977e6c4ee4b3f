/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* What we remember of each socket, and who it is.
 *
 * Tracing programs may use sk_storage from 5.11 on; the kernel then frees the state with the
 * socket. Before, a hash by the socket's address stands in, and tcp_destroy_sock frees it.  Nothing
 * outside this file knows which. */
#ifndef TCPVITALS_SOCKETS_H
#define TCPVITALS_SOCKETS_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "kernel_types.h"
#include "records.h"
#include "settings.h"

/* A connection that is accepted begins with a copy of its listener's state (BPF_F_CLONE). */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct socket_state);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, __u64);
	__type(value, struct socket_state);
} sockets_by_pointer SEC(".maps");

/* Who listened when we started or since: how to tell the role of a connection of which we saw
 * neither connect nor accept, because it is older than we are or the kernel skipped us. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct listener);
	__type(value, struct listening);
} listeners SEC(".maps");

static __always_inline struct socket_state *find_socket(struct sock *sk)
{
	__u64 pointer = (__u64)sk;

	if (settings.socket_storage)
		return bpf_sk_storage_get(&sockets, sk, 0, 0);
	return bpf_map_lookup_elem(&sockets_by_pointer, &pointer);
}

static __always_inline struct socket_state *find_or_add_stand_in(struct sock *sk)
{
	struct socket_state fresh = {}, *state;
	__u64 pointer = (__u64)sk;

	state = bpf_map_lookup_elem(&sockets_by_pointer, &pointer);
	if (state)
		return state;
	bpf_map_update_elem(&sockets_by_pointer, &pointer, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&sockets_by_pointer, &pointer);
}

/* Null only when the kernel gives no memory, or the stand-in is full. */
static __always_inline struct socket_state *find_or_add_socket(struct sock *sk)
{
	if (settings.socket_storage)
		return bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	return find_or_add_stand_in(sk);
}

static __always_inline void forget_socket(struct sock *sk)
{
	__u64 pointer = (__u64)sk;

	bpf_map_delete_elem(&sockets_by_pointer, &pointer);
}

/* Where a pointer comes from decides how it is read: what a hook passes, directly; what a map keeps
 * (kernels before 5.11), with a helper that survives a socket that is gone. */
#define FIELD(direct, from, field) ((direct) ? (from)->field : BPF_CORE_READ(from, field))

static __always_inline bool is_v4_mapped(const struct address *remote)
{
	return !remote->words_be[0] && !remote->words_be[1] &&
	       remote->words_be[2] == bpf_htonl(0xffff);
}

static __always_inline void read_v6(struct address *to, struct in6_addr *from, bool direct)
{
	to->words_be[0] = FIELD(direct, from, in6_u.u6_addr32[0]);
	to->words_be[1] = FIELD(direct, from, in6_u.u6_addr32[1]);
	to->words_be[2] = FIELD(direct, from, in6_u.u6_addr32[2]);
	to->words_be[3] = FIELD(direct, from, in6_u.u6_addr32[3]);
}

/* The kernel keeps skc_daddr and skc_rcv_saddr right for IPv4 over an IPv6 socket, too. */
static __always_inline void read_v4(struct endpoints *ends, struct sock_common *from, bool direct)
{
	ends->family = 4;
	ends->laddr = (struct address){};
	ends->raddr = (struct address){};
	ends->laddr.words_be[0] = FIELD(direct, from, skc_rcv_saddr);
	ends->raddr.words_be[0] = FIELD(direct, from, skc_daddr);
}

static __always_inline __u32 netns_inode(struct sock_common *from, bool direct)
{
	return direct ? from->skc_net.net->ns.inum : BPF_CORE_READ(from, skc_net.net, ns.inum);
}

/* Of a socket or of a connection request: both begin with a sock_common. */
static __always_inline void read_endpoints(struct sock_common *from, struct endpoints *ends,
                                           bool direct)
{
	if (FIELD(direct, from, skc_family) == AF_INET6) {
		ends->family = 6;
		read_v6(&ends->laddr, &from->skc_v6_rcv_saddr, direct);
		read_v6(&ends->raddr, &from->skc_v6_daddr, direct);
	}
	if (ends->family != 6 || is_v4_mapped(&ends->raddr))
		read_v4(ends, from, direct);
	ends->lport = FIELD(direct, from, skc_num);
	ends->rport = bpf_ntohs(FIELD(direct, from, skc_dport));
	ends->netns_inode = netns_inode(from, direct);
}

/* What tells namespaces apart that had one inode number, one after the other.  Before 5.12 there is
 * no cookie: hash_mix stands in, 32 random bits that setup_net() draws once for each namespace. */
static __always_inline __u64 cookie_of(struct net *net, bool direct)
{
	if (bpf_core_field_exists(net->net_cookie))
		return FIELD(direct, net, net_cookie);
	return bpf_core_field_exists(net->hash_mix) ? FIELD(direct, net, hash_mix) : 0;
}

static __always_inline __u64 netns_cookie(struct sock_common *from, bool direct)
{
	return cookie_of(FIELD(direct, from, skc_net.net), direct);
}

static __always_inline struct listening *listening_at(const struct endpoints *ends)
{
	struct listener listener = {.netns_inode = ends->netns_inode, .port = ends->lport};

	return bpf_map_lookup_elem(&listeners, &listener);
}

/* A server if its port had a listener, else a client. */
static __always_inline __u8 role_by_listener(const struct endpoints *ends)
{
	struct listening *listening = listening_at(ends);

	return listening ? listening->role : ROLE_CLIENT;
}

#endif
