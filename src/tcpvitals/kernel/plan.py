"""What to load on a host, decided from facts.  Pure: facts in, a plan or the reason why not out."""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from tcpvitals.errors import (
    HookError,
    KernelTooOldError,
    LibbpfError,
    LockdownError,
    NoBtfError,
    PrivilegeError,
    ProcError,
    ResourceError,
)
from tcpvitals.kernel.facts import Answer, HostFacts, Question
from tcpvitals.kernel.host import PREEMPTIBLE_SINCE, since

if TYPE_CHECKING:
    from tcpvitals.errors import TcpvitalsError

# Counters for each shard are kept for as many slots as fit: 2048 records are 6 MiB.
_SHARDED_RECORDS: Final = 2048
# The whole host's slot, and those below it, are always sharded.
_SHARDED_AT_LEAST: Final = 4
# Slots that are no group's: unresolved, other.
NO_GROUPS: Final = 2


class Attach(StrEnum):
    """Which hook takes the samples; both fire at the same place."""

    FENTRY = "fentry"
    TP_BTF = "tp_btf"

    @property
    def question(self) -> Question:
        """Whether this host has it."""
        return Question.FENTRY if self is Attach.FENTRY else Question.TP_BTF

    @property
    def section(self) -> str:
        """The hook's name as everyone writes it."""
        return self.question.removeprefix("hook ")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to load: hook, object, how sockets are remembered, how counters are laid out.

    `storage_iterator` says that the iterator over socket storages may be run, as long as there are
    no others than ours; `shows_errors` that retransmissions which do not leave this host are
    reported, too; `preemptible` that tasks may preempt each other in the middle of a program.
    """

    attach: Attach | None
    atomics: bool
    socket_storage: bool
    storage_iterator: bool
    slots: int
    shards: int
    sharded_slots: int
    exclusive_shards: bool
    shows_errors: bool
    preemptible: bool

    @property
    def object_name(self) -> str:
        """The object to load: built for 5.12 and later, or for any kernel."""
        return "tcpvitals.bpf.o" if self.atomics else "tcpvitals.v2.bpf.o"

    @property
    def counter_records(self) -> int:
        """Records of one histogram of all slots."""
        return self.sharded_slots * self.shards + self.slots - self.sharded_slots

    def histogram_records(self, record_bytes: int) -> int:
        """Records from one histogram to the next: each begins at a page, to be mapped."""
        page = mmap.ALLOCATIONGRANULARITY
        step = page // math.gcd(page, record_bytes)
        return -(-self.counter_records // step) * step


# In the order in which they depend on each other: open files are listed in /proc, and libraries
# are files to be opened, too.
_NEEDED: Final[dict[Question, type[TcpvitalsError]]] = {
    Question.PROC: ProcError,
    Question.OPEN_FILES: ResourceError,
    Question.LIBBPF: LibbpfError,
    Question.KERNEL: KernelTooOldError,
    Question.BTF: NoBtfError,
    Question.PRIVILEGES: PrivilegeError,
    Question.MEMLOCK: ResourceError,
}


def missing(facts: HostFacts) -> TcpvitalsError | None:
    """The error for the first thing without which nothing can be loaded; None if all is there."""
    for question, error in _NEEDED.items():
        fact = facts[question]
        if fact.answer is Answer.NO:
            return error(f"needs {question}: {fact.seen}; {fact.remedy}")
    if not facts.cpus:
        return ResourceError("cannot tell how many CPUs there may be; mount sysfs on /sys")
    return None


def _refused(facts: HostFacts, attach: Attach) -> TcpvitalsError:
    """A hook that was refused on a locked-down host is the lockdown's doing."""
    fact, lockdown = facts[attach.question], facts[Question.LOCKDOWN]
    if "lockdown=" in lockdown.seen and lockdown.answer is not Answer.YES:
        message = f"{attach.section} is {fact.seen} under {lockdown.seen}; {lockdown.remedy}"
        return LockdownError(message)
    return HookError(f"cannot use {attach.section}: {fact.seen}; see tcpvitals check")


def choose_attach(facts: HostFacts, wanted: Attach | None) -> Attach:
    """The hook that was asked for, else the first that is not known to be refused.

    Raises:
        HookError: it is not in this kernel or may not be used.
        LockdownError: the same, on a host that is locked down.
    """
    for attach in (wanted,) if wanted else Attach:
        if not facts.says(attach.question, Answer.NO):
            return attach
    raise _refused(facts, wanted or Attach.TP_BTF)


def _check_following(facts: HostFacts) -> None:
    stores = facts.says(Question.SOCKET_STORAGE, Answer.YES)
    for question in FOLLOWING if stores else (*FOLLOWING, Question.MAP_ITERATOR):
        if facts.says(question, Answer.NO):
            message = f"cannot use {question}: {facts[question].seen}; see tcpvitals check"
            raise HookError(message)


def _power_of_two(at_least: int) -> int:
    return 1 << (at_least - 1).bit_length()


# What following sockets through their lives takes, whatever is shown of them.
FOLLOWING: Final = (
    Question.SET_STATE,
    Question.DESTROY_SOCK,
    Question.RETRANSMIT,
    Question.SYNACK,
    Question.TASK_FILE,
)


def make_plan(
    facts: HostFacts,
    wanted: Attach | None,
    max_groups: int,
    *,
    rtt: bool = True,
    following: bool = False,
) -> Plan:
    """What to load on this host for that many groups.

    Following sockets, which everything but `rtt` does, takes hooks of its own.

    Raises:
        TcpvitalsError: it cannot be done here; the error says why, and what to do.
    """
    error = missing(facts)
    if error:
        raise error
    if following or not rtt:
        _check_following(facts)
    slots = max_groups + NO_GROUPS
    shards = _power_of_two(facts.cpus)
    return Plan(
        attach=choose_attach(facts, wanted) if rtt else None,
        atomics=facts.says(Question.ATOMICS, Answer.YES),
        socket_storage=facts.says(Question.SOCKET_STORAGE, Answer.YES),
        storage_iterator=facts.says(Question.STORAGE_ITERATOR, Answer.YES),
        slots=slots,
        shards=shards,
        sharded_slots=min(slots, max(_SHARDED_AT_LEAST, _SHARDED_RECORDS // shards)),
        exclusive_shards=facts.says(Question.GUARD, Answer.YES),
        shows_errors=facts.says(Question.RETRANSMIT_ERROR, Answer.YES),
        preemptible=since(facts.release, PREEMPTIBLE_SINCE) is not Answer.NO,
    )
