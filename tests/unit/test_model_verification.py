"""Each counter's expectation, and every reason for which the two sides may differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tcpvitals.model.expectations import Missed
from tcpvitals.model.verification import (
    Comparison,
    NamespaceReport,
    Observation,
    verify,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

INODE = 4026532008
KERNEL = {
    "RetransSegs": "TcpRetransSegs",
    "TCPSynRetrans": "TcpExtTCPSynRetrans",
    "TCPRetransFail": "TcpExtTCPRetransFail",
    "TCPTimeouts": "TcpExtTCPTimeouts",
    "TCPLossProbes": "TcpExtTCPLossProbes",
    "TCPFastRetrans": "TcpExtTCPFastRetrans",
    "TCPSlowStartRetrans": "TcpExtTCPSlowStartRetrans",
    "SpuriousRtxHostQueues": "TcpExtTCPSpuriousRtxHostQueues",
    "DeferAcceptDrop": "TcpExtTCPDeferAcceptDrop",
}
COMPARED = list(KERNEL)[:7]


def kernel(**values: int) -> dict[str, int]:
    """Return all the kernel's counters, 0 unless given."""
    return {name: values.get(short, 0) for short, name in KERNEL.items()}


def report(  # noqa: PLR0913 - what is not given is nothing
    ours: Mapping[str, int],
    now_high: Mapping[str, int],
    *,
    base_low: Mapping[str, int] | None = None,
    base_high: Mapping[str, int] | None = None,
    now_low: Mapping[str, int] | None = None,
    shows_errors: bool = True,
    skipped: int = 0,
    overflow: Mapping[str, int] | None = None,
) -> NamespaceReport:
    """Return the report of a namespace that stood still while it was read, unless told."""
    seen = Observation(
        inode=INODE,
        ours=ours,
        base_low=base_low or {},
        base_high=base_low or {} if base_high is None else base_high,
        now_low=now_high if now_low is None else now_low,
        now_high=now_high,
    )
    missed = Missed(skipped)
    return verify([seen], shows_errors=shows_errors, missed=missed, overflow=overflow or {})[0]


def compared(counter: str, found: NamespaceReport) -> Comparison:
    """Return one counter's comparison."""
    [one] = [one for one in found.comparisons if one.counter == counter]
    return one


def explanation(counter: str, found: NamespaceReport) -> str | None:
    """Return why a counter that differs may do so; None if nobody knows."""
    one = compared(counter, found)
    assert one.difference
    assert (one.status == "explained") == (one.explanation is not None)
    return one.explanation


# --- expectations -------------------------------------------------------------------------

EVERYTHING = {
    "segments_retransmitted": 143,
    "segments_failed": 2,
    "rto": 10,
    "fast": 100,
    "slow-start": 20,
    "tlp": 3,
    "syn": 4,
    "synack": 1,
    "other": 3,
    "timeouts": 12,
    "timeouts_last": 1,
}
KERNEL_OF_EVERYTHING = kernel(
    RetransSegs=143,
    TCPSynRetrans=4 + 1,
    TCPRetransFail=2,
    TCPTimeouts=12 + 1,
    TCPLossProbes=3,
    TCPFastRetrans=100 + 3,
    TCPSlowStartRetrans=20,
)

# No failures, each of which may be a timeout or not.
WITHOUT_LEEWAY = (
    {**EVERYTHING, "segments_failed": 0, "fast": 102},
    {**KERNEL_OF_EVERYTHING, "TcpExtTCPRetransFail": 0, "TcpExtTCPFastRetrans": 105},
)


@pytest.mark.parametrize("shows_errors", [False, True])
def test_every_counter_is_the_sum_of_what_the_kernel_files_there(*, shows_errors: bool) -> None:
    ours = EVERYTHING if shows_errors else {**EVERYTHING, "segments_failed": 0}
    found = report(ours, KERNEL_OF_EVERYTHING, shows_errors=shows_errors)

    sums = (143, 5, 2, 13, 3, 103, 20)
    assert found == NamespaceReport(
        INODE,
        tuple(
            Comparison(counter, value, value, 0, None, "equal")
            for counter, value in zip(COMPARED, sums, strict=True)
        ),
    )
    assert found.active
    assert found.explained


