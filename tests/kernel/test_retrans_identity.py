"""What `tcpvitals retrans` counts is what the kernel counts, in each namespace, at both ends.

Proved by the command itself: it compares with the kernel's own counters, and its status tells.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import IN_VM
from retrans_scenarios import (
    Outcome,
    connect_in_vain,
    short_connections,
    transfer,
    verification,
    wait_until_quiet,
)

from tcpvitals.netlab.impairment import CLEAN, Impairment
from tcpvitals.netlab.link import Link, open_link
from tcpvitals.netlab.support import netem_support
from tcpvitals.netlab.workload import serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcpvitals.netlab.namespace import Namespace

COUNTED = "RetransSegs"
BY_CAUSE = ("TCPSynRetrans", "TCPFastRetrans", "TCPSlowStartRetrans")
# These may differ for reasons that are no loss of ours: see model/verification.py.
EXPLAINABLE = ("TCPRetransFail", "TCPTimeouts", "TCPLossProbes")
COUNTERS = (COUNTED, *BY_CAUSE, *EXPLAINABLE)
LINEAR_SYNS = "net.ipv4.tcp_syn_linear_timeouts"


@pytest.fixture
def _netem() -> None:
    """Skip where the kernel has no netem, which every guest has."""
    netem = netem_support()
    if not netem.yes:
        assert not IN_VM, netem.reason
        pytest.skip(f"no netem: {netem.reason}")


def outcome_of(link: Link, traffic: Callable[[], None]) -> Outcome:
    """What is found about traffic whose last retransmissions get through."""
    with verification() as running:
        traffic()
        link.impair(CLEAN)
        wait_until_quiet(link)
        return running.end()


def check_identity(outcome: Outcome, *, at_least: dict[Namespace, int]) -> None:
    """Ours is the kernel's count, and there was something to count in each of these namespaces."""
    for namespace, fewest in at_least.items():
        compared = outcome.counters(namespace)
        assert set(compared) == set(COUNTERS)
        assert compared[COUNTED]["kernel"] >= fewest
        assert outcome.by_groups_of(namespace) == compared[COUNTED]["ours"]
        holds = is_identical if IN_VM else is_accounted_for
        for counter in COUNTERS:
            assert holds(counter, compared, outcome), (counter, compared, outcome.totals)
    assert outcome.status == (0 if outcome.explained else 3), outcome.verified
    if IN_VM:
        assert (outcome.status, outcome.stderr) == (0, "")
        assert outcome.by_groups == outcome.by_namespaces


def is_identical(counter: str, compared: dict[str, dict[str, Any]], outcome: Outcome) -> bool:
    """Whether a counter is what the kernel's is, or differs for a reason that it may have."""
    one = compared[counter]
    if not one["difference"]:
        return True
    may_differ = counter in EXPLAINABLE or (counter in BY_CAUSE and outcome.skipped)
    if counter == "TCPSynRetrans" and compared["TCPRetransFail"]["kernel"]:
        may_differ = True  # counted before it is known whether it leaves this host
    return bool(may_differ and one["explained"])


def is_accounted_for(counter: str, compared: dict[str, dict[str, Any]], outcome: Outcome) -> bool:
    """Whether a counter differs by no more than what is said to be missing.

    On a host that we do not choose, programs may not run in what interrupts certain tasks.  Sockets
    tell how much was retransmitted all the same, and what has no cause is unattributed.  What is in
    no total is allowed for: sockets of which the beginning or the end was not seen.  Only SYN-ACKs
    of requests that never become a connection are reported by nothing else: they are missing in
    TCPSynRetrans as well.
    """
    missing = {name: -compared[name]["difference"] for name in (COUNTED, "TCPSynRetrans")}
    if counter == COUNTED:
        most = compared[COUNTED]["allowed"] + missing["TCPSynRetrans"]
        return bool(0 <= missing[COUNTED] <= most)
    if counter == "TCPSynRetrans":
        return bool(0 <= missing[counter] <= missing[COUNTED] + outcome.unattributed)
    one = compared[counter]
    return bool(
        one["explained"] or abs(one["difference"]) <= missing[COUNTED] + outcome.unattributed
    )


