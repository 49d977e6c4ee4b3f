"""Facts that only trying can tell: may we load and attach here, and what may programs use?

Each probe is a program of a few instructions, loaded, attached where that can fail too, and gone at
once.  libbpf's own feature probes are not used: for tracing programs they answer wrongly.
"""

from __future__ import annotations

import errno
import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tcpvitals.kernel import host, libbpf
from tcpvitals.kernel.facts import Answer, Fact, HostFacts, Question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _instruction(code: int, registers: int = 0, offset: int = 0, immediate: int = 0) -> bytes:
    """One BPF instruction; `registers` is source << 4 | destination (linux/bpf.h)."""
    return struct.pack("<BBhi", code, registers, offset, immediate)


_RETURN_0: Final = _instruction(0xB7) + _instruction(0x95)

# *(u64 *)(r10 - 8) = 0; r0 = 0; r1 = 1; cmpxchg: what only -mcpu=v3 has.
_COMPARE_AND_SWAP: Final = (
    _instruction(0x7A, 0x0A, -8)
    + _instruction(0xB7)
    + _instruction(0xB7, 0x01, 0, 1)
    + _instruction(0xDB, 0x1A, -8, 0xF1)
    + _RETURN_0
)


# r0 = the hook's third argument; r0 = 0: refused where there are two.
_THIRD_ARGUMENT: Final = _instruction(0x79, 0x10, 16) + _RETURN_0


def _storage_lookup(map_fd: int) -> bytes:
    """bpf_sk_storage_get(map, the hook's first argument, 0, 0)."""
    sk_storage_get = 107
    return (
        _instruction(0x79, 0x12)
        + _instruction(0x18, 0x11, 0, map_fd)
        + _instruction(0)
        + _instruction(0xB7, 0x03)
        + _instruction(0xB7, 0x04)
        + _instruction(0x85, 0, 0, sk_storage_get)
        + _RETURN_0
    )


def _try(action: Callable[[], None], seen: str) -> Fact:
    try:
        action()
    except OSError as error:
        return _refusal(error)
    return Fact(Answer.YES, seen)


def _refusal(error: OSError) -> Fact:
    """Out of memory says nothing about what the kernel can do; anything else is a no."""
    if error.errno in (errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.EMFILE, errno.ENFILE):
        return Fact(Answer.UNKNOWN, f"refused: {os.strerror(error.errno)}")
    name = errno.errorcode.get(error.errno or 0, str(error.errno))
    return Fact(Answer.NO, f"refused: {os.strerror(error.errno or 0)} ({name})")


def _load(code: bytes, attach_type: int, target: int, *, attach: bool) -> None:
    program = libbpf.load_tracing(code, attach_type, target)
    try:
        if attach:
            os.close(libbpf.attach_tracing(program))
    finally:
        os.close(program)


def _hook_fact(btf: libbpf.KernelBtf, name: str, kind: int, attach_type: int) -> Fact:
    target = btf.find(name, kind)
    if target is None:
        return Fact(Answer.NO, f"this kernel has no {name}")
    attach = attach_type != libbpf.TRACE_ITER  # an iterator's link needs more than a program
    return _try(lambda: _load(_RETURN_0, attach_type, target, attach=attach), "loads and attaches")


def _storage_fact(probe_hook: int) -> Fact:
    def look_up() -> None:
        storage = libbpf.create_socket_storage()
        try:
            code = _storage_lookup(storage)
            _load(code, libbpf.TRACE_RAW_TP, probe_hook, attach=False)
        finally:
            os.close(storage)

    fact = _try(look_up, "used")
    if fact.answer is Answer.NO:
        return Fact(Answer.NO, "since 5.11; a hash by socket stands in")
    return fact


def _atomics_fact(probe_hook: int) -> Fact:
    code = _COMPARE_AND_SWAP
    fact = _try(lambda: _load(code, libbpf.TRACE_RAW_TP, probe_hook, attach=False), "used")
    if fact.answer is Answer.NO:
        return Fact(Answer.NO, "since 5.12; the object for older kernels stands in")
    return fact