def test_what_the_kernel_counted_before_we_came_is_not_compared() -> None:
    found = report(
        {"segments_retransmitted": 5, "fast": 5},
        kernel(RetransSegs=1005, TCPFastRetrans=505),
        base_low=kernel(RetransSegs=1000, TCPFastRetrans=500),
    )

    assert compared("RetransSegs", found) == Comparison("RetransSegs", 5, 5, 0, None, "equal")
    assert compared("TCPFastRetrans", found).kernel == 5


def test_a_counter_that_the_kernel_lacks_is_not_compared() -> None:
    found = report({}, {"TcpRetransSegs": 0, "TcpExtTCPTimeouts": 0})
    assert [one.counter for one in found.comparisons] == ["RetransSegs", "TCPTimeouts"]


@pytest.mark.parametrize(
    ("counter", "more_of_us"),
    [
        (counter, more)
        for counter in COMPARED
        for more in (1, -1)
        if (counter, more) != ("TCPLossProbes", -1)  # it may have carried new data
    ],
)
def test_any_difference_without_a_reason_is_unexplained(counter: str, more_of_us: int) -> None:
    theirs = dict(WITHOUT_LEEWAY[1])
    theirs[KERNEL[counter]] -= more_of_us
    found = report(WITHOUT_LEEWAY[0], theirs)

    one = compared(counter, found)
    assert (one.difference, one.explanation, one.status) == (more_of_us, None, "unexplained")
    assert [one.counter for one in found.comparisons if one.status != "equal"] == [counter]
    assert not found.explained


# --- where the kernel is known to count more ----------------------------------------------


def test_a_connection_given_up_was_a_timeout_at_which_nothing_was_sent() -> None:
    found = report({"timeouts": 6, "timeouts_last": 2}, kernel(TCPTimeouts=8))
    assert compared("TCPTimeouts", found) == Comparison("TCPTimeouts", 8, 8, 0, None, "equal")
    assert explanation("TCPTimeouts", report({"timeouts_last": 2}, kernel(TCPTimeouts=3))) is None


def test_a_timeout_of_which_no_event_told_is_counted_all_the_same() -> None:
    """Before 6.17 one with no route is returned from before anything is counted or traced."""
    found = report({"rto": 3, "timeouts": 8}, kernel(TCPTimeouts=8), shows_errors=False)
    assert compared("TCPTimeouts", found) == Comparison("TCPTimeouts", 8, 8, 0, None, "equal")


def test_a_syn_ack_sent_twice_and_never_answered_was_three_timeouts() -> None:
    """As measured: two SYN-ACKs were sent again, and the third expiry gave the handshake up."""
    ours = {"segments_retransmitted": 2, "synack": 2, "timeouts": 2, "handshakes_timed_out": 1}
    found = report(ours, kernel(RetransSegs=2, TCPSynRetrans=2, TCPTimeouts=3))
    assert explanation("TCPTimeouts", found) == (
        "handshakes given up (tcp_syn_ack_timeout): 1 of at most 1"
    )
    found = report(ours, kernel(RetransSegs=2, TCPSynRetrans=2, TCPTimeouts=4))
    assert explanation("TCPTimeouts", found) is None


def test_a_handshake_that_was_late_was_not_given_up() -> None:
    """Of a flood's 1204 SYN-ACKs 3 requests may have been given up: the others were answered."""
    ours = {
        "segments_retransmitted": 1204,
        "synack": 1204,
        "timeouts": 1204,
        "handshakes_timed_out": 600,
        "handshakes_late": 597,
    }
    theirs = kernel(RetransSegs=1204, TCPSynRetrans=1204, TCPTimeouts=1207)

    said = "handshakes given up (tcp_syn_ack_timeout): 3 of at most 3"
    assert explanation("TCPTimeouts", report(ours, theirs)) == said
    theirs["TcpExtTCPTimeouts"] += 1
    assert explanation("TCPTimeouts", report(ours, theirs)) is None


def test_a_syn_ack_that_answers_a_second_syn_is_no_timeout() -> None:
    found = report({"segments_retransmitted": 2, "synack": 2}, kernel(RetransSegs=2))
    assert compared("TCPTimeouts", found) == Comparison("TCPTimeouts", 0, 0, 0, None, "equal")


def test_deferred_accepts_time_out_without_sending() -> None:
    found = report({}, kernel(TCPTimeouts=4, DeferAcceptDrop=1))
    assert explanation("TCPTimeouts", found) == (
        "timeouts of deferred accepts (tcp_syn_ack_timeout): 4 of at most 7"
    )
    found = report({}, kernel(TCPTimeouts=8, DeferAcceptDrop=1))
    assert explanation("TCPTimeouts", found) is None


