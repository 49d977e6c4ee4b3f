"""What the census of connections says of those that ended unseen, and when it says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tcpvitals.kernel import settling
from tcpvitals.kernel.settling import Settler

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

FIELDS = ("begun", "ended", "late", "met", "met_other", "left_out", "timeouts_left_out")


class MadeUpVariables:
    """What the programs count, as a test says it."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.settlings = {name: np.zeros(1, np.uint32) for name in ("settling", "settling_before")}
        self.lives = np.zeros(1, np.dtype([(name, np.uint64) for name in FIELDS]))

    def number(self, name: str) -> npt.NDArray[np.uint32]:
        """Return the number of the settling, or of the one before."""
        return self.settlings[name]

    def record(self, name: str) -> npt.NDArray[np.void]:
        """Return the counts of lives."""
        assert name == "lives"
        return self.lives


class MadeUpPlan:
    """A kernel's way to meet sockets."""

    def __init__(self, *, storage_iterator: bool) -> None:
        """Meet all of them, or only some."""
        self.socket_storage, self.storage_iterator = True, storage_iterator


def settler_of(
    variables: MadeUpVariables, meet: Callable[[], None], *, all_met: bool = True
) -> Settler:
    """One whose first iterator does `meet`."""

    def run(name: str) -> bytes:
        if name in {"settle_sockets", "settle_own_namespace"}:
            meet()
        return b""

    plan = MadeUpPlan(storage_iterator=all_met)
    return Settler(plan, variables, run)  # type: ignore[arg-type]  # made up


def test_settlings_have_numbers_from_1_to_255_and_programs_know_the_one_before() -> None:
    variables = MadeUpVariables()
    seen: list[tuple[int, int]] = []

    def meet() -> None:
        numbers = variables.settlings
        seen.append((int(numbers["settling_before"][0]), int(numbers["settling"][0])))

    settler = settler_of(variables, meet)
    for _ in range(257):
        settler.settle()
    assert seen[:2] == [(0, 1), (1, 2)]
    assert seen[254:] == [(254, 255), (255, 1), (1, 2)]


def test_what_began_and_neither_ended_nor_is_there_ended_unseen_at_the_second_look() -> None:
    variables = MadeUpVariables()

    def meet() -> None:
        variables.lives["met"] += 5

    settler = settler_of(variables, meet)
    variables.lives["begun"], variables.lives["ended"] = 10, 3
    settler.settle()
    assert (settler.ends_unseen, settler.is_unsure) == (0, True)
    settler.settle()
    assert (settler.ends_unseen, settler.is_unsure) == (2, False)


def test_what_ends_or_begins_while_sockets_are_met_is_not_lost() -> None:
    variables = MadeUpVariables()
    variables.lives["begun"] = 10

    def meet() -> None:
        variables.lives["met"] += 6
        variables.lives["ended"] += 4
        variables.lives["begun"] += 7

    settler = settler_of(variables, meet)
    for _ in range(3):
        variables.lives["begun"], variables.lives["ended"] = 10, 0
        settler.settle()
    assert (settler.ends_unseen, settler.is_unsure) == (0, False)


@pytest.mark.parametrize(
    ("sockstat", "unseen"),
    [
        ("sockets: used 9\nTCP: inuse 2 orphan 0 tw 5 alloc 8 mem 0\nUDP: inuse 1 mem 0\n", 4),
        ("TCP: inuse 2 orphan 0 tw 5 alloc 20 mem 0\n", 0),
        ("nothing of the kind\n", 0),
        (None, 0),
    ],
)
def test_where_not_all_are_met_every_socket_of_the_host_may_be_one_of_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sockstat: str | None, unseen: int
) -> None:
    """10 began; of 8 sockets 2 are listeners: 4 at least are gone."""
    variables = MadeUpVariables()
    variables.lives["begun"] = 10
    path = tmp_path / "sockstat"
    if sockstat is not None:
        path.write_text(sockstat)
    monkeypatch.setattr(settling, "_SOCKSTAT", str(path))

    def meet() -> None:
        variables.lives["met"] += 1
        variables.lives["met_other"] += 2

    settler = settler_of(variables, meet, all_met=False)
    settler.settle()
    settler.settle()
    assert settler.ends_unseen == unseen
