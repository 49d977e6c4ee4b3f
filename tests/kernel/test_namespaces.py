"""Network namespaces that come and go: what was counted in them stays, and nothing else does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from conftest import IN_VM
from namespaces_lab import churn, held
from retrans_scenarios import verification

from tcpvitals.model.expectations import Missed
from tcpvitals.sources.comparing import Comparer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcpvitals.model.namespaces import NamespaceTotals
    from tcpvitals.sources.live import LiveSockets
    from tcpvitals.sources.namespaces import LiveNamespaces

PATIENCE_S = 60
SLOTS = 160
# On a host that we do not choose a run may not happen: all of a short socket may be missed.
MAY_MISS = 0 if IN_VM else 0.05


def retransmitted(totals: NamespaceTotals) -> int:
    """Return what was counted in all namespaces that there ever were."""
    each = sum(one["segments_retransmitted"] for one in totals.each.values())
    retired, other = totals.retired, totals.other
    return each + retired["segments_retransmitted"] + other["segments_retransmitted"]


def namespaces_of(live: LiveSockets) -> LiveNamespaces:
    """Return them; they were asked for."""
    assert live.namespaces
    return live.namespaces


def wait_until_gone(live: LiveSockets, inodes: set[int]) -> NamespaceTotals:
    """Let it do its housekeeping until no namespace with one of these numbers has a slot."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        live.keep_up()
        totals = namespaces_of(live).totals()
        if not any(one.inode in inodes for one in totals.each):
            return totals
        assert time.monotonic() < deadline, sorted(totals.each)
        time.sleep(0.1)


def check_sum(ours: int, kernel: int) -> None:
    """Ours is the kernel's; on a host that we do not choose other namespaces retransmit, too."""
    assert kernel > 0
    assert ours >= kernel * (1 - MAY_MISS)
    if IN_VM:
        assert ours == kernel


def test_namespaces_that_are_gone_leave_their_slots_and_their_totals_stay(
    open_sockets: Callable[..., LiveSockets],
) -> None:
    """240 of them in 160 slots, and loss in every fifth."""
    live = open_sockets(namespaces=True, namespaces_limit=SLOTS)
    kernel, gone, before = 0, 0, namespaces_of(live).totals()
    for _ in range(4):
        found = churn(60, lossy_every=5)
        kernel += sum(again for _, again in found)
        gone += len(found)
        totals = wait_until_gone(live, {inode for inode, _ in found})
        assert totals.gone >= gone * (1 - MAY_MISS)
        if IN_VM:
            assert totals.gone == gone
    check_sum(retransmitted(totals) - retransmitted(before), kernel)
    assert totals.other["segments_sent"] == live.losses()["namespaces"] == 0
    assert totals.retired["segments_sent"] >= gone * (1 - MAY_MISS)


def test_namespaces_for_which_there_is_no_slot_are_counted_together_and_that_is_shown(
    open_sockets: Callable[..., LiveSockets],
) -> None:
    live = open_sockets(namespaces=True, namespaces_limit=4)
    before = namespaces_of(live).totals()
    kernel = sum(again for _, again in churn(40, lossy_every=2))
    totals = namespaces_of(live).totals()

    check_sum(retransmitted(totals) - retransmitted(before), kernel)
    assert len(totals.each) == 4
    assert live.losses()["namespaces"] > 0
    assert totals.other["segments_retransmitted"] > 0


def comparer_of(live: LiveSockets) -> Comparer:
    """Return one that has its baseline."""
    namespaces = namespaces_of(live)
    comparer = Comparer(
        namespaces.kernel, namespaces.totals, shows_errors=live.shows_errors, tries=5
    )
    comparer.begin()
    return comparer


def test_the_next_namespace_with_an_inode_number_is_compared_alone_and_equal(
    open_sockets: Callable[..., LiveSockets],
) -> None:
    """Three, one after the other; before 5.12 the kernel has no cookies to tell them apart."""
    live = open_sockets(namespaces=True, namespaces_limit=SLOTS)
    comparer = comparer_of(live)
    number = 0
    for losses in (3, 1, 2):
        with held(losses, number) as (number, kernel):
            found = comparer.compare(Missed)
            [report] = [one for one in found.reports if one.inode == number]
            [one] = [one for one in report.comparisons if one.counter == "RetransSegs"]
            assert (one.kernel, kernel >= losses) == (kernel, True)
            check_sum(one.ours, kernel)
    assert comparer.compare(Missed).gone.namespaces >= 3


def test_verify_prints_one_line_for_all_namespaces_that_are_gone() -> None:
    """It runs through without a print in between, and does its housekeeping all the same."""
    with verification() as running:
        kernel = sum(again for _, again in churn(80, lossy_every=5))
        time.sleep(1)
        outcome = running.end()

    if IN_VM:
        assert outcome.status == 0, outcome.verified
    [gone] = outcome.not_verified
    assert gone["gone"] >= 80 * (1 - MAY_MISS)
    check_sum(gone["gone_retransmitted"], kernel)
