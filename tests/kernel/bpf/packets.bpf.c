/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Packet timestamps for the tests: every IPv4 TCP packet of the machine as it is handed to a
 * device, before any queue, and as TCP takes it up in an established connection.  It reads nothing
 * but packets: no TCP socket. */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

SEC("license")
char LICENSE[] = "Dual MIT/GPL";

#define ETHERNET_BYTES 14
#define IPPROTO_TCP 6

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	possible_net_t nd_net;
};

struct tcp_skb_cb {
	__u32 ack_seq;
};

struct sk_buff {
	struct net_device *dev;
	__u64 skb_mstamp_ns;
	char cb[48];
	unsigned int len;
	unsigned char *data;
	unsigned char *head;
	__u16 network_header;
};

struct sock_common {
	possible_net_t skc_net;
};

struct sock {
	struct sock_common __sk_common;
};

#pragma clang attribute pop

struct packet {
	__u64 time_ns;
	__u64 stamped_ns; /* when a sent packet was made, which may wait for the CPU after that */
	__u32 netns_inode;
	__u32 seq;
	__u32 ack;
	__u32 payload_bytes;
	__u16 from_port;
	__u16 to_port;
	__u8 flags;
	__u8 sent;
	__u16 padding;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} packets SEC(".maps");

__u64 lost = 0;

/* The first 20 bytes of an IPv4 and of a TCP header. */
struct ipv4 {
	__u8 version_and_words, tos;
	__be16 bytes;
	__u8 unused[5], protocol;
	__u8 rest[10];
};

struct tcp {
	__be16 from_port, to_port;
	__be32 seq, ack;
	__u8 words, flags;
	__u8 rest[6];
};

/* `before_ip` bytes are in front of the IP header in what `len` counts; it may be less than 0.
 * `ack` is what a received packet acknowledges, null for a sent one. */
static __always_inline int note(struct sk_buff *skb, int before_ip, __u32 inode, const __u32 *ack)
{
	unsigned char *at = skb->data + before_ip;
	struct packet *packet;
	struct ipv4 ip = {};
	struct tcp tcp = {};
	__u32 ip_bytes;

	bpf_probe_read_kernel(&ip, sizeof(ip), at);
	if (ip.version_and_words >> 4 != 4 || ip.protocol != IPPROTO_TCP)
		return 0;
	ip_bytes = (ip.version_and_words & 15) * 4;
	bpf_probe_read_kernel(&tcp, sizeof(tcp), at + ip_bytes);
	packet = bpf_ringbuf_reserve(&packets, sizeof(*packet), 0);
	if (!packet) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	packet->time_ns = bpf_ktime_get_ns();
	packet->stamped_ns = skb->skb_mstamp_ns;
	packet->netns_inode = inode;
	packet->seq = bpf_ntohl(tcp.seq);
	packet->ack = ack ? *ack : bpf_ntohl(tcp.ack);
	packet->payload_bytes = skb->len - before_ip - ip_bytes - (tcp.words >> 4) * 4;
	packet->from_port = bpf_ntohs(tcp.from_port);
	packet->to_port = bpf_ntohs(tcp.to_port);
	packet->flags = tcp.flags;
	packet->sent = !ack;
	packet->padding = 0;
	bpf_ringbuf_submit(packet, 0);
	return 0;
}

/* __dev_queue_xmit, before the packet goes into a queue. */
SEC("tp_btf/net_dev_queue")
int BPF_PROG(packet_sent, struct sk_buff *skb)
{
	return note(skb, ETHERNET_BYTES, skb->dev->nd_net.net->ns.inum, NULL);
}

/* tcp_rcv_established, after ACKs that waited for the socket became one: the data begin at the TCP
 * header.  Of the merged ACKs the header is the first one's, but the control block has what they
 * acknowledge together (tcp_add_backlog). */
SEC("tp_btf/tcp_probe")
int BPF_PROG(packet_received, struct sock *sk, struct sk_buff *skb)
{
	int before_ip = (long)skb->head + skb->network_header - (long)skb->data;

	__u32 ack = ((struct tcp_skb_cb *)skb->cb)->ack_seq;

	return note(skb, before_ip, sk->__sk_common.skc_net.net->ns.inum, &ack);
}
