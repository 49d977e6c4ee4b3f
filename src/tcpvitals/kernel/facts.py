"""What is known about a host: questions, three possible answers, and what to do about a no.

Pure.  `host` and `probe` find the answers, `plan` and `tcpvitals check` read them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Answer(StrEnum):
    """Could not tell is an answer of its own: it never stops us, and never promises anything."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "could not tell"


class Question(StrEnum):
    """Everything asked of a host, in the order it is shown; each can be answered yes or no."""

    PROC = "proc file system on /proc"
    KERNEL = "kernel 5.8 or later"
    BTF = "kernel type information (BTF)"
    LIBBPF = "libbpf 1.1 or later"
    PRIVILEGES = "CAP_BPF and CAP_PERFMON"
    LOCKDOWN = "not locked down against tracing"
    MEMLOCK = "enough memory for maps"
    OPEN_FILES = "room for 128 more open files"
    FENTRY = "hook fentry/tcp_rcv_established"
    TP_BTF = "hook tp_btf/tcp_probe"
    SET_STATE = "hook tp_btf/inet_sock_set_state"
    DESTROY_SOCK = "hook tp_btf/tcp_destroy_sock"
    RETRANSMIT = "hook tp_btf/tcp_retransmit_skb"
    RETRANSMIT_ERROR = "tcp_retransmit_skb tells failures too"
    SYNACK = "hook tp_btf/tcp_retransmit_synack"
    TASK_FILE = "iterator task_file"
    SOCKET_STORAGE = "socket storage in tracing programs"
    STORAGE_ITERATOR = "iterator bpf_sk_storage_map, safe to run"
    MAP_ITERATOR = "iterator bpf_map_elem"
    ATOMICS = "atomic compare and swap"
    GUARD = "programs guarded against interrupting themselves"


@dataclass(frozen=True, slots=True)
class Fact:
    """An answer, what was seen, and what to do about it if it is a no that matters."""

    answer: Answer
    seen: str
    remedy: str = ""


NOT_ASKED = Fact(Answer.UNKNOWN, "not asked")


@dataclass(frozen=True, slots=True)
class HostFacts:
    """All answers; a question that was not reached counts as `could not tell`.

    `cpus` is one more than the highest CPU number there can be, 0 if nobody could tell.
    """

    release: str
    cpus: int
    answers: dict[Question, Fact] = field(default_factory=dict)

    def __getitem__(self, question: Question) -> Fact:
        """The answer to one question."""
        return self.answers.get(question, NOT_ASKED)

    def says(self, question: Question, answer: Answer) -> bool:
        """Whether that was the answer."""
        return self[question].answer is answer
