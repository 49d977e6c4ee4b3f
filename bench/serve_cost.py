"""The part `serve`: what is printed, and its goals.  The others know how things are measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from figures import Goal, Spread
from load import open_load
from process import MORE_TRAFFIC
from programs import EMPTY, OURS_RADDR, OURS_SERVE, SEED_RADDR, loaded
from rare_cost import FLOWS, SERVE, TOTALS, rare_costs
from scrape_cost import GROUPS, scrape_cost, scrapes_report
from segment_cost import by_run_time
from serve_process import SOCKETS, crowded, crowded_report, memory_report, under_traffic
from synchronising import synchronising

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from build import Built

_TRAFFIC_GOAL: Final = 1.1
_CPU_GOAL_PERCENT: Final = 1
_RSS_GOAL_MB: Final = 60
_SCRAPE_GOAL_MS: Final = 10
_SYNCHRONISATION_GOAL_MS: Final = 100


def serve_costs(built: Built, cpus: Sequence[int], rounds: int) -> Iterator[Goal]:
    """Measure and print everything, and say how it stands to the goals."""
    yield from _traffic(built, cpus, rounds)
    yield from _sockets_and_page(built, cpus, rounds)
    yield from _synchronising(built, cpus, rounds)
    _segment(built, cpus, rounds)
    _retransmission(built, rounds)


def _traffic(built: Built, cpus: Sequence[int], rounds: int) -> Iterator[Goal]:
    found = under_traffic(built.crowd, cpus[0], rounds)
    print(found.report())
    _print_ratio(f"at {MORE_TRAFFIC}x the traffic", found.ratio())
    name = f"serve, CPU time at {MORE_TRAFFIC}x the traffic"
    yield Goal(name, found.ratio().median, _TRAFFIC_GOAL, unit="x")


def _sockets_and_page(built: Built, cpus: Sequence[int], rounds: int) -> Iterator[Goal]:
    """Memory is told of each, in one table."""
    crowds = [crowded(built.crowd, cpus[0], sockets, rounds) for sockets in SOCKETS]
    print(crowded_report(crowds))
    for one in crowds:
        name = f"serve, CPU with {one.sockets:,} live sockets, scraped"
        yield Goal(name, one.percent(), _CPU_GOAL_PERCENT, unit=" %")
    pages, with_groups = scrape_cost(built.crowd, cpus[0], rounds)
    print(scrapes_report(pages))
    for page in pages:
        yield Goal(
            f"serve, scrape of {GROUPS} groups, {page.name}, p99",
            page.quantile_ms(0.99),
            _SCRAPE_GOAL_MS,
            unit=" ms",
        )
    memory = {"at start": crowds[0].at_start}
    memory |= {f"{one.sockets:,} live sockets, scraped": one.crowded for one in crowds}
    memory[f"{GROUPS} full groups, scraped {2 * len(pages[0].seconds)} times"] = with_groups
    print(memory_report(memory))
    for name, resident in memory.items():
        yield Goal(f"serve, RSS, {name}", resident.total, _RSS_GOAL_MB, unit=" MB")


def _synchronising(built: Built, cpus: Sequence[int], rounds: int) -> Iterator[Goal]:
    found = synchronising(built.crowd, cpus[0], rounds)
    print(found.report())
    name = f"serve, synchronisation, {found.sockets:,} live sockets"
    yield Goal(name, found.most_ms(), _SYNCHRONISATION_GOAL_MS, unit=" ms")


def _segment(built: Built, cpus: Sequence[int], rounds: int) -> None:
    """On one CPU and on all, as the part run-time does."""
    compared = (EMPTY, SEED_RADDR, OURS_RADDR, OURS_SERVE)
    with (
        open_load(built.pingpong, cpus) as everywhere,
        open_load(built.pingpong, cpus[:1]) as alone,
        loaded(built, alone, compared) as programs,
    ):
        loads = {f"all {len(cpus)} CPUs": everywhere, "one CPU": alone}
        found = by_run_time(programs, loads, rounds)
    for costs in found:
        print(costs.report())
        _print_ratio(f"{OURS_SERVE} / {OURS_RADDR}", costs.ratio(OURS_SERVE, OURS_RADDR))


def _retransmission(built: Built, rounds: int) -> None:
    cost, _ = rare_costs(built, rounds, (TOTALS, FLOWS, SERVE))
    print(cost.report())
    for name in (FLOWS, SERVE):
        _print_ratio(f"{name} / {TOTALS}", cost.ratio_between(name, TOTALS))


def _print_ratio(name: str, ratio: Spread) -> None:
    print(f"{name}: {ratio.median:.2f} ({ratio.least:.2f}..{ratio.most:.2f})\n")
