"""From measured rounds to a figure and a verdict.  Pure: numbers in, numbers and text out.

A noisy machine moves every figure, but neighbours in time alike: so whatever is compared was
measured in the same round, it is compared round by round, and the median is what counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_Compared = TypeVar("_Compared")


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds, and the extremes."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise at least one value.

        Raises:
            ValueError: there is none.
        """
        if not values:
            msg = "no round was measured"
            raise ValueError(msg)
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure should be at most, or at least, and what it is."""

    name: str
    measured: float
    limit: float
    at_least: bool = False
    unit: str = ""

    @property
    def is_met(self) -> bool:
        """Whether it is."""
        if self.at_least:
            return self.measured >= self.limit
        return self.measured <= self.limit


def in_turn(compared: Sequence[_Compared], rounds: int) -> Iterator[_Compared]:
    """Every other round backwards, so that a drift of the machine favours nobody."""
    for turn in range(rounds):
        yield from compared[::-1] if turn % 2 else compared


def quantile(values: Sequence[float], share: float) -> float:
    """The least value that this share of them, above 0 and up to 1, does not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def net(values: Sequence[float], empty: Sequence[float]) -> list[float]:
    """Each round's value without what the empty program had in the same round."""
    return [value - nothing for value, nothing in zip(values, empty, strict=True)]


def paired_ratios(values: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """Each round's value as a part of the baseline's; rounds whose baseline is lost in noise go.

    Raises:
        ValueError: no round is left.
    """
    pairs = zip(values, baseline, strict=True)
    ratios = [value / base for value, base in pairs if base > 0]
    if not ratios:
        msg = "the baseline costs no more than an empty program: too noisy to compare"
        raise ValueError(msg)
    return ratios


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need be, the first to the left and the others to the right."""
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    lines = [_line(row, widths) for row in (head, *rows)]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    aligned: list[Callable[[int], str]] = [cells[0].ljust, *(cell.rjust for cell in cells[1:])]
    return "  ".join(align(width) for align, width in zip(aligned, widths, strict=True)).rstrip()


def goals_table(goals: Sequence[Goal]) -> str:
    """Every goal, what was measured, and whether that is good enough."""
    rows = [
        (
            goal.name,
            f"{'>=' if goal.at_least else '<='} {goal.limit:g}{goal.unit}",
            f"{goal.measured:.3f}{goal.unit}",
            "yes" if goal.is_met else "NO",
        )
        for goal in goals
    ]
    return table(("goal", "limit", "measured", "met?"), rows)
