"""What the process of `tcpvitals serve` takes: CPU time by traffic and by live sockets, and memory.

The process is the one that a user starts, with its defaults but for a refresh each second.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from crowd import open_crowd
from exporter import Memory, open_exporter
from figures import Spread, in_turn, paired_ratios, table
from process import MORE_TRAFFIC, STEADY_TRIPS_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from exporter import Exporter, Scraper
    from load import Load

# Some networks /24, a group each by default, of the 200 groups that there may be.
_NETWORKS: Final = 150
_CONNECTIONS: Final = 1000
_WINDOW_S, _SCRAPED_S = 10, 5
_SETTLE_S: Final = 1.5

# What a host with as many connections to others has; and with half as many to itself.
SOCKETS: Final = (10_000, 20_000)
_LONG_WINDOW_S, _SELDOM_SCRAPED_S = 30, 15
# Each connection is used once in five seconds.
_SELDOM_TRIPS_PER_S: Final = 1000
# Long windows take fewer rounds.
_LONG_ROUNDS: Final = 4


@dataclass(frozen=True, slots=True)
class Traffic:
    """By the traffic's factor: round trips made in a window, CPU seconds spent in each round."""

    trips: dict[int, int] = field(default_factory=lambda: {1: 0, MORE_TRAFFIC: 0})
    spent_s: dict[int, list[float]] = field(default_factory=lambda: {1: [], MORE_TRAFFIC: []})

    def ratio(self) -> Spread:
        """With more traffic, of with less; compared round by round."""
        return Spread.of(paired_ratios(self.spent_s[MORE_TRAFFIC], self.spent_s[1]))

    def report(self) -> str:
        """A table of both."""
        title = (
            f"CPU of tcpvitals serve --refresh 1, {_CONNECTIONS:,} connections in"
            f" {_NETWORKS + 1} groups, scraped every {_SCRAPED_S} s"
        )
        head = (f"round trips in {_WINDOW_S} s", "% of a core", "least", "most")
        rows = [
            (f"{self.trips[times]:,}", *_percent(spent, _WINDOW_S))
            for times, spent in self.spent_s.items()
        ]
        return f"{title}\n\n{table(head, rows)}\n"


def _percent(spent_s: Sequence[float], window_s: float) -> list[str]:
    spread = Spread.of([100 * one / window_s for one in spent_s])
    return [f"{value:.2f}" for value in (spread.median, spread.least, spread.most)]


def under_traffic(program: Path, cpu: int, rounds: int) -> Traffic:
    """Measure with the same connections, all of them used, in turn."""
    found = Traffic()
    with (
        open_exporter() as exporter,
        open_crowd(program, cpu, _CONNECTIONS, _NETWORKS) as load,
        exporter.scraped() as scraper,
    ):
        _window(exporter, load, scraper, 1)  # it learns how often it is scraped
        for times in in_turn((1, MORE_TRAFFIC), rounds):
            spent_s, found.trips[times] = _window(exporter, load, scraper, times)
            found.spent_s[times].append(spent_s)
        scraper.get().expect("tcpvitals_connections", 2 * _CONNECTIONS)
        scraper.get().expect("tcpvitals_groups", _NETWORKS + 1)
    return found


def _window(exporter: Exporter, load: Load, scraper: Scraper, times: int) -> tuple[float, int]:
    """CPU seconds, and round trips made in those and a little before and after."""
    load.begin(_WINDOW_S + 2 * _SETTLE_S, times * STEADY_TRIPS_PER_S)
    time.sleep(_SETTLE_S)
    spent_s = exporter.cpu_s(_WINDOW_S, scraper, _SCRAPED_S)
    trips = load.end().trips
    return spent_s, round(trips * _WINDOW_S / (_WINDOW_S + 2 * _SETTLE_S))


# --- many sockets ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Crowded:
    """CPU seconds in each round with so many live sockets, and memory without and with them."""

    sockets: int
    alone_s: list[float]
    scraped_s: list[float]
    at_start: Memory
    crowded: Memory

    def percent(self) -> float:
        """Of a core, scraped."""
        return 100 * Spread.of(self.scraped_s).median / _LONG_WINDOW_S

    def rows(self) -> list[tuple[str, ...]]:
        """The rows of a table."""
        return [
            (f"{self.sockets:,}, not scraped", *_percent(self.alone_s, _LONG_WINDOW_S)),
            (
                f"{self.sockets:,}, scraped every {_SELDOM_SCRAPED_S} s",
                *_percent(self.scraped_s, _LONG_WINDOW_S),
            ),
        ]


def crowded(program: Path, cpu: int, sockets: int, rounds: int) -> Crowded:
    """Measure with so many live sockets, two of which are a connection."""
    alone_s, scraped_s, memory = [], [], []
    for _ in range(max(1, rounds // _LONG_ROUNDS)):
        with open_exporter() as exporter:
            time.sleep(2 * _SETTLE_S)
            at_start = Memory.of(exporter.pid)
            with open_crowd(program, cpu, sockets // 2, _NETWORKS) as load:
                load.begin(4 * _LONG_WINDOW_S, _SELDOM_TRIPS_PER_S)
                time.sleep(_LONG_WINDOW_S / 2)  # until each was used
                alone_s.append(exporter.cpu_s(_LONG_WINDOW_S))
                scraped_s.append(_scraped_s(exporter, sockets))
                memory.append((at_start, Memory.of(exporter.pid)))
    return Crowded(sockets, alone_s, scraped_s, *memory[-1])


def _scraped_s(exporter: Exporter, sockets: int) -> float:
    with exporter.scraped() as scraper:
        exporter.cpu_s(_LONG_WINDOW_S, scraper, _SELDOM_SCRAPED_S)  # as above
        spent_s = exporter.cpu_s(_LONG_WINDOW_S, scraper, _SELDOM_SCRAPED_S)
        scraper.get().expect("tcpvitals_connections", sockets)
    return spent_s


def crowded_report(found: Sequence[Crowded]) -> str:
    """A table of all."""
    title = "CPU of tcpvitals serve --refresh 1, by live sockets: two are a connection here"
    head = ("live sockets", "% of a core", "least", "most")
    return f"{title}\n\n{table(head, [row for one in found for row in one.rows()])}\n"


def memory_report(found: dict[str, Memory]) -> str:
    """A table of moments."""
    head = ("memory, MB", "RSS", "anonymous", "files and maps", "shared")
    rows = [
        (name, *(f"{value:.1f}" for value in (one.total, one.anonymous, one.file, one.shared)))
        for name, one in found.items()
    ]
    return f"{table(head, rows)}\n"
