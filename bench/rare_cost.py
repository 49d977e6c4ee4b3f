"""What a retransmission and a connection's life cost, by the kernel's own measurement.

Ours, the usual tools' algorithm and an empty program are attached at the same time and see the same
traffic; what the kernel's clock reads cost is taken off with the empty program.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

import bpf_stats
from errors import CannotRunError
from figures import Spread, paired_ratios, table
from programs import serve_request
from tcpvitals.kernel.libbpf import Object
from tcpvitals.kernel.plan import make_plan
from tcpvitals.kernel.probe import collect_facts
from tcpvitals.kernel.settings import Request, Telling
from tcpvitals.model.key import FlowPorts, Grouping
from tcpvitals.model.selection import Selection
from tcpvitals.netlab.errors import NetlabError
from tcpvitals.netlab.impairment import Impairment
from tcpvitals.netlab.link import SERVER_IPV4, open_link
from tcpvitals.netlab.workload import exchange, serve
from tcpvitals.sources.live import LiveSockets

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from build import Built
    from tcpvitals.netlab.link import Link

_GROUPS: Final = 10240
_IDLE_S: Final = 600
_LIVES: Final = 400
_LOSS: Final = 0.05

# The programs at each hook, by the beginning of the name, which the kernel cuts to 15 characters.
_RETRANSMISSION: Final = ("retransmitted",)
_LIFE: Final = ("state_changed_b", "socket_gone")

EVENTS: Final = "ours, events"
TOTALS: Final = "ours, totals by raddr"
FLOWS: Final = "ours, totals by raddr, and flows"
SERVE: Final = "ours, serve"


@dataclass(frozen=True, slots=True)
class Cost:
    """Nanoseconds a time, net of the empty program: of each variant, ours and theirs by round."""

    title: str
    unit: str
    rounds: dict[str, list[tuple[float, float]]]

    def ratio(self, name: str) -> Spread:
        """Ours as a part of the usual tools', compared round by round."""
        ours, theirs = zip(*self.rounds[name], strict=True)
        return Spread.of(paired_ratios(ours, theirs))

    def ratio_between(self, name: str, baseline: str) -> Spread:
        """One of ours as a part of another, compared round by round."""
        ours, others = ([one for one, _ in self.rounds[which]] for which in (name, baseline))
        return Spread.of(paired_ratios(ours, others))

    def report(self) -> str:
        """A table of everything measured."""
        head = ("program", f"ns a {self.unit}", "usual tools", "of theirs", "least", "most")
        return f"{self.title}\n\n{table(head, [self._row(name) for name in self.rounds])}\n"

    def _row(self, name: str) -> list[str]:
        ours, theirs = (median(values) for values in zip(*self.rounds[name], strict=True))
        part = self.ratio(name)
        ratios = (f"{value:.2f}" for value in (part.median, part.least, part.most))
        return [name, f"{ours:.0f}", f"{theirs:.0f}", *ratios]


def rare_costs(built: Built, rounds: int, names: Collection[str]) -> list[Cost]:
    """Measure both, in turn, with the variants of these names.

    Raises:
        CannotRunError: this host cannot run it.
    """
    requests = {name: request for name, request in _requests().items() if name in names}
    retransmission: dict[str, list[tuple[float, float]]] = {name: [] for name in requests}
    life: dict[str, list[tuple[float, float]]] = {name: [] for name in requests}
    try:
        with open_link(engine="nft") as link, serve(link.server) as port:
            for _ in range(rounds):
                for name, request in requests.items():
                    with _attached(built, request) as held, bpf_stats.measuring():
                        retransmission[name].append(_retransmissions(held, link, port))
                        life[name].append(_lives(held, link, port))
    except NetlabError as error:
        raise CannotRunError(str(error)) from error
    return [
        Cost("a retransmission", "retransmission", retransmission),
        Cost("a connection from open to close, both ends", "connection", life),
    ]


def _requests() -> dict[str, Request]:
    everything = frozenset({Telling.RETRANSMISSIONS, Telling.STATES})
    return {
        EVENTS: Request(Grouping(), Selection(), telling=everything),
        TOTALS: Request(Grouping.parse("raddr"), Selection(), _GROUPS, totals=True),
        FLOWS: Request(
            Grouping.parse("raddr"),
            Selection(),
            _GROUPS,
            totals=True,
            flows=FlowPorts.BOUNDED,
            flows_limit=serve_request().flows_limit,
        ),
        SERVE: serve_request(),
    }


@contextmanager
def _attached(built: Built, request: Request) -> Iterator[dict[str, list[int]]]:
    """Attach everything; the programs by name, as file descriptors."""
    plan = make_plan(collect_facts(), None, request.groups, rtt=False)
    with Object(built.classic, "classic") as classic, ExitStack() as undo:
        classic.load()
        for program in classic.programs.values():
            undo.callback(program.attach().close)
        with LiveSockets(request, plan, _IDLE_S):
            yield _by_name(bpf_stats.held_programs())


def _by_name(programs: set[int]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for program in programs:
        found.setdefault(bpf_stats.name_of(program), []).append(program)
    return found


def _net_ns(held: dict[str, list[int]], names: tuple[str, ...], empty: str) -> float:
    """Time of all programs whose names begin so, less what as many empty runs take."""
    idle = bpf_stats.runs_of(held[empty][0])
    overhead_ns = idle.time_ns / max(1, idle.count)
    chosen = [fd for name, fds in held.items() if name.startswith(names) for fd in fds]
    runs = [bpf_stats.runs_of(program) for program in chosen]
    return sum(run.time_ns - overhead_ns * run.count for run in runs)


def _retransmissions(held: dict[str, list[int]], link: Link, port: int) -> tuple[float, float]:
    """Ours and theirs, for each retransmission."""
    link.impair(Impairment(loss=_LOSS))
    exchange(link.client, "pingpong", SERVER_IPV4, port, count=30, connections=8, size=65536)
    link.impair(Impairment())
    times = bpf_stats.runs_of(held["classic_retrans"][0]).count
    if not times:
        message = "nothing was retransmitted"
        raise CannotRunError(message)
    empty = "empty_retransmi"
    ours = _net_ns(held, _RETRANSMISSION, empty)
    return ours / times, _net_ns(held, ("classic_retrans",), empty) / times


def _lives(held: dict[str, list[int]], link: Link, port: int) -> tuple[float, float]:
    """Ours and theirs, for each connection; what was before does not count."""
    before = _net_ns(held, _LIFE, "empty_state"), _net_ns(held, ("classic_state",), "empty_state")
    exchange(link.client, "pingpong", SERVER_IPV4, port, count=1, connections=_LIVES)
    after = _net_ns(held, _LIFE, "empty_state"), _net_ns(held, ("classic_state",), "empty_state")
    return (after[0] - before[0]) / _LIVES, (after[1] - before[1]) / _LIVES
