"""`tcpvitals states` beside libbpf-tools' tcpstates: the same steps, times and columns."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

import pytest
from attaching import wait_until_attached
from conftest import IN_VM, libbpf_tool
from sockets_lab import Actor, Watcher, open_actor, watch

from tcpvitals.netlab.namespace import open_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tcpvitals.netlab.namespace import Namespace

# Nobody else on this machine has these; one is where packets go and nobody answers.
V4, V6, NOBODY = "127.77.0.1", "fd77::1", "10.77.0.2"
OLD, NEW, SERVER_FIRST, RESET, SIX, MAPPED, REFUSED = range(7000, 7007)
SERVERS = {OLD: V4, NEW: V4, SERVER_FIRST: V4, RESET: V4, SIX: V6, MAPPED: "::"}
# All that the kernel may choose from for a client.
CLIENTS = range(40000, 40010)
# The two read the clock one after the other; a busy machine may take a CPU away in between, once.
AGREE_MS, AGREE_ONCE_MS = (20, 200) if IN_VM else (1, 20)
WAIT_S = 0.3
SETTLED_S = 2 if IN_VM else 0.3
NARROW = "{:<16} {:<7} {:<10.10} {:<15} {:<5} {:<15} {:<5} {:<11} -> {:<11} {}"
WIDE = "{:<8} {:<16} {:<7} {:<16.16} {:<2} {:<39} {:<5} {:<39} {:<5} {:<11} -> {:<11} {}"
# On a host that has not mounted it, tcpstates needs it, and gets it for itself alone.
TCPSTATES = 'mount -t tracefs tracefs /sys/kernel/tracing; exec "$0"'


@dataclass(frozen=True)
class Step:
    """A row of either command."""

    socket: str
    pid: str
    comm: str
    laddr: str
    lport: int
    raddr: str
    rport: int
    old: str
    new: str
    ms: str

    @property
    def what(self) -> tuple[object, ...]:
        """All but whose and how long; IPv4 over an IPv6 socket as IPv4."""
        return (_plain(self.laddr), self.lport, _plain(self.raddr), self.rport, self.old, self.new)

    @property
    def is_ours(self) -> bool:
        """Whether it is of the traffic below."""
        ours = {V4, V6, NOBODY} & {_plain(self.laddr), _plain(self.raddr)}
        return bool(ours) or (self.laddr == "::" and self.lport == MAPPED)


def _plain(address: str) -> str:
    found = ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


def _rows(text: str) -> list[list[str]]:
    """The cells of all lines but the header."""
    return [line.replace(" -> ", " ").split() for line in text.splitlines()[1:]]


def _step(row: list[str]) -> Step:
    socket, pid, comm, laddr, lport, raddr, rport, old, new, took_ms = row
    return Step(socket, pid, comm, laddr, int(lport), raddr, int(rport), old, new, took_ms)


def _by_socket(text: str) -> dict[str, list[Step]]:
    """Each socket's steps in order, of those that are ours."""
    found: dict[str, list[Step]] = {}
    for step in map(_step, _rows(text)):
        if step.is_ours:
            found.setdefault(step.socket, []).append(step)
    return found


@dataclass(frozen=True)
class Seen:
    """What each command wrote of the same traffic; and what a connect in vain took at most."""

    plain: Watcher
    json: Watcher
    local: Watcher
    remote: Watcher
    tcpstates: Watcher
    in_vain_ms: float


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """All commands at once; everything happens on one CPU, in whose order tcpstates tells it."""
    folder: Path = tmp_path_factory.mktemp("out")
    ports = ",".join(map(str, CLIENTS))
    with ExitStack() as stack:
        namespace = stack.enter_context(open_namespace())
        _furnish(namespace)
        actor = stack.enter_context(open_actor(namespace))
        actor.do("pin")
        _connect(actor, OLD)
        netns = "--netns", str(namespace.pid)
        commands = {
            "plain": ("states", *netns),
            "json": ("states", "--json", *netns),
            "local": ("states", "-4", "-L", ports, *netns),
            "remote": ("states", "-6", "-D", str(SIX), "-Tw", *netns),
            "tcpstates": ("unshare", "-m", "sh", "-c", TCPSTATES, libbpf_tool("tcpstates")),
        }
        watchers = {
            name: stack.enter_context(watch(folder / name, *words))
            for name, words in commands.items()
        }
        wait_until_attached(*(one for name, one in watchers.items() if name != "tcpstates"))
        wait_until_attached(watchers["tcpstates"])
        in_vain_ms = _live(actor)
        time.sleep(SETTLED_S)
        for watcher in watchers.values():
            watcher.end()
        yield Seen(**watchers, in_vain_ms=in_vain_ms)


