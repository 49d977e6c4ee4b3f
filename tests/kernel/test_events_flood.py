"""More events than anyone reads: each is told or counted as lost, and nothing else suffers."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import IN_VM
from sockets_lab import Actor, Watcher, open_actor, round_trip, watch

from tcpvitals.kernel.settings import Telling
from tcpvitals.model.selection import Selection
from tcpvitals.netlab.namespace import open_namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tcpvitals.netlab.namespace import Namespace
    from tcpvitals.sources.live import LiveSockets

HOST = "127.0.0.1"
# One producer on each, so that none interrupts another one in the middle of a program.
CPUS = sorted(os.sched_getaffinity(0))
FLOOD = 100_000 if IN_VM else 1_000_000
BURST = 10_000 if IN_VM else 100_000
# Told in full by a process that has most of a slow CPU for itself.
SHOWN_S = 120
# Of a CPU, so that it does not matter what else the machine does.
SOON_S = 30 if IN_VM else 10
ENDED_S = 300


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A network of its own."""
    with open_namespace() as namespace:
        yield namespace


def _begin_flood(actor: Actor, events: int, cpus: list[int] = CPUS) -> None:
    """State changes of several processes at once."""
    actor.tell("flood", host=HOST, turns=-(-events // len(cpus) // 2), cpus=cpus)


def _flood(actor: Actor, events: int, cpus: list[int] = CPUS) -> int:
    """The same, to the end; how many they were."""
    _begin_flood(actor, events, cpus)
    made: int = actor.hear()
    return made


def _drain(live: LiveSockets) -> int:
    """How many events there were."""
    count = 0
    while events := live.events():
        count += len(events)
    return count


def test_events_seen_and_events_lost_are_all_there_were(
    namespace: Namespace, open_sockets: Callable[..., LiveSockets]
) -> None:
    """A ring of 64 KiB that nobody reads; the totals of a connection that talks meanwhile."""
    with open_actor(namespace) as client, open_actor(namespace) as server:
        port = server.do("listen", host=HOST)
        live = open_sockets(
            totals=True,
            telling=Telling.STATES,
            selection=Selection(netns_inode=namespace.inode),
            ring_bytes=1 << 16,
        )
        client.do("connect", host=HOST, port=port)
        server.do("accept")
        before = _drain(live), live.losses()["events"]
        with open_actor(namespace) as producer:
            _begin_flood(producer, FLOOD)
            for _ in range(50):
                round_trip(client.do, server.do, 1000)
            produced = producer.hear()
        lost = live.losses()["events"]
        seen = _drain(live)
        again = _flood(client, 100)
        seen_again = _drain(live)
        totals, losses = live.totals().total(), live.losses()
    assert before == (4, 0)
    assert produced >= FLOOD
    assert 0 <= produced - seen - lost <= losses["recursion"]
    assert 100 <= seen <= 1000
    assert (seen_again, losses["events"]) == (again, lost)
    assert (totals["segments_sent"], totals["bytes_sent"]) == (100, 100_000)


def test_no_more_events_are_skipped_than_the_kernel_says(
    namespace: Namespace, open_sockets: Callable[..., LiveSockets]
) -> None:
    """Several on one CPU: where programs can be preempted (7.0), the kernel skips the others'."""
    live = open_sockets(
        telling=Telling.STATES, selection=Selection(netns_inode=namespace.inode), ring_bytes=1 << 16
    )
    with open_actor(namespace) as actor:
        produced = _flood(actor, FLOOD // 2, CPUS[:1] * 4)
    losses = live.losses()
    assert 0 <= produced - _drain(live) - losses["events"] <= losses["recursion"]


@pytest.fixture
def following(
    namespace: Namespace, tmp_path: Path
) -> Iterator[Callable[..., tuple[Watcher, Actor]]]:
    """A function that starts `tcpvitals states --json`, with an actor, and waits until it sees."""
    with ExitStack() as stack:

        def start(*options: str) -> tuple[Watcher, Actor]:
            actor = stack.enter_context(open_actor(namespace))
            command = ["states", "--json", "--netns", str(namespace.pid), *options]
            watcher = stack.enter_context(watch(tmp_path / "out", *command))
            while not watcher.text():
                assert watcher.process.poll() is None, watcher.errors()
                actor.do("flood", host=HOST, turns=1, cpus=CPUS[:1])
                time.sleep(0.2)
            return watcher, actor

        yield start


def _told(records: list[dict[str, Any]]) -> int:
    return sum(record["type"] == "state" for record in records)


def _lost(records: list[dict[str, Any]]) -> int:
    return int(records[-1]["dropped"]["events"])


def test_a_stopped_reader_tells_how_much_it_missed(
    following: Callable[..., tuple[Watcher, Actor]],
) -> None:
    watcher, actor = following("--buffer", "64")
    before = watcher.records()
    watcher.process.send_signal(signal.SIGSTOP)
    produced = _flood(actor, FLOOD)
    watcher.process.send_signal(signal.SIGCONT)
    watcher.wait_for(lambda text: "lost" in text.splitlines()[-1])
    told = _told(watcher.records())
    again = _flood(actor, 100)
    watcher.wait_for(lambda text: text.count('"type":"state"') >= told + again)
    status = watcher.end()
    after = watcher.records()
    assert status == 0
    assert _lost(before) == 0
    assert _lost(after) > FLOOD // 2
    assert _told(after) - _told(before) + _lost(after) == produced + again


def test_a_burst_that_fits_the_buffer_is_told_whole(
    following: Callable[..., tuple[Watcher, Actor]],
) -> None:
    watcher, actor = following()
    before = _told(watcher.records())
    produced = _flood(actor, BURST)
    deadline = time.monotonic() + SHOWN_S
    while (
        watcher.text().count('"type":"state"') < before + produced and time.monotonic() < deadline
    ):
        time.sleep(0.5)
    status = watcher.end()
    records = watcher.records()
    assert status == 0
    assert _told(records) - before == produced >= BURST
    assert _lost(records) == 0


def _cpu_s(pid: int) -> float:
    """What a process has used of a CPU, ended or not."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _end_and_see_what_it_took(watcher: Watcher) -> float:
    """Interrupt it, and return the seconds of a CPU that it used from then to its end."""
    pid = watcher.process.pid
    before_s = _cpu_s(pid)
    watcher.process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + ENDED_S
    while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
        assert time.monotonic() < deadline, "it did not end"
        time.sleep(0.1)
    return _cpu_s(pid) - before_s


def test_ctrl_c_in_the_middle_of_a_burst_ends_it_soon(
    following: Callable[..., tuple[Watcher, Actor]],
) -> None:
    """The burst has no end: its makers go with the actor."""
    watcher, actor = following()
    actor.tell("flood", host=HOST, turns=1_000_000_000, cpus=CPUS[:1])
    started = len(watcher.text())
    watcher.wait_for(lambda text: len(text) > started)
    took_s = _end_and_see_what_it_took(watcher)
    assert watcher.process.wait() == 0
    assert took_s < SOON_S
    assert json.loads(watcher.text().splitlines()[-1])["type"] in {"state", "lost"}
    assert not watcher.errors()
