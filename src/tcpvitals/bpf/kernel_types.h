/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* The kernel's own types, with no field but those we read.  libbpf moves every access to where the
 * running kernel has the field (CO-RE), so neither order nor size here means anything. */
#ifndef TCPVITALS_KERNEL_TYPES_H
#define TCPVITALS_KERNEL_TYPES_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <stdbool.h>

/* include/net/tcp_states.h */
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_FIN_WAIT1 4
#define TCP_CLOSE 7
#define TCP_CLOSE_WAIT 8
#define TCP_LAST_ACK 9
#define TCP_LISTEN 10

/* include/net/sock.h: enum sock_flags */
#define SOCK_DEAD_FLAG 1

/* include/net/tcp.h */
#define TCPHDR_SYN 0x02
#define TCPCB_SACKED_RETRANS 0x02
#define TCPCB_LOST 0x04

/* include/net/inet_connection_sock.h */
#define ICSK_TIME_LOSS_PROBE 5

/* include/uapi/linux/tcp.h */
#define TCP_CA_Recovery 3
#define TCP_CA_Loss 4

/* include/uapi/asm-generic/errno.h */
#define EAGAIN 11
#define ENOMEM 12
#define EBUSY 16
#define EINVAL 22
#define EHOSTUNREACH 113

/* include/linux/socket.h, include/uapi/linux/in.h */
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6

/* include/linux/sched.h */
#define PF_KTHREAD 0x00200000

/* include/uapi/linux/stat.h */
#define S_IFMT 00170000
#define S_IFSOCK 0140000

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
	__u64 net_cookie; /* 5.12 on; before, an atomic that may still be unset */
	__u32 hash_mix;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned long skc_flags;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

struct sock {
	struct sock_common __sk_common;
	struct sock_cgroup_data sk_cgrp_data;
	int sk_err;
	__u16 sk_protocol;
};

struct hlist_node {
	struct hlist_node **pprev;
};

struct timer_list {
	struct hlist_node entry;
};

struct request_sock {
	struct sock_common __req_common;
	struct timer_list rsk_timer;
	__u8 num_retrans;
	__u8 num_timeout : 7; /* BPF_CORE_READ_BITFIELD */
};

/* It begins with a request_sock. */
struct tcp_request_sock {
	__u32 snt_isn;
};

struct inet_sock {
	__be16 inet_sport;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	__u8 icsk_ca_state : 5; /* its place and width differ: BPF_CORE_READ_BITFIELD */
	__u8 icsk_retransmits;
	__u8 icsk_pending;
};

struct tcp_skb_cb {
	__u32 seq;
	__u32 end_seq;
	__u32 ack_seq;
	__u16 tcp_gso_segs;
	__u8 tcp_flags; /* 16 bits since 6.15; libbpf widens the load */
	__u8 sacked;
};

struct sk_buff {
	unsigned int len;
	char cb[48];
};

struct minmax_sample {
	__u32 t;
	__u32 v;
};

struct minmax {
	struct minmax_sample s[3];
};

struct tcp_rack {
	__u32 rtt_us;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 snd_una;
	__u32 mss_cache;
	__u64 bytes_received;
	__u32 srtt_us;
	__u32 snd_cwnd;
	__u32 snd_wnd;
	__u32 packets_out;
	__u16 total_rto; /* 6.7, and 6.6's stable series */
	__u32 data_segs_out;
	__u32 total_retrans;
	__u32 dsack_dups;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u32 delivered;
	struct minmax rtt_min;
	struct tcp_rack rack;
};

struct socket {
	struct sock *sk;
};

struct inode {
	__u16 i_mode;
};

struct file {
	struct inode *f_inode;
	void *private_data;
};

struct nsproxy {
	struct net *net_ns;
};

struct task_struct {
	unsigned int flags;
	int pid; /* the thread's */
	int tgid;
	struct nsproxy *nsproxy;
	struct task_struct *group_leader;
	char comm[16];
};

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct file *file;
};

struct bpf_map {
	enum bpf_map_type map_type;
	__u32 id;
};

struct bpf_iter__bpf_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
};

#pragma clang attribute pop

#endif