def _furnish(namespace: Namespace) -> None:
    for words in (
        f"address add {V6}/128 dev lo nodad",
        "address add 10.77.0.1/32 dev lo",
        f"route add {NOBODY} dev lo src 10.77.0.1",
    ):
        namespace.run(["ip", *words.split()])
    namespace.set_sysctl("net.ipv4.ip_local_port_range", f"{CLIENTS[0]} {CLIENTS[-1]}")


def _connect(actor: Actor, port: int) -> None:
    """Sets are named by port and side."""
    actor.do("use", name=f"{port} server")
    actor.do("listen", host=SERVERS[port], port=port)
    actor.do("use", name=f"{port} client")
    actor.do("connect", host=V6 if port == SIX else V4, port=port)
    actor.do("use", name=f"{port} server")
    actor.do("accept")


def _finish(actor: Actor, port: int, first: str = "client", second: str = "server") -> None:
    actor.do("use", name=f"{port} {first}")
    actor.do("finish", first=True)
    actor.do("use", name=f"{port} {second}")
    actor.do("finish", first=False)
    actor.do("use", name=f"{port} {first}")
    actor.do("last_words")


def _live(actor: Actor) -> float:
    """Eight ways through a connection's life; how many ms an unanswered one took at most."""
    for port in (NEW, SERVER_FIRST, RESET, SIX, MAPPED):
        _connect(actor, port)
    actor.do("use", name="in vain")
    began_s = time.monotonic()
    actor.do("call", host=V4, port=REFUSED)
    actor.do("call", host=NOBODY, port=REFUSED)
    time.sleep(WAIT_S)
    actor.do("drop")
    in_vain_ms = (time.monotonic() - began_s) * 1000
    _finish(actor, NEW)
    _finish(actor, SERVER_FIRST, "server", "client")
    for side in ("client", "server"):
        actor.do("use", name=f"{RESET} {side}")
        actor.do("drop", reset=True)
    for port in (SIX, MAPPED, OLD):
        _finish(actor, port)
    for port in SERVERS:
        actor.do("use", name=f"{port} server")
        actor.do("ignore")
    return in_vain_ms


@pytest.fixture
def theirs(seen: Seen) -> dict[str, list[Step]]:
    """What tcpstates saw; a kernel where it cannot be attached has nothing to compare with."""
    errors = seen.tcpstates.errors()
    if "failed to" in errors:
        assert not IN_VM, errors
        pytest.skip(f"tcpstates: {errors.splitlines()[-1]}")
    return _by_socket(seen.tcpstates.text())


def test_each_socket_takes_the_steps_that_tcpstates_sees_in_that_order(
    seen: Seen, theirs: dict[str, list[Step]]
) -> None:
    ours = _by_socket(seen.plain.text())
    steps = {socket: [step.what for step in steps] for socket, steps in ours.items()}
    assert steps == {socket: [step.what for step in steps] for socket, steps in theirs.items()}
    # 5 new listeners, twice; 5 clients and servers of which all but the reset take 5 each, the
    # reset ones 3; two calls in vain, 2 each; the old ones: 3, 3, and their listener's end.
    assert sum(map(len, ours.values())) == 5 * 2 + 4 * 10 + 6 + 2 * 2 + 7


def test_each_state_takes_as_long_as_tcpstates_says_and_0_where_nobody_knows_is_a_dash(
    seen: Seen, theirs: dict[str, list[Step]]
) -> None:
    ours = _by_socket(seen.plain.text())
    pairs = [
        (one.ms, other.ms)
        for socket in ours
        for one, other in zip(ours[socket], theirs[socket], strict=True)
    ]
    unknown = [other for one, other in pairs if one == "-"]
    assert set(unknown) == {"0.000"}
    known = [(float(one), float(other)) for one, other in pairs if one != "-"]
    assert _agree(known)
    assert len(known) > len(unknown)