def test_where_a_socket_forgets_timeouts_those_without_an_event_have_a_bound() -> None:
    theirs = kernel(TCPTimeouts=4, TCPRetransFail=2, SpuriousRtxHostQueues=1)
    ours = {"timeouts": 1, "segments_retransmitted": 3, "rto": 1}
    found = report(ours, theirs, shows_errors=False)

    assert explanation("TCPTimeouts", found) == (
        "timeouts whose retransmission failed or was put off: 3 of at most 3"
    )
    found = report(ours, {**theirs, "TcpExtTCPTimeouts": 5}, shows_errors=False)
    assert explanation("TCPTimeouts", found) is None
    found = report({**ours, "segments_failed": 2, "attempts_put_off": 1}, theirs)
    assert explanation("TCPTimeouts", found) is None


def test_a_syn_is_counted_before_it_fails() -> None:
    ours = {"segments_retransmitted": 3, "segments_failed": 1, "syn": 2}
    found = report(ours, kernel(RetransSegs=3, TCPSynRetrans=3, TCPRetransFail=1))

    assert explanation("TCPSynRetrans", found) == "at most 1 SYN that did not leave this host"


def test_where_failures_are_silent_they_are_what_was_retransmitted_without_any_event() -> None:
    ours = {"segments_retransmitted": 10, "rto": 4, "synack": 1, "fast": 2}
    found = report(ours, kernel(RetransSegs=10, TCPRetransFail=3), shows_errors=False)

    assert compared("TCPRetransFail", found) == Comparison("TCPRetransFail", 3, 3, 0, None, "equal")


@pytest.mark.parametrize(
    ("shows_errors", "ours", "theirs"),
    [
        (True, {"segments_failed": 2, "attempts_put_off": 2}, kernel()),
        (False, {"segments_retransmitted": 2}, kernel(SpuriousRtxHostQueues=2)),
    ],
)
def test_a_busy_queue_is_no_failure_to_the_kernel(
    *, shows_errors: bool, ours: dict[str, int], theirs: dict[str, int]
) -> None:
    found = report(ours, theirs, shows_errors=shows_errors)

    assert compared("TCPRetransFail", found).difference == 2
    assert explanation("TCPRetransFail", found) == "at most 2 refused by a busy queue (EBUSY)"


def test_probes_that_are_no_retransmissions_carried_new_data() -> None:
    found = report({"tlp": 1}, kernel(TCPLossProbes=3))

    assert explanation("TCPLossProbes", found) == "probes with new data (tcp_send_loss_probe): 2"


# --- where one side was read a moment earlier ---------------------------------------------


def test_what_moved_while_reading_may_be_missing_in_ours_and_never_in_the_kernels() -> None:
    """The kernel's was read once more after ours: it has all that ours has."""
    low = kernel(RetransSegs=95)
    found = report({"segments_retransmitted": 96}, kernel(RetransSegs=100), now_low=low)
    assert explanation("RetransSegs", found) == "moved while reading: 4 of at most 5"
    found = report({"segments_retransmitted": 101}, kernel(RetransSegs=100), now_low=low)
    assert explanation("RetransSegs", found) is None


def test_more_than_moved_while_reading_is_unexplained() -> None:
    found = report(
        {"segments_retransmitted": 94}, kernel(RetransSegs=100), now_low=kernel(RetransSegs=95)
    )

    assert explanation("RetransSegs", found) is None
    assert compared("RetransSegs", found).allowed == 5


def test_what_moved_while_the_baseline_was_read_is_all_that_is_allowed_for_it() -> None:
    """912 segments were counted before, and 2 between the two readings of the baseline."""
    theirs = kernel(RetransSegs=1000)
    low, high = kernel(RetransSegs=912), kernel(RetransSegs=914)

    def found_of(ours: int) -> NamespaceReport:
        ours_of = {"segments_retransmitted": ours}
        return report(ours_of, theirs, base_low=low, base_high=high)

    found = found_of(86)
    assert explanation("RetransSegs", found) == (
        "moved while the baseline was read: 2 of at most 2"
    )
    one = compared("RetransSegs", found_of(85))
    assert (one.difference, one.allowed, one.status) == (-3, 2, "unexplained")
    one = compared("RetransSegs", found_of(89))
    assert (one.difference, one.allowed, one.status) == (1, 0, "unexplained")


