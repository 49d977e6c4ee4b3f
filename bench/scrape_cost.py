"""How soon `tcpvitals serve` answers when all its groups and all its flows are in use."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from crowd import open_crowd
from exporter import Memory, open_exporter, sleep_until
from figures import quantile, table

if TYPE_CHECKING:
    from pathlib import Path

    from exporter import Exporter, Scrape

GROUPS: Final = 500
_CONNECTIONS: Final = 1000
# As many series of tcp_retransmissions_total as there are by default.
_FLOWS: Final = 500
_TRIPS_PER_S: Final = 2000
_UNANSWERED_S: Final = 5
# The first scrapes, from which it learns how often it is asked.
_UNLEARNED: Final = 4
# Scrapes in a round of the benchmark, a second apart.
_SCRAPES: Final = 15
_LEAST_SCRAPES: Final = 20
_SPARE_S: Final = 60
# Scrapes come at all moments between two refreshes, alike: multiples of this, modulo 1, do.
_GOLDEN: Final = 0.618034


@dataclass(frozen=True, slots=True)
class Scrapes:
    """Seconds of each scrape, in one form; the last one's bytes and series."""

    name: str
    seconds: list[float]
    size: int
    series: int

    def quantile_ms(self, share: float) -> float:
        """Milliseconds within which that share of them was answered."""
        return 1000 * quantile(self.seconds, share)

    def row(self) -> tuple[str, ...]:
        """A row of a table."""
        shown = (self.quantile_ms(share) for share in (0.5, 0.99, 1))
        size = f"{self.size / 1000:.0f} kB"
        return (self.name, f"{len(self.seconds)}", *(f"{ms:.2f}" for ms in shown), size)


def scrape_cost(program: Path, cpu: int, rounds: int) -> tuple[list[Scrapes], Memory]:
    """Measure plain and compressed, one after the other, each second; and memory after that."""
    each = max(_LEAST_SCRAPES, rounds * _SCRAPES)
    with (
        open_exporter("--max-groups", str(GROUPS)) as exporter,
        open_crowd(program, cpu, _CONNECTIONS, GROUPS, _FLOWS) as load,
    ):
        load.begin(2 * each + _SPARE_S, _TRIPS_PER_S)
        time.sleep(_UNANSWERED_S)
        found = [_scrapes(exporter, each, compressed=compressed) for compressed in (False, True)]
        return found, Memory.of(exporter.pid)


def _scrapes(exporter: Exporter, count: int, *, compressed: bool) -> Scrapes:
    with exporter.scraped(compressed=compressed) as scraper:
        start = time.monotonic()
        found: list[Scrape] = []
        for number in range(-_UNLEARNED, count):
            sleep_until(start + number + _UNLEARNED + number * _GOLDEN % 1)
            found.append(scraper.get())
    last = found[-1]
    last.expect("tcpvitals_groups", GROUPS)
    last.expect("tcpvitals_flows", _FLOWS)
    return Scrapes(
        "gzip" if compressed else "plain",
        [one.seconds for one in found[_UNLEARNED:]],
        len(last.body),
        last.series(),
    )


def scrapes_report(found: list[Scrapes]) -> str:
    """A table of both."""
    title = (
        f"scrape over loopback, keep-alive, each second; --refresh 1, {GROUPS} groups and"
        f" {_FLOWS} flows, {found[0].series:,} series"
    )
    head = ("page", "scrapes", "p50, ms", "p99, ms", "most, ms", "size")
    return f"{title}\n\n{table(head, [one.row() for one in found])}\n"
