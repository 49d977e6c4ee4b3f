"""A made-up clock, signals and sockets for the tests of commands, and that they hold up."""

from __future__ import annotations

import math
import os
import select
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import chain, repeat
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from test_kernel_madeup import host
from test_model_totals import snapshot
from test_sink_madeup import snapshot as rtt_snapshot
from test_sink_madeup_events import RESENT, wall

from tcpvitals.commands import following, moments, naming, retrans_events, stopping
from tcpvitals.commands import wall as wall_module
from tcpvitals.commands.stopping import StopRequest
from tcpvitals.kernel import cgroups, netns, probe
from tcpvitals.kernel.netns_counters import COUNTERS
from tcpvitals.kernel.plan import make_plan
from tcpvitals.kernel.settings import Request, Telling
from tcpvitals.model.expectations import Missed
from tcpvitals.model.key import Grouping, GroupKey
from tcpvitals.model.namespaces import NamespaceTotals, Netns
from tcpvitals.model.selection import Selection
from tcpvitals.model.totals import Totals
from tcpvitals.sources import live

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

    import pytest

    from tcpvitals.kernel.netns_counters import Counters
    from tcpvitals.kernel.plan import Plan
    from tcpvitals.model.event import Event
    from tcpvitals.model.rtt import RttSnapshot
    from tcpvitals.model.totals import TotalsSnapshot

Groups: TypeAlias = dict[GroupKey, dict[str, int]]

PEER = GroupKey(raddr=ip_address("10.0.0.1"))


class Clock:
    """Stands in for the module `time`; it moves only when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, start_s: float = 1000.0) -> None:
        """Take the place of the real one wherever commands look at it."""
        self.now_s = start_s
        for module in (following, moments, naming, stopping):
            monkeypatch.setattr(module, "time", self)
        monkeypatch.setattr(following, "boot_time_ns", self.boot_time_ns)

    def monotonic(self) -> float:
        """Return the time in seconds."""
        return self.now_s

    def boot_time_ns(self) -> int:
        """Return the same in nanoseconds."""
        return round(self.now_s * 1e9)

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds


class MadeUpStop(StopRequest):
    """Waits by moving the clock; a signal comes at a time that was agreed upon."""

    def __init__(self, clock: Clock, signal_s: float = math.inf) -> None:
        """Leave the real signals alone; one comes so many seconds from now."""
        self.clock, self._signal_s = clock, clock.now_s + signal_s

    def wait_until(self, deadline: float, source: int | None = None) -> bool:
        """Move the clock on, unless there is something in the source already."""
        ready = source is not None and bool(select.select([source], [], [], 0)[0])
        if not ready:
            self.clock.now_s = max(self.clock.now_s, min(deadline, self._signal_s))
        return self.clock.now_s >= self._signal_s


@dataclass(frozen=True)
class Step:
    """What comes out at one look: events, how many were lost so far, and perhaps a signal."""

    events: tuple[Event, ...] = ()
    lost: int = 0
    signal: signal.Signals | None = None


@dataclass
class MadeUpRtt:
    """In place of `LiveRtt`: one more sample of 1000 us at each look; notes what it was asked."""

    request: Request
    plan: Plan
    idle_s: float
    start_ns: int = 0
    samples: list[int] = field(default_factory=list)
    closed: bool = False
    # A signal to send ourselves before the snapshot of that number.
    signals: ClassVar[dict[int, signal.Signals]] = {}
    opened: ClassVar[list[MadeUpRtt]] = []
    takes_s: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        """Remember that it was opened."""
        self.opened.append(self)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Remember that it was closed."""
        self.closed = True

    def find_owners(self) -> None:
        """There are none."""

    def snapshot(self) -> RttSnapshot:
        """Return one more sample than before."""
        time.sleep(self.takes_s)
        self.samples.append(1000)
        count = len(self.samples)
        send(self.signals.get(count))
        assert self.request.measurement
        unit = self.request.measurement.unit
        return rtt_snapshot({GroupKey(netns=7): self.samples}, seconds=count, unit=unit)


# What each group adds between two looks: a hundred segments, one of them sent again.
RATES: Groups = {PEER: {"segments_sent": 100, "segments_retransmitted": 1, "fast": 1}}


class MadeUpNamespaces:
    """The kernel's counters are those of `reading`; we have counted nothing."""

    reading: ClassVar[Iterator[Counters]] = repeat({})

    def kernel(self) -> Counters:
        """The next reading."""
        return next(self.reading)

    def totals(self) -> NamespaceTotals:
        """Nothing."""
        return NamespaceTotals({}, Totals.empty(), Totals.empty(), 0, {})


