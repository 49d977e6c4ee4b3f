"""What an application sees: the rate of ping-pong with tcpvitals attached, as a part of without."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from figures import Spread, paired_ratios
from programs import attached

if TYPE_CHECKING:
    from load import Load

_SLICE_S: Final = 0.01
_SLICES: Final = 6
# Ratios this close to 1 take more rounds than the others.
_ROUNDS: Final = 8


@dataclass(frozen=True, slots=True)
class Impact:
    """Ratios of one program: of round trips for each second of CPU time, and of wall-clock time.

    The ping-pong keeps its CPU busy, so the two are the same, but the second has in it whatever
    else ran on that CPU meanwhile.
    """

    name: str
    cpu: Spread
    wall: Spread

    def report(self) -> str:
        """Both, in a line."""
        return (
            f"{self.name}: {_spread(self.cpu)} by CPU time, {_spread(self.wall)} by wall-clock time"
        )


def _spread(spread: Spread) -> str:
    return f"{spread.median:.3f} ({spread.least:.2f}..{spread.most:.2f})"


def impact(name: str, program: int, load: Load, rounds: int) -> Impact:
    """Measure with and without, in pairs, every other pair the other way round."""
    found: dict[int, list[tuple[float, float]]] = {0: [], 1: []}
    for turn in range(rounds * _ROUNDS):
        for copies in (turn % 2, 1 - turn % 2):
            with attached(program, copies):
                found[copies].append(_rates(load))
    by_cpu, by_wall = (
        Spread.of(paired_ratios([rate[at] for rate in found[1]], [rate[at] for rate in found[0]]))
        for at in (0, 1)
    )
    return Impact(name, by_cpu, by_wall)


def _rates(load: Load) -> tuple[float, float]:
    """Round trips for each second of CPU time, and of wall-clock time; medians of slices."""
    slices = [load.run(_SLICE_S) for _ in range(_SLICES + 1)][1:]
    return (
        median(1e9 / one.cpu_ns_per_trip for one in slices),
        median(one.trips_per_s for one in slices),
    )
