"""`--verify` that is started in the middle of traffic: what was before is no excuse."""

from __future__ import annotations

import threading

from conftest import IN_VM
from retrans_scenarios import short_connections, verification, wait_until_quiet

from tcpvitals.netlab.impairment import CLEAN, Impairment
from tcpvitals.netlab.link import open_link

# So many packets may be on their way while the calmest of five baselines is read.
MOST_ALLOWED = 40


def test_a_start_amid_10_percent_loss_allows_hardly_any_difference() -> None:
    with open_link(Impairment(loss=0.1), segmentation_offload=False) as link:
        traffic = threading.Thread(
            target=short_connections, args=(link, 300), kwargs={"size": 4000, "timeout_s": 40}
        )
        traffic.start()
        try:
            with verification() as running:
                traffic.join()
                link.impair(CLEAN)
                wait_until_quiet(link)
                outcome = running.end()
        finally:
            traffic.join()
        found = [outcome.counters(end) for end in (link.client, link.server)]
    for one in (counters["RetransSegs"] for counters in found if counters):
        assert one["allowed"] <= MOST_ALLOWED
        if IN_VM:
            assert one["explained"], one
            assert abs(one["difference"]) <= one["allowed"]
