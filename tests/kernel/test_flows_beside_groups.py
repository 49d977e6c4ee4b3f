"""In every snapshot of `serve`, flows and groups have the same retransmitted segments."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from retrans_scenarios import short_connections

from tcpvitals.kernel.plan import make_plan
from tcpvitals.kernel.settings import Request
from tcpvitals.model.key import FlowPorts, Grouping
from tcpvitals.model.measurement import Measurement, Sample
from tcpvitals.model.names import Names
from tcpvitals.model.selection import Selection
from tcpvitals.netlab.impairment import Impairment
from tcpvitals.netlab.link import open_link
from tcpvitals.sources.vitals import LiveVitals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tcpvitals.kernel.facts import HostFacts
    from tcpvitals.model.vitals import VitalsSnapshot
    from tcpvitals.netlab.link import Link

# A few more groups than are read at once, and fewer slots than flows: some are `other`.
REQUEST = Request(
    Grouping.parse("netns,role,raddr"),
    Selection(),
    400,
    Measurement(),
    totals=True,
    namespaces=True,
    vitals=(Sample.RTT, Sample.NETWORK),
    flows=FlowPorts.FULL,
    flows_limit=100,
)
LEAST = 100


def of_groups(snapshot: VitalsSnapshot) -> int:
    """Return what all groups retransmitted."""
    groups = snapshot.table.totals.total() + snapshot.other.totals + snapshot.retired.totals
    return groups["segments_retransmitted"]


def of_flows(snapshot: VitalsSnapshot) -> int:
    """Return what all flows retransmitted."""
    flows = snapshot.flows
    assert flows
    return flows.table.total() + flows.other + flows.retired


@contextmanager
def traffic(link: Link) -> Iterator[threading.Thread]:
    """Let 200 short connections lose a tenth of their segments; their end is waited for."""
    thread = threading.Thread(
        target=short_connections, args=(link, 200), kwargs={"size": 20_000, "timeout_s": 40}
    )
    thread.start()
    try:
        yield thread
    finally:
        thread.join()


def test_flows_and_groups_agree_in_every_snapshot_amid_loss(facts: HostFacts) -> None:
    plan = make_plan(facts, None, REQUEST.groups)
    seen = []
    with (
        open_link(Impairment(loss=0.1), segmentation_offload=False) as link,
        LiveVitals(REQUEST, plan, idle_s=600) as live,
        traffic(link) as running,
    ):
        while running.is_alive():
            snapshot = live.snapshot(0, lambda _: Names())
            seen.append((of_groups(snapshot), of_flows(snapshot)))
    assert [pair for pair in seen if pair[0] != pair[1]] == []
    assert seen[-1][0] >= LEAST
    assert len({groups for groups, _ in seen}) > 5