def test_the_time_is_unknown_at_a_sockets_first_step_and_at_no_other(seen: Seen) -> None:
    """After its CLOSE an address may be another socket's; an older one's beginning is unknown."""
    for steps in _by_socket(seen.plain.text()).values():
        before = [None, *(step.new for step in steps)]
        for step, earlier in zip(steps, before, strict=False):
            assert (step.ms == "-") == (earlier in {None, "CLOSE"})
            assert earlier in {None, "CLOSE"} or step.old == earlier


def _agree(pairs: list[tuple[float, float]]) -> bool:
    *others, worst = sorted(abs(one - other) for one, other in pairs)
    return others[-1] <= AGREE_MS and worst <= AGREE_ONCE_MS


def _but_how_long(step: Step) -> tuple[object, ...]:
    """All but how long it took, of which only whether it is known."""
    return (step.socket, step.pid, step.comm, *step.what, step.ms == "-")


def test_text_and_json_tell_the_same(seen: Seen) -> None:
    told = [
        Step(
            record["socket"],
            str(record["pid"] or "-"),
            record["comm"] or "-",
            record["source"]["ip"],
            record["source"]["port"],
            record["destination"]["ip"],
            record["destination"]["port"],
            record["oldstate"],
            record["newstate"],
            "-" if record["ms"] is None else f"{record['ms']:.3f}",
        )
        for record in seen.json.records()
    ]
    shown = [_step(row) for row in _rows(seen.plain.text())]
    assert [_but_how_long(step) for step in told] == [_but_how_long(step) for step in shown]
    known = [(one.ms, other.ms) for one, other in zip(told, shown, strict=True) if one.ms != "-"]
    assert _agree([(float(one), float(other)) for one, other in known])


def test_the_columns_are_those_of_tcpstates(seen: Seen, theirs: dict[str, list[Step]]) -> None:
    """Header and rows; the figures' last digits apart, a row is what tcpstates would have shown."""
    assert theirs
    assert seen.plain.text().splitlines()[0] == seen.tcpstates.text().splitlines()[0]
    for line, row in zip(seen.plain.text().splitlines()[1:], _rows(seen.plain.text()), strict=True):
        assert line == NARROW.format(*row)


def test_a_filter_by_local_port_keeps_the_time_of_the_connect(seen: Seen) -> None:
    """The step to SYN_SENT has no port yet and is not shown, but the next one has its time."""
    rows = [_step(row) for row in _rows(seen.local.text())]
    assert {step.lport for step in rows} <= set(CLIENTS)
    firsts = [step for step in rows if step.old == "SYN_SENT"]
    assert [step.new for step in firsts] == ["ESTABLISHED"] * 4 + ["CLOSE"] * 2
    assert all(float(step.ms) > 0 for step in firsts)
    (in_vain,) = (step for step in firsts if step.raddr == NOBODY)
    assert WAIT_S * 1000 <= float(in_vain.ms) <= seen.in_vain_ms
    assert {ip_address(step.laddr).version for step in rows} == {4}
    assert [step.old for step in rows if step.ms == "-"] == ["ESTABLISHED"]
    assert len(rows) == 4 * 4 - 2 + 2 + 3


def test_a_filter_by_remote_port_shows_one_end_wide_and_with_the_time_of_day(seen: Seen) -> None:
    header, *lines = seen.remote.text().splitlines()
    assert re.fullmatch(r"TIME\(s\) +SKADDR +PID +COMM +IP +LADDR +LPORT +RADDR +RPORT .*", header)
    assert header == WIDE.format("TIME(s)", *header.replace(" -> ", " ").split()[1:])
    for line in lines:
        cells = line.replace(" -> ", " ").split()
        assert re.fullmatch(r"\d\d:\d\d:\d\d", cells[0])
        assert line == WIDE.format(*cells)
        assert (cells[4], cells[7], cells[8]) == ("6", V6, str(SIX))
    states = [tuple(line.replace(" -> ", " ").split()[9:11]) for line in lines]
    assert states == [
        ("CLOSE", "SYN_SENT"),
        ("SYN_SENT", "ESTABLISHED"),
        ("ESTABLISHED", "FIN_WAIT1"),
        ("FIN_WAIT1", "FIN_WAIT2"),
        ("FIN_WAIT2", "CLOSE"),
    ]
