#!/usr/bin/env python3
"""Measures what tcpvitals costs, on this host, now; README.md says how and why.

Prints its figures and how they stand to the goals.  It is no test: a goal that is missed does not
fail.  Exit status 2, with a line that says why, if there is no measuring here.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from build import build
from errors import CannotRunError
from figures import Goal, Spread, goals_table
from impact import impact
from load import open_load
from process import MORE_TRAFFIC, STEADY_TRIPS_PER_S, cpu_time, time_to_first_line
from programs import EMPTY, OURS, OURS_RADDR, loaded
from rare_cost import EVENTS, TOTALS, rare_costs
from reader import events_per_second
from segment_cost import by_run_time, stacked
from serve_cost import serve_costs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from build import Built
    from load import Load
from segment_cost import Costs

_ROUNDS: Final = 9
_WHOLE_HOST_GOAL: Final = 0.20
_RADDR_GOAL: Final = 0.35


@dataclass(frozen=True, slots=True)
class Bench:
    """What all measurements need."""

    built: Built
    rounds: int

    @property
    def cpus(self) -> list[int]:
        """The CPUs that may be used."""
        return sorted(os.sched_getaffinity(0))

    @contextmanager
    def loaded(self) -> Iterator[tuple[dict[str, int], Load]]:
        """All programs, and a load on one CPU."""
        with (
            open_load(self.built.pingpong, self.cpus[:1]) as load,
            loaded(self.built, load) as programs,
        ):
            yield programs, load


def _ratio_goals(costs: Costs) -> Iterator[Goal]:
    for name, limit in ((OURS, _WHOLE_HOST_GOAL), (OURS_RADDR, _RADDR_GOAL)):
        yield Goal(f"{name}, of seed's ({costs.title})", costs.ratio(name).median, limit)


def run_time(bench: Bench) -> Iterator[Goal]:
    """Cost for each segment, by the kernel's measurement."""
    pingpong, cpus = bench.built.pingpong, bench.cpus
    with open_load(pingpong, cpus) as everywhere, open_load(pingpong, cpus[:1]) as alone:
        loads = {f"all {len(cpus)} CPUs": everywhere, "one CPU": alone}
        with loaded(bench.built, alone) as programs:
            found = by_run_time(programs, loads, bench.rounds)
    for costs in found:
        print(costs.report())
        yield from _ratio_goals(costs)


def many_copies(bench: Bench) -> Iterator[Goal]:
    """Cost for each segment, by what round trips take longer."""
    with bench.loaded() as (programs, load):
        found = stacked(programs, load, bench.rounds)
    print(found.report())
    yield from _ratio_goals(found.costs)
    for name in (OURS, OURS_RADDR):
        yield Goal(
            f"ping-pong rate, {name} (at most: from stacked)", found.rate(name), 0.99, at_least=True
        )


def rate(bench: Bench) -> Iterator[Goal]:
    """Ping-pong with and without tcpvitals."""
    print("ping-pong rate, attached / not attached\n")
    with bench.loaded() as (programs, load):
        for name in (EMPTY, OURS, OURS_RADDR):
            found = impact(name, programs[name], load, bench.rounds)
            print(found.report())
            if name != EMPTY:
                yield Goal(f"ping-pong rate, {name}", found.cpu.median, 0.99, at_least=True)
    print()


def start(bench: Bench) -> Iterator[Goal]:
    """Time from starting the process to the first line of output."""
    print("start of the process to its first line\n")
    for limit, arguments in ((0.5, ["rtt", "--json"]), (0.1, ["--help"])):
        took = time_to_first_line(arguments, bench.rounds)
        name = " ".join(["tcpvitals", *arguments])
        print(f"{name}: {_seconds(took)}")
        yield Goal(f"{name}, first line", took.median, limit, unit=" s")
    print()


def _seconds(took: Spread) -> str:
    return f"{took.median:.3f} s ({took.least:.3f}..{took.most:.3f})"


def python(bench: Bench) -> Iterator[Goal]:
    """CPU time of the process, which should not depend on how much traffic there is."""
    print("CPU time of tcpvitals rtt --by raddr --json -i 1, for 10 s\n")
    spent = []
    with open_load(bench.built.pingpong, bench.cpus[:1]) as load:
        for times in (1, MORE_TRAFFIC):
            seconds, trips = cpu_time(load, STEADY_TRIPS_PER_S * times)
            print(f"{trips} round trips: {seconds:.3f} s")
            spent.append(seconds)
    print()
    yield Goal(f"CPU time at {MORE_TRAFFIC}x the traffic", spent[1] / spent[0], 1.2, unit="x")


def rare(bench: Bench) -> Iterator[Goal]:
    """Cost for each retransmission and for each connection's life."""
    for cost in rare_costs(bench.built, bench.rounds, (EVENTS, TOTALS)):
        print(cost.report())
        for name in (EVENTS, TOTALS):
            yield Goal(f"{cost.title}, {name}, of the usual tools'", cost.ratio(name).median, 1.5)


def reader(bench: Bench) -> Iterator[Goal]:
    """Events a second."""
    print("events a second in user space, one thread\n")
    found = events_per_second(bench.rounds)
    for name, rate in found.items():
        print(f"{name}: {rate.median:,.0f} ({rate.least:,.0f}..{rate.most:,.0f})")
    print()
    slowest = min(rate.median for rate in found.values())
    yield Goal("events a second, the slowest way", slowest, 50_000, at_least=True)


def serve(bench: Bench) -> Iterator[Goal]:
    """Everything about the exporter: its process, its page, and the programs that it loads."""
    yield from serve_costs(bench.built, bench.cpus, bench.rounds)


BENCHES: Final[dict[str, Callable[[Bench], Iterable[Goal]]]] = {
    "run-time": run_time,
    "stacked": many_copies,
    "rate": rate,
    "start": start,
    "python": python,
    "rare": rare,
    "reader": reader,
    "serve": serve,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", choices=BENCHES, action="append", help="run this part alone")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="default %(default)s")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds: at least 1")
    return arguments


def main() -> int:
    """Run what was asked for; the exit status."""
    arguments = _arguments()
    # So that namespaces and attached programs are taken down then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    print(f"Linux {platform.release()}, {platform.machine()}, {os.cpu_count()} CPUs, {_model()}\n")
    try:
        with tempfile.TemporaryDirectory(prefix="tcpvitals-bench-") as directory:
            bench = Bench(build(Path(directory)), arguments.rounds)
            goals = [goal for name in arguments.only or BENCHES for goal in BENCHES[name](bench)]
    except CannotRunError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(goals_table(goals))
    return 0


def _model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else "unknown processor"


if __name__ == "__main__":
    sys.exit(main())