def test_what_found_no_slot_is_counted_by_each_counter_as_ours_are() -> None:
    theirs = kernel(RetransSegs=10, TCPFastRetrans=4, TCPSlowStartRetrans=6)
    overflow = {"segments_retransmitted": 3, "fast": 2, "other": 1}
    found = report(
        {"segments_retransmitted": 7, "fast": 1, "slow-start": 6}, theirs, overflow=overflow
    )
    assert explanation("RetransSegs", found) == "namespaces past the limit: at most 3"
    assert explanation("TCPFastRetrans", found) == "namespaces past the limit: at most 3"
    found = report({"segments_retransmitted": 6, "slow-start": 6}, theirs, overflow=overflow)
    assert (found.comparisons[0].explanation, found.explained) == (None, False)


def test_skipped_runs_are_a_bound_in_runs() -> None:
    found = report({"timeouts": 7}, kernel(TCPTimeouts=9), skipped=2)

    assert explanation("TCPTimeouts", found) == "runs that the kernel skipped: at most 2"


@pytest.mark.parametrize("skipped", [0, 1])
@pytest.mark.parametrize("shows_errors", [False, True])
def test_what_is_unattributed_explains_a_missing_cause(skipped: int, *, shows_errors: bool) -> None:
    """The sockets' own counters: 40 segments were retransmitted, in no event that we saw."""
    ours = {"segments_retransmitted": 50, "fast": 10}
    theirs = kernel(RetransSegs=50, TCPFastRetrans=48, TCPSlowStartRetrans=2)
    found = report(ours, theirs, shows_errors=shows_errors, skipped=skipped)

    assert explanation("TCPFastRetrans", found) == "unattributed: 38 of at most 40"
    assert explanation("TCPSlowStartRetrans", found) == "unattributed: 2 of at most 40"
    theirs["TcpExtTCPFastRetrans"] = 51 + skipped
    found = report(ours, theirs, shows_errors=shows_errors, skipped=skipped)
    assert explanation("TCPFastRetrans", found) is None


def test_what_failed_without_an_event_is_not_unattributed() -> None:
    ours = {"segments_retransmitted": 50, "fast": 10}
    theirs = kernel(RetransSegs=50, TCPFastRetrans=20, TCPRetransFail=31)
    found = report(ours, theirs, shows_errors=False)

    assert explanation("TCPFastRetrans", found) is None
    assert explanation("TCPRetransFail", found) == "unattributed: 9 of at most 9"


def test_silent_failures_are_read_together_with_what_was_retransmitted() -> None:
    """One was added to our total, and its event came after we had read."""
    found = report(
        {"segments_retransmitted": 5, "fast": 4},
        kernel(RetransSegs=5, TCPFastRetrans=4),
        now_low=kernel(RetransSegs=4, TCPFastRetrans=4),
        shows_errors=False,
    )

    assert explanation("TCPRetransFail", found) == "unattributed: 1 of at most 1"


def test_reasons_are_named_until_they_are_enough() -> None:
    found = report(
        {"timeouts": 1, "handshakes_timed_out": 2},
        kernel(TCPTimeouts=10),
        base_low=kernel(TCPTimeouts=2),
        base_high=kernel(TCPTimeouts=5),
        now_low=kernel(TCPTimeouts=9),
        skipped=1,
    )

    assert compared("TCPTimeouts", found).difference == -7
    assert explanation("TCPTimeouts", found) == (
        "handshakes given up (tcp_syn_ack_timeout): 2 of at most 2; "
        "moved while reading: 1 of at most 1; "
        "moved while the baseline was read: 3 of at most 3; "
        "runs that the kernel skipped: at most 1"
    )


# --- namespaces ---------------------------------------------------------------------------


def test_a_namespace_that_was_born_later_is_compared_from_its_beginning() -> None:
    found = report({"segments_retransmitted": 3}, kernel(RetransSegs=3), base_low={}, base_high={})

    assert compared("RetransSegs", found).status == "equal"


def test_a_namespace_where_neither_counted_is_idle() -> None:
    assert not report({"segments_sent": 100}, kernel()).active


def test_activity_of_the_kernel_alone_is_activity() -> None:
    found = report({}, kernel(TCPFastRetrans=1))
    assert found.active
    assert not found.explained
