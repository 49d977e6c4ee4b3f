"""What our programs did not see explains a difference, one for each that was missed and no more."""

from __future__ import annotations

import pytest

from tcpvitals.model.expectations import Missed
from tcpvitals.model.verification import Observation, verify


def seen_of(ours: dict[str, int], kernel: dict[str, int]) -> Observation:
    """What both sides counted since they had nothing."""
    return Observation(
        inode=4026532008, ours=ours, base_low={}, base_high={}, now_low=kernel, now_high=kernel
    )


@pytest.mark.parametrize(
    ("counter", "missed", "most"),
    [
        ("TcpRetransSegs", Missed(ends=3), 3),
        ("TcpExtTCPTimeouts", Missed(ends=3), 3),
        ("TcpExtTCPTimeouts", Missed(closes=3), 3),
        ("TcpRetransSegs", Missed(closes=3), 0),
        ("TcpExtTCPSynRetrans", Missed(ends=3), 0),
        ("TcpExtTCPSynRetrans", Missed(skipped=3), 3),
        ("TcpRetransSegs", Missed(left_out=3), 3),
        ("TcpExtTCPTimeouts", Missed(timeouts_left_out=3, left_out=5), 3),
    ],
)
def test_a_connection_whose_end_was_not_seen_explains_one_that_is_missing_and_none_too_many(
    counter: str, missed: Missed, most: int
) -> None:
    for difference in (most, most + 1):
        seen = seen_of({}, {counter: difference})
        [report] = verify([seen], shows_errors=True, missed=missed, overflow={})
        [one] = report.comparisons
        assert (one.difference, one.status == "unexplained") == (-difference, difference > most)


def test_ours_may_not_be_more_for_connections_whose_end_was_not_seen() -> None:
    seen = seen_of({"segments_retransmitted": 1}, {"TcpRetransSegs": 0})
    [report] = verify([seen], shows_errors=True, missed=Missed(ends=3, closes=3), overflow={})
    assert not report.explained
