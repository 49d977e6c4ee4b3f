"""How many events a second user space reads, decodes and writes, in its one thread."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from figures import Spread
from tcpvitals.commands.wall import wall_clock
from tcpvitals.kernel.plan import make_plan
from tcpvitals.kernel.probe import collect_facts
from tcpvitals.kernel.settings import Request, Telling
from tcpvitals.model.key import Grouping
from tcpvitals.model.names import Names
from tcpvitals.model.selection import Selection
from tcpvitals.sinks.eventjson import EventJsonSink
from tcpvitals.sinks.states import StatesSink
from tcpvitals.sources.live import LiveSockets

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcpvitals.model.event import Event

# Half of what the default ring holds, so that none is lost.
_PAIRS: Final = 20_000


def events_per_second(rounds: int) -> dict[str, Spread]:
    """Read what a process made beforehand: a socket that begins and stops to listen."""
    request = Request(Grouping(), Selection(), 1, telling=frozenset({Telling.STATES}))
    plan = make_plan(collect_facts(), None, 1, rtt=False)
    with Path(os.devnull).open("w") as nowhere, LiveSockets(request, plan, 60) as live:
        wall, names = wall_clock(), Names()
        text, lines = (
            StatesSink(stream=nowhere, wall=wall),
            EventJsonSink(stream=nowhere, wall=wall),
        )
        doings: dict[str, Callable[[list[Event]], None]] = {
            "read and decoded": lambda _events: None,
            "and written as text": lambda events: text.show(events, names, {}),
            "and written as JSON": lambda events: lines.show(events, names, {}),
        }
        return {
            name: Spread.of([_rate(live, do) for _ in range(rounds)]) for name, do in doings.items()
        }


def _rate(live: LiveSockets, do: Callable[[list[Event]], None]) -> float:
    _make_events()
    count, start = 0, time.perf_counter()
    while events := live.events():
        do(events)
        count += len(events)
    return count / (time.perf_counter() - start)


def _make_events() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(_PAIRS):
            server.shutdown(socket.SHUT_RD)
            server.listen(1)