def _third_argument_fact(hook: int) -> Fact:
    fact = _try(lambda: _load(_THIRD_ARGUMENT, libbpf.TRACE_RAW_TP, hook, attach=False), "used")
    if fact.answer is Answer.NO:
        return Fact(Answer.NO, "since 6.17; what failed is the rest of the kernel's count")
    return fact


def _storage_iterator_fact(release: str, btf: libbpf.KernelBtf) -> Fact:
    """Whether it may be used, and meets no null pointer, as explained in settling.h."""
    loads = _hook_fact(btf, *_iterator("bpf_sk_storage_map"))
    if loads.answer is not Answer.YES:
        return loads
    takes_apart = btf.find("bpf_selem_unlink_nofail", libbpf.BTF_KIND_FUNC) is not None
    if takes_apart or host.since(release, host.STORAGE_ITERATOR_UNTIL) is not Answer.NO:
        return Fact(Answer.NO, "since 7.0; iterators tcp and task_file stand in")
    return Fact(Answer.YES, "used where no other program has socket storages")


def _tracepoint(name: str) -> tuple[str, int, int]:
    return f"btf_trace_{name}", libbpf.BTF_KIND_TYPEDEF, libbpf.TRACE_RAW_TP


def _iterator(name: str) -> tuple[str, int, int]:
    return f"bpf_iter_{name}", libbpf.BTF_KIND_FUNC, libbpf.TRACE_ITER


_HOOKS: Final = {
    Question.FENTRY: ("tcp_rcv_established", libbpf.BTF_KIND_FUNC, libbpf.TRACE_FENTRY),
    Question.TP_BTF: _tracepoint("tcp_probe"),
    Question.SET_STATE: _tracepoint("inet_sock_set_state"),
    Question.DESTROY_SOCK: _tracepoint("tcp_destroy_sock"),
    Question.RETRANSMIT: _tracepoint("tcp_retransmit_skb"),
    Question.SYNACK: _tracepoint("tcp_retransmit_synack"),
    Question.TASK_FILE: _iterator("task_file"),
    Question.MAP_ITERATOR: _iterator("bpf_map_elem"),
}


@contextmanager
def _kernel_btf() -> Iterator[libbpf.KernelBtf]:
    btf = libbpf.KernelBtf()
    try:
        yield btf
    finally:
        btf.close()


def _tried_facts(release: str) -> dict[Question, Fact]:
    with _kernel_btf() as btf:
        facts = {question: _hook_fact(btf, *hook) for question, hook in _HOOKS.items()}
        facts[Question.STORAGE_ITERATOR] = _storage_iterator_fact(release, btf)
        # What programs may use is the same for every tracing hook; this one is everywhere.
        target = btf.find(*_HOOKS[Question.SET_STATE][:2])
        retransmit = btf.find(*_HOOKS[Question.RETRANSMIT][:2])
    if target is not None:
        facts[Question.SOCKET_STORAGE] = _storage_fact(target)
        facts[Question.ATOMICS] = _atomics_fact(target)
    if retransmit is not None:
        facts[Question.RETRANSMIT_ERROR] = _third_argument_fact(retransmit)
    return facts


def _loading_is_possible(facts: dict[Question, Fact]) -> bool:
    needed = (
        Question.PROC,
        Question.OPEN_FILES,
        Question.KERNEL,
        Question.BTF,
        Question.LIBBPF,
        Question.PRIVILEGES,
    )
    return all(facts[question].answer is not Answer.NO for question in needed)


def collect_facts(paths: host.Paths | None = None) -> HostFacts:
    """Ask this host everything; takes some 30 ms, most of them for the kernel's BTF.

    Probes are left out, and answered `could not tell`, when something they need is missing.
    """
    paths = paths or host.Paths()
    release = os.uname().release
    facts = host.readable_facts(release, paths)
    if _loading_is_possible(facts):
        try:
            facts |= _tried_facts(release)
        except OSError as error:
            facts[Question.BTF] = Fact(Answer.NO, str(error), "use a kernel with readable BTF")
    return HostFacts(release, host.highest_cpu(paths.possible_cpus), facts)
