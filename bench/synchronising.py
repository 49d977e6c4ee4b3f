"""One synchronisation: what it takes to read the counters of every live socket, and all the rest.

It is measured in this process, by what `serve` is made of.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from crowd import open_crowd
from errors import CannotRunError
from figures import Spread, table
from programs import IDLE_S, serve_plan, serve_request
from tcpvitals.errors import TcpvitalsError
from tcpvitals.kernel.loaded import Loaded
from tcpvitals.model.names import Names
from tcpvitals.sources.vitals import LiveVitals

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from load import Load

SOCKETS: Final = 100_000
_NETWORKS: Final = 150
_SLICE_S: Final = 1.0
UNUSED, USED = "idle since the last time", "all used since the last time"
SETTLE, SNAPSHOT = "synchronisation", "whole snapshot"


@dataclass(frozen=True, slots=True)
class Synchronising:
    """Seconds of each round, by what was done and of what kind the sockets were."""

    sockets: int
    seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def most_ms(self) -> float:
        """The median of synchronisations when all were used, in milliseconds."""
        return 1000 * Spread.of(self.seconds[SETTLE, USED]).median

    def report(self) -> str:
        """A table of all."""
        rows = [(f"{did}, {kind}", *_ms(seconds)) for (did, kind), seconds in self.seconds.items()]
        title = f"{self.sockets:,} live sockets, {self.sockets // 2:,} connections"
        return f"{title}\n\n{table(('', 'ms', 'least', 'most'), rows)}\n"


def _ms(seconds: list[float]) -> list[str]:
    spread = Spread.of(seconds)
    return [f"{1000 * value:.1f}" for value in (spread.median, spread.least, spread.most)]


def synchronising(program: Path, cpu: int, rounds: int, sockets: int = SOCKETS) -> Synchronising:
    """Measure the iterator over all sockets, and everything that a refresh reads.

    Raises:
        CannotRunError: this host cannot run it.
    """
    found = Synchronising(sockets)
    try:
        with open_crowd(program, cpu, sockets // 2, _NETWORKS) as load:
            _settle(found, load, rounds)
            _snapshot(found, load, rounds)
    except TcpvitalsError as error:
        raise CannotRunError(str(error)) from error
    return found


def _settle(found: Synchronising, load: Load, rounds: int) -> None:
    request = serve_request()
    with Loaded(request, serve_plan(request)) as loaded:
        table_, counters = loaded.vitals_table(0)
        loaded.attach()

        def settle() -> float:
            start = time.perf_counter()
            counters.begin_census()
            loaded.settle()
            return time.perf_counter() - start

        _measure(found, SETTLE, settle, load, rounds)
        reading = table_.read(0)
    live = int(reading.figures.live.sum() + reading.other.live)
    if live < found.sockets:
        message = f"{live} live sockets were counted, of {found.sockets}"
        raise CannotRunError(message)


def _snapshot(found: Synchronising, load: Load, rounds: int) -> None:
    request = serve_request()
    with LiveVitals(request, serve_plan(request), IDLE_S) as live:
        _measure(
            found, SNAPSHOT, lambda: live.snapshot(0, lambda _keys: Names()).took_s, load, rounds
        )


def _measure(
    found: Synchronising, did: str, do: Callable[[], float], load: Load, rounds: int
) -> None:
    """Each kind once in a round; the first time, what is noted of each socket is new."""
    do()
    unused, used = (found.seconds.setdefault((did, kind), []) for kind in (UNUSED, USED))
    for _ in range(rounds):
        unused.append(do())
        _use_all(load, found.sockets // 2)
        used.append(do())


def _use_all(load: Load, connections: int) -> None:
    """A byte to and fro on every one, as fast as it goes."""
    trips = 0
    while trips < connections:
        trips += load.run(_SLICE_S).trips