def test_transfers_at_1_percent_loss() -> None:
    """Some 5800 segments each way."""
    with open_link(Impairment(loss=0.01), segmentation_offload=False) as link:
        outcome = outcome_of(link, lambda: transfer(link, "--bytes", "8M"))
        check_identity(outcome, at_least={link.client: 25, link.server: 25})


@pytest.mark.usefixtures("_netem")
def test_transfers_whose_packets_overtake_each_other() -> None:
    """Not many are sent again: each connection learns how much order it may expect."""
    with open_link(Impairment(delay_ms=10, reorder=0.25), segmentation_offload=False) as link:
        outcome = outcome_of(link, lambda: transfer(link, "--time", "3", "--parallel", "4"))
        check_identity(outcome, at_least={link.client: 15, link.server: 15})


def test_600_short_connections_at_10_percent_loss() -> None:
    with open_link(Impairment(loss=0.1), segmentation_offload=False) as link:
        outcome = outcome_of(link, lambda: short_connections(link, 600, size=4000, timeout_s=40))
        check_identity(outcome, at_least={link.client: 300, link.server: 300})


def test_150_short_connections_at_40_percent_loss() -> None:
    with open_link(Impairment(loss=0.4), segmentation_offload=False) as link:
        outcome = outcome_of(link, lambda: short_connections(link, 150, size=1000, timeout_s=8))
        check_identity(outcome, at_least={link.client: 150, link.server: 150})


@pytest.mark.usefixtures("_netem")
def test_transfers_through_a_queue_that_is_too_short() -> None:
    """The sender's own host refuses some retransmissions, and the kernel counts those, too."""
    short = Impairment(delay_ms=1, loss=0.05, limit=4)
    with open_link(short, segmentation_offload=False) as link:
        outcome = outcome_of(link, lambda: transfer(link, "--time", "3", "--parallel", "8"))
        check_identity(outcome, at_least={link.client: 30, link.server: 30})
        failed = [outcome.counters(end)["TCPRetransFail"] for end in (link.client, link.server)]
    assert sum(one["kernel"] for one in failed) > 0


def give_up_soon(link: Link) -> None:
    """After two repetitions of a SYN, 1 and 3 seconds after it, and of a SYN-ACK."""
    link.client.set_sysctl("net.ipv4.tcp_syn_retries", 2)
    link.server.set_sysctl("net.ipv4.tcp_synack_retries", 2)
    if Path("/proc/sys", LINEAR_SYNS.replace(".", "/")).exists():  # from 6.5 on
        link.client.set_sysctl(LINEAR_SYNS, 0)


def test_handshakes_that_nobody_answers() -> None:
    """On one link nothing gets through; on the other only SYN-ACKs do not.

    Each of 20 connects sends its SYN twice more and gives up at the third timeout.  Where it comes
    through, the server repeats its SYN-ACK when the SYN does, and twice by its own timer.
    """
    with ExitStack() as stack:
        deaf = stack.enter_context(open_link(Impairment(loss=1)))
        mute = stack.enter_context(open_link(CLEAN, Impairment(loss=1)))
        for link in (deaf, mute):
            give_up_soon(link)
        port = stack.enter_context(serve(mute.server))
        running = stack.enter_context(verification())
        connect_in_vain([(deaf, port), (mute, port)], each=10)
        wait_until_quiet(mute)
        outcome = running.end()
        check_identity(outcome, at_least={deaf.client: 40, mute.client: 40, mute.server: 80})
        seen = [outcome.counters(end) for end in (deaf.client, mute.client, mute.server)]
        silent = outcome.counters(deaf.server)
    for counter, expected in (
        ("RetransSegs", [40, 40, 80]),
        ("TCPSynRetrans", [40, 40, 80]),
        ("TCPTimeouts", [60, 60, 60]),
    ):
        assert [compared[counter]["kernel"] for compared in seen] == expected
    assert silent == {}
