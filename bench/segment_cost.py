"""What a program costs for each received segment, ours against the seed's algorithm.

Two methods, and two loads.

*Run time* is what the kernel measures around each run.  Its clock reads are taken off with the
empty program, but they also keep the processor from overlapping a run with the kernel's other work,
which is unjust to the shorter program.

*Stacked* attaches many copies of a program at a time, without the kernel's measurement, and sees
what a round trip then takes longer than with as many empty programs.

*One CPU*: nothing else wants the counters.  *All CPUs*: what they share goes from cache to cache,
as on any host that is busy; stacked copies hide that, as only the first of them has to wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

import bpf_stats
from figures import Spread, in_turn, net, paired_ratios, table
from programs import (
    EMPTY,
    OURS,
    OURS_ALL,
    OURS_NETWORK,
    OURS_RADDR,
    OURS_RTT,
    OURS_SERVE,
    SEED,
    SEED_RADDR,
    attached,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from load import Load

# A figure is the median of short slices, the first left out: a disturbed slice is outvoted.
_SLICE_S: Final = 0.01
_RUN_TIME_SLICES: Final = 12
_STACKED_SLICES: Final = 3
_COPIES: Final = 96
# Stacked rounds are short and noisy, so there are more of them.
_STACKED_ROUNDS: Final = 8
_SEGMENTS_A_TRIP: Final = 2

_NOTHING: Final = "nothing"

# What is compared with what.
BASELINES: Final = {
    OURS: SEED,
    OURS_RADDR: SEED_RADDR,
    OURS_RTT: SEED_RADDR,
    OURS_NETWORK: SEED_RADDR,
    OURS_ALL: SEED_RADDR,
    OURS_SERVE: SEED_RADDR,
}


@dataclass(frozen=True, slots=True)
class Costs:
    """Nanoseconds for each segment, net of the empty program, of each variant in each round."""

    title: str
    rounds: dict[str, list[float]]

    @classmethod
    def of_gross(cls, title: str, gross: dict[str, list[float]]) -> Costs:
        """Take the empty program off."""
        empty = gross[EMPTY]
        return cls(title, {n: net(values, empty) for n, values in gross.items() if n != EMPTY})

    def ratio(self, name: str, baseline: str = "") -> Spread:
        """One of ours as a part of a baseline, by default its own, compared round by round."""
        base = self.rounds[baseline or BASELINES[name]]
        return Spread.of(paired_ratios(self.rounds[name], base))

    def report(self) -> str:
        """A table of everything measured."""
        rows = [self._row(name, values) for name, values in self.rounds.items()]
        head = ("program", "ns a segment", "least", "most", "of seed's", "least", "most")
        return f"{self.title}\n\n{table(head, rows)}\n"

    def _row(self, name: str, values: list[float]) -> Sequence[str]:
        spent = Spread.of(values)
        cells = [name, *(f"{value:.1f}" for value in (spent.median, spent.least, spent.most))]
        if name not in BASELINES:
            return (*cells, "", "", "")
        part = self.ratio(name)
        return (*cells, *(f"{value:.2f}" for value in (part.median, part.least, part.most)))


def _median_slice(slices: int, measure: Callable[[], float]) -> float:
    return median([measure() for _ in range(slices + 1)][1:])


def by_run_time(programs: dict[str, int], loads: dict[str, Load], rounds: int) -> list[Costs]:
    """Measure with the kernel's own statistics, one program attached at a time, under each load."""
    gross: dict[str, dict[str, list[float]]] = {
        title: {name: [] for name in programs} for title in loads
    }
    with bpf_stats.measuring():
        for name in in_turn(list(programs), rounds):
            with attached(programs[name]):
                for title, load in loads.items():
                    gross[title][name].append(_run_time(programs[name], load))
    return [Costs.of_gross(f"run time, {title}", found) for title, found in gross.items()]


def _run_time(program: int, load: Load) -> float:
    def of_a_slice() -> float:
        before = bpf_stats.runs_of(program)
        load.run(_SLICE_S)
        runs = bpf_stats.runs_of(program).since(before)
        return runs.time_ns / runs.count

    return _median_slice(_RUN_TIME_SLICES, of_a_slice)


@dataclass(frozen=True, slots=True)
class Stacked:
    """What many copies cost, and what follows for a single one.

    Attributes:
        costs: as ever, net of the empty program.
        hook: nanoseconds for each segment that the empty program costs itself, in each round.
        trip_ns: a round trip with nothing attached, in each round.
    """

    costs: Costs
    hook: list[float]
    trip_ns: list[float]

    def rate(self, name: str) -> float:
        """The ping-pong rate that follows, with one copy attached, as a part of without.

        The most it can be: one copy of many finds its code and data in the cache.
        """
        extra = _SEGMENTS_A_TRIP * (median(self.hook) + median(self.costs.rounds[name]))
        trip = median(self.trip_ns)
        return trip / (trip + extra)

    def report(self) -> str:
        """A table of everything measured."""
        hook, trip = Spread.of(self.hook), Spread.of(self.trip_ns)
        return (
            f"{self.costs.report()}\nthe hook itself: {hook.median:.1f} ns a segment;"
            f" a round trip with nothing attached: {trip.median:.0f} ns\n"
        )


def stacked(programs: dict[str, int], load: Load, rounds: int) -> Stacked:
    """Measure with many copies of one program at a time, by what a round trip takes longer."""
    trips: dict[str, list[float]] = {name: [] for name in (_NOTHING, *programs)}
    for name in in_turn(list(trips), rounds * _STACKED_ROUNDS):
        with attached(programs.get(name, -1), 0 if name == _NOTHING else _COPIES):
            trip = _median_slice(_STACKED_SLICES, lambda: load.run(_SLICE_S).cpu_ns_per_trip)
        trips[name].append(trip)
    gross = {n: [trip / _COPIES / _SEGMENTS_A_TRIP for trip in trips[n]] for n in trips}
    nothing = gross.pop(_NOTHING)
    costs = Costs.of_gross(f"stacked, {_COPIES} copies, one CPU", gross)
    return Stacked(costs, net(gross[EMPTY], nothing), trips[_NOTHING])
