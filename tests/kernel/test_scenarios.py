"""What real hosts do to their connections is counted as the kernel counts it, and for its owner.

All scenarios run at once, each on its own network, beside one `tcpvitals retrans --verify`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest
from conftest import IN_VM
from retrans_scenarios import Outcome, verification
from scenarios_lab import SCENARIOS, open_scenarios

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COUNTED: Final = "RetransSegs"
TIMEOUTS: Final = "TCPTimeouts"
PROBES: Final = "TCPLossProbes"
EQUAL: Final = (
    COUNTED,
    "TCPSynRetrans",
    "TCPFastRetrans",
    "TCPSlowStartRetrans",
    "TCPRetransFail",
)
COUNTERS: Final = {*EQUAL, TIMEOUTS, PROBES}
CLIENT, SERVER = "client", "server"
# The only kernel of the guests' without it; on other hosts anything may be missing.
MAY_LACK: Final = {"MPTCP": {"5.10"}}


@dataclass(frozen=True)
class Expected:
    """What a scenario must have made the kernel count.

    Attributes:
        least: segments that each side retransmitted, at least; a side that is not there: none.
        unseen: how many timeouts of each side nothing shows: the fewest and the most.
        moved: other counters that show that it happened, at least.
    """

    least: Mapping[str, int]
    unseen: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    moved: Mapping[tuple[str, str], int] = field(default_factory=dict)


# Three connections each, unless their code says otherwise.  Lost at random: of 276 segments on each
# connection one in ten, each way.
_BULK: Final = {CLIENT: 40, SERVER: 40}
EXPECTED: Final = {
    "orphans": Expected({CLIENT: 6}),
    "RST": Expected({CLIENT: 3}, moved={(CLIENT, "TcpAttemptFails"): 1, (SERVER, "TcpOutRsts"): 2}),
    "ss -K": Expected({CLIENT: 6}),
    "TCP_USER_TIMEOUT": Expected({CLIENT: 6}),
    "zero window": Expected({}, moved={(CLIENT, "TcpExtTCPWinProbe"): 5}),
    "keepalive": Expected({}, moved={(CLIENT, "TcpExtTCPKeepAlive"): 5}),
    "older sockets": Expected(_BULK),
    "AF_UNSPEC": Expected(_BULK, moved={(CLIENT, "TcpActiveOpens"): 3}),
    "killed owner": Expected({CLIENT: 6}),
    "prefork": Expected({SERVER: 12}),
    "SCM_RIGHTS": Expected({SERVER: 6}),
    "path MTU": Expected({CLIENT: 7}),
    "BBR": Expected({CLIENT: 43, SERVER: 40}, moved={(CLIENT, "TcpExtTCPSynRetrans"): 3}),
    "no SACK": Expected({CLIENT: 43, SERVER: 40}, moved={(CLIENT, "TcpExtTCPSynRetrans"): 3}),
    "ECN": Expected(_BULK),
    "F-RTO": Expected({CLIENT: 3}, moved={(CLIENT, "TcpExtTCPSpuriousRTOs"): 1}),
    "MPTCP": Expected({CLIENT: 10, SERVER: 10}, moved={(SERVER, "MPTcpExtMPJoinAckRx"): 1}),
    "SYN cookies": Expected(
        {CLIENT: 50, SERVER: 10},
        {SERVER: (8, 8)},
        {(SERVER, "TcpExtSyncookiesSent"): 1, (SERVER, "TcpExtSyncookiesRecv"): 1},
    ),
    "TCP_DEFER_ACCEPT": Expected({SERVER: 3}),
    "SO_REUSEPORT": Expected({CLIENT: 15, SERVER: 15}),
}
OWNERS: Final = ("killed owner", "prefork", "SCM_RIGHTS")
assert EXPECTED.keys() == SCENARIOS.keys()


@dataclass(frozen=True)
class Played:
    """How all went."""

    inodes: dict[str, dict[str, int]]
    results: dict[str, dict[str, Any]]
    outcome: Outcome

    def result(self, name: str) -> dict[str, Any]:
        """What came of a scenario; skipped if the kernel lacks what it is about."""
        result = self.results[name]
        assert "error" not in result, result["error"]
        if "absent" in result:
            kernel = os.environ.get("TCPVITALS_VM")
            assert not IN_VM or kernel in MAY_LACK.get(name, ()), result["absent"]
            pytest.skip(f"this kernel lacks it: {result['absent']}")
        return result

    def lines_of(self, name: str, side: str) -> list[dict[str, Any]]:
        """The groups of one side."""
        inode = str(self.inodes[name][side])
        return [line for line in self.outcome.totals if line["key"].get("netns") == inode]


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    """All scenarios, played at once."""
    with open_scenarios() as scenarios, verification("netns,role,process") as running:
        results = scenarios.play()
        yield Played(scenarios.inodes, results, running.end())


def not_promised(outcome: Outcome, lines: list[dict[str, Any]]) -> int:
    """By how much ours may differ for want of programs that ran: what is shown as unattributed.

    Before 6.17 nothing tells a failure, and what was not seen is taken for one; no more than the
    kernel says it skipped.
    """
    unattributed = sum(int(line["unattributed"]) for line in lines)
    if not IN_VM:
        return unattributed
    return min(outcome.skipped, unattributed + sum(int(line["failed"]) for line in lines))


def left_out(outcome: Outcome) -> int:
    """What is said to be in no total: one for each end not seen, and what beginnings had.

    In guests nothing is: equality holds there even where the kernel skipped runs.
    """
    if IN_VM:
        return 0
    return outcome.lost("socket_ends") + outcome.lost("socket_begins")


def check_side(played: Played, name: str, side: str) -> None:
    """Counter by counter."""
    expected, moved = EXPECTED[name], played.result(name)["moved"][side]
    kernel = {one: moved.get(_name_of(one), 0) for one in COUNTERS}
    line = played.outcome.verified.get(str(played.inodes[name][side]))
    assert kernel[COUNTED] >= expected.least.get(side, 0)
    if not line:
        assert not any(kernel.values())
        return
    compared = line["counters"]
    assert {one: compared[one]["kernel"] for one in COUNTERS} == kernel
    lines = played.lines_of(name, side)
    ours = {one: compared[one]["ours"] for one in COUNTERS}
    assert sum(group["retransmitted"] for group in lines) == ours[COUNTED]
    may_miss = not_promised(played.outcome, lines)
    for one in EQUAL:
        most = left_out(played.outcome) if one == COUNTED else may_miss
        said = json.dumps([one, played.outcome.skipped, compared, lines])
        assert abs(ours[one] - kernel[one]) <= most, said
    fewest, most = expected.unseen.get(side, (0, 0))
    if name == "SYN cookies" and side == SERVER:  # how long the listener remembers is its own time
        most = played.result(name)["notes"]["remembered"]
    most += moved.get("TcpExtTCPSpuriousRtxHostQueues", 0)  # put off: an earlier copy is queued
    assert fewest - may_miss <= kernel[TIMEOUTS] - ours[TIMEOUTS] <= most + may_miss, line
    assert ours[PROBES] <= kernel[PROBES] + may_miss, line  # the others were of new data
    assert line["explained"] or not IN_VM, line


def _name_of(counter: str) -> str:
    return f"{'Tcp' if counter == COUNTED else 'TcpExt'}{counter}"


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_retransmitted_is_what_the_kernel_counts_at_every_host(
    played: Played, name: str
) -> None:
    """And there was something to count, or else what does not count happened."""
    moved = played.result(name)["moved"]
    for side in played.inodes[name]:
        check_side(played, name, side)
    for (side, counter), least in EXPECTED[name].moved.items():
        assert moved[side].get(counter, 0) >= least, counter


@pytest.mark.parametrize("name", ["zero window", "keepalive"])
def test_probes_of_a_window_or_of_an_idle_peer_are_no_retransmissions(
    played: Played, name: str
) -> None:
    """Not even those that nobody answers, at which the connection is given up."""
    moved = played.result(name)["moved"]
    for side, inode in played.inodes[name].items():
        assert not any(moved[side].get(_name_of(one), 0) for one in COUNTERS)
        assert str(inode) not in played.outcome.verified
        assert not any(line["retransmitted"] for line in played.lines_of(name, side))


@pytest.mark.parametrize("name", OWNERS)
def test_what_is_retransmitted_for_a_process_is_its_own(played: Played, name: str) -> None:
    """After it was killed too; and after it closed what another one had listened for."""
    notes = played.result(name)["notes"]
    owned: dict[str, int] = {}
    for line in played.lines_of(name, notes["side"]):
        pid = line["key"]["process"].partition("/")[0]
        owned[pid] = owned.get(pid, 0) + line["retransmitted"]
    for pid, least in notes["owners"].items():
        assert owned.get(pid, 0) >= least, owned
    if notes["all"]:
        assert {pid for pid, count in owned.items() if count} == notes["owners"].keys()


def test_no_difference_is_left_unexplained(played: Played) -> None:
    assert played.outcome.status == (0 if played.outcome.explained else 3)
    if IN_VM:
        assert (played.outcome.status, played.outcome.stderr) == (0, "")
