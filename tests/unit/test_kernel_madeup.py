"""Made-up hosts, layouts and maps for the tests of the kernel room, and that they hold up."""

from __future__ import annotations

import os
from functools import cache
from importlib import resources

from tcpvitals.kernel.btf import Layouts
from tcpvitals.kernel.facts import Answer, Fact, HostFacts, Question
from tcpvitals.kernel.libbpf import Map, Object

OBJECTS = ("tcpvitals.bpf.o", "tcpvitals.v2.bpf.o")


@cache
def layouts(name: str = OBJECTS[0]) -> Layouts:
    """Return the layouts inside a shipped object; reading them takes libbpf, but no root."""
    image = resources.files("tcpvitals").joinpath("bpf", name).read_bytes()
    with Object(image, "made_up") as opened:
        return Layouts(opened.btf())


def yes(question: Question) -> Fact:
    """Return the fact of a host that has everything."""
    return Fact(Answer.YES, f"seen {question.name}", f"remedy {question.name}")


def no(question: Question, seen: str = "refused") -> Fact:
    """Return the fact of a host that lacks something."""
    return Fact(Answer.NO, seen, f"remedy {question.name}")


def host(*changes: tuple[Question, Fact], cpus: int = 4) -> HostFacts:
    """Return a host that has everything but for the changes."""
    return HostFacts(
        "6.12.0", cpus, {question: yes(question) for question in Question} | dict(changes)
    )


class FakeMap(Map):
    """A map without a kernel: memory that can be mapped, and a list of what was done to it."""

    def __init__(self, name: str, size: int = 0) -> None:
        """Make the memory."""
        self.name = name
        self.size = size
        self.pushed: list[int] = []
        self.deleted: list[bytes] = []
        self._memory = os.memfd_create(name) if size else -1
        if size:
            os.ftruncate(self._memory, size)

    @property
    def fd(self) -> int:
        """The memory's file descriptor."""
        return self._memory

    def update(self, key: bytes, value: bytes) -> None:
        """Push to a queue."""
        assert key == b""
        self.pushed.append(int.from_bytes(value, "little"))

    def delete(self, key: bytes) -> bool:
        """Note which key was removed."""
        self.deleted.append(key)
        return True

    def close(self) -> None:
        """Give the memory back; what is mapped stays."""
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1


def test_a_made_up_host_has_everything_but_what_was_changed() -> None:
    facts = host((Question.BTF, no(Question.BTF)), cpus=3)
    assert [q for q in Question if not facts.says(q, Answer.YES)] == [Question.BTF]
    assert facts.cpus == 3


def test_a_question_that_was_not_reached_is_one_that_nobody_could_tell() -> None:
    fact = HostFacts("6.12.0", 1)[Question.FENTRY]
    assert (fact.answer, fact.seen) == (Answer.UNKNOWN, "not asked")


def test_every_question_fits_its_column() -> None:
    assert max(len(question) for question in Question) <= 49


def test_a_made_up_map_is_memory_that_starts_as_zeroes() -> None:
    memory = FakeMap("counters", 4096)
    assert os.pread(memory.fd, 8192, 0) == bytes(4096)
    memory.close()