@dataclass
class MadeUpSockets:
    """In place of `LiveSockets`: what happens is written down before; notes what it was asked."""

    request: Request
    plan: Plan
    idle_s: float
    start_ns: int = 0
    looks: int = 0
    owners_looked_for: int = 0
    lost: int = 0
    closed: bool = False
    steps: list[Step] = field(default_factory=list)
    # What happens: event by event; and as totals, with a signal before the look of that number.
    script: ClassVar[tuple[Step, ...]] = ()
    rates: ClassVar[Groups] = RATES
    signals: ClassVar[dict[int, signal.Signals]] = {}
    owners_signals: ClassVar[dict[int, signal.Signals]] = {}
    opened: ClassVar[list[MadeUpSockets]] = []

    def __post_init__(self) -> None:
        """Remember that it was opened; there is something to be read until the script ends."""
        self.opened.append(self)
        self.shows_errors = self.plan.shows_errors
        self.steps = list(self.script)
        self._readable, self._writable = os.pipe()
        if self.steps:
            os.write(self._writable, b"!")

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Remember that it was closed."""
        self.closed = True
        os.close(self._readable)
        os.close(self._writable)

    @property
    def events_fd(self) -> int | None:
        """Readable while something is still to happen; None if nobody asked for events."""
        return self._readable if self.request.telling else None

    def events(self) -> list[Event]:
        """Take the next step."""
        if not self.steps:
            return []
        step = self.steps.pop(0)
        if not self.steps:
            os.read(self._readable, 1)
        self.lost = step.lost
        send(step.signal)
        return list(step.events)

    def losses(self) -> Mapping[str, int]:
        """How many events were lost up to this step."""
        return {"recursion": 0, "events": self.lost}

    def missed(self) -> Missed:
        """Nothing that counts was missed."""
        return Missed()

    def keep_up(self) -> None:
        """Note that owners are looked for."""
        self.owners_looked_for += 1
        send(self.owners_signals.get(self.owners_looked_for))

    def totals(self) -> TotalsSnapshot:
        """How things stand at the next look, a second after the one before."""
        self.looks += 1
        send(self.signals.get(self.looks))
        groups = {
            key: {name: self.looks * count for name, count in rate.items()}
            for key, rate in self.rates.items()
        }
        return snapshot(groups, seconds=self.looks, losses=self.losses())

    @property
    def namespaces(self) -> MadeUpNamespaces | None:
        """Those in which nothing was counted; None if nobody asked for them."""
        return MadeUpNamespaces() if self.request.namespaces else None


def send(number: signal.Signals | None) -> None:
    """Send ourselves a signal."""
    if number is not None:
        os.kill(os.getpid(), number)


@contextmanager
def made_up_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[MadeUpSockets]]:
    """Make commands find a host that has everything, made-up sockets, and no names."""
    MadeUpRtt.signals, MadeUpRtt.opened, MadeUpRtt.takes_s = {}, [], 0.0
    MadeUpSockets.script, MadeUpSockets.opened = (), []
    MadeUpSockets.signals, MadeUpSockets.owners_signals = {}, {}
    MadeUpSockets.rates = RATES
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(live, "LiveRtt", MadeUpRtt)
    monkeypatch.setattr(live, "LiveSockets", MadeUpSockets)
    monkeypatch.setattr(probe, "collect_facts", host)
    monkeypatch.setattr(netns, "names", dict)
    monkeypatch.setattr(cgroups, "find", lambda _wanted: {})
    for module in (wall_module, retrans_events):
        monkeypatch.setattr(module, "wall_clock", lambda: wall)
    yield MadeUpSockets
    for number, handler in before.items():
        signal.signal(number, handler)


def let_the_kernel_count_what_nobody_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it count 40 segments after we attached, of which the made-up sockets say nothing."""
    nothing = dict.fromkeys(COUNTERS, 0)
    readings = (
        {Netns(7, 1): nothing | {"TcpRetransSegs": count}} for count in chain([0, 0], repeat(40))
    )
    monkeypatch.setattr(MadeUpNamespaces, "reading", readings)


def test_the_made_up_clock_moves_only_by_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    stop = MadeUpStop(clock, signal_s=5)
    began = time.monotonic()
    assert stop.wait_until(1003) is False
    assert (clock.monotonic(), clock.boot_time_ns()) == (1003.0, 1_003_000_000_000)
    assert stop.wait_until(math.inf) is True
    assert clock.monotonic() == 1005
    assert time.monotonic() < began + 3600


def test_made_up_sockets_are_readable_until_their_script_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with made_up_host(monkeypatch) as source:
        source.script = Step((RESENT,)), Step(lost=2)
        request = Request(Grouping(), Selection(), 1, telling=frozenset(Telling))
        stop = MadeUpStop(Clock(monkeypatch))
        with source(request, make_plan(host(), None, 1, rtt=False), 60) as opened:
            found = []
            for _ in range(3):
                stop.wait_until(stop.clock.now_s + 1, opened.events_fd)
                found.append((stop.clock.now_s, opened.events(), opened.losses()["events"]))
        assert found == [(1000, [RESENT], 0), (1000, [], 2), (1001, [], 2)]
        assert opened.closed is True


def test_made_up_totals_grow_from_look_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    with made_up_host(monkeypatch) as source:
        request = Request(Grouping(), Selection(), 1, totals=True)
        with source(request, make_plan(host(), None, 1, rtt=False), 60) as opened:
            looks = [opened.totals() for _ in range(3)]
            assert opened.events_fd is None
        assert [one.total()["segments_sent"] for one in looks] == [100, 200, 300]
        assert [one.taken_ns for one in looks] == [10**9, 2 * 10**9, 3 * 10**9]
