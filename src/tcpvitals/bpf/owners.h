/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Whose a socket is: process, cgroup, network namespace.
 *
 * The process is taken where it makes the system call (connect, listen, close), inherited by what a
 * listener accepts, and put right from every task's open files (open_files.h); never from whatever
 * task an interrupt found running. */
#ifndef TCPVITALS_OWNERS_H
#define TCPVITALS_OWNERS_H

#include "sockets.h"

enum bpf_func_id___owners {
	BPF_FUNC_get_current_task_btf___owners = 1,
};

/* With 5.11; its pointer is read directly, which lockdown allows. */
#define HAVE_CURRENT_TASK_BTF                                 \
	bpf_core_enum_value_exists(enum bpf_func_id___owners, \
	                           BPF_FUNC_get_current_task_btf___owners)

static __always_inline void copy_comm(struct owner *to, struct task_struct *leader)
{
	((__u64 *)to->comm)[0] = *(__u64 *)&leader->comm[0];
	((__u64 *)to->comm)[1] = *(__u64 *)&leader->comm[8];
}

/* False for the kernel's own threads. */
static __always_inline bool current_process(struct owner *to)
{
	struct task_struct *task;

	to->tgid = bpf_get_current_pid_tgid() >> 32;
	if (HAVE_CURRENT_TASK_BTF) {
		task = bpf_get_current_task_btf();
		copy_comm(to, task->group_leader);
		return !(task->flags & PF_KTHREAD);
	}
	task = (struct task_struct *)bpf_get_current_task();
	BPF_CORE_READ_INTO(&to->comm, task, group_leader, comm);
	return !(BPF_CORE_READ(task, flags) & PF_KTHREAD);
}

/* A socket that changes hands is of another group from then on, or wanted, or no more. */
static __always_inline void set_owner(struct socket_state *state, const struct owner *owner)
{
	if (state->owner.tgid != owner->tgid &&
	    (settings.want_tgid || settings.key_parts & KEY_PROCESS))
		state->slot = SLOT_UNRESOLVED;
	state->owner = *owner;
}

static __always_inline void own_by_current(struct socket_state *state)
{
	struct owner owner = {};

	if (settings.need_owner && current_process(&owner))
		set_owner(state, &owner);
}

/* Kernels whose BTF has no pointer there (before 5.15, but for backports) cannot tell. */
static __always_inline __u64 cgroup_of(struct sock *sk, bool direct)
{
	if (!bpf_core_field_exists(sk->sk_cgrp_data.cgroup))
		return 0;
	if (direct)
		return sk->sk_cgrp_data.cgroup->kn->id;
	return BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id);
}

/* Whose a socket is, as far as the key tells. */
static __always_inline void key_owner(struct group_key *key, struct sock *sk,
                                      const struct socket_state *state, bool direct)
{
	if (settings.key_parts & KEY_NETNS) {
		key->netns_inode = netns_inode(&sk->__sk_common, direct);
		key->netns_cookie = netns_cookie(&sk->__sk_common, direct);
	}
	if (settings.key_parts & KEY_CGROUP)
		key->cgroup_id = cgroup_of(sk, direct);
	if (settings.key_parts & KEY_PROCESS && state) {
		key->tgid = state->owner.tgid;
		__builtin_memcpy(key->comm, state->owner.comm, COMM_BYTES);
	}
}

#endif
