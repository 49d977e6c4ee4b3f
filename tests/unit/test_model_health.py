"""When the exporter says that it is not well."""

from __future__ import annotations

from tcpvitals.model.health import Health

SECOND = 1_000_000_000
FINE = {"recursion": 0, "events": 0}


def after(*losses: dict[str, int]) -> Health:
    """Return what is known after refreshes a second apart, each with what was lost up to then."""
    health = Health(0)
    for number, lost in enumerate(losses, 1):
        health.refreshed(number * SECOND, lost)
    return health


def test_who_refreshes_in_time_and_loses_nothing_is_well() -> None:
    assert after(FINE, FINE, FINE).complaint(4 * SECOND, 1.0) is None


def test_counting_has_stopped_when_three_refreshes_are_missing() -> None:
    health = after(FINE)
    assert health.complaint(16 * SECOND, 5.0) is None
    assert health.complaint(17 * SECOND, 5.0) == "counting stopped: the last refresh was 16 s ago"


def test_a_machine_that_stands_still_for_some_seconds_is_no_failure() -> None:
    health = after(FINE)
    assert health.complaint(11 * SECOND, 0.1) is None
    assert health.complaint(12 * SECOND, 0.1) is not None


def test_one_loss_is_told_by_its_counter_and_not_here() -> None:
    assert after(FINE, {"recursion": 5}, {"recursion": 5}).complaint(3 * SECOND, 1.0) is None


def test_losses_that_go_on_from_refresh_to_refresh_are_told_by_reason() -> None:
    lost = [{"recursion": number, "events": 1} for number in range(4)]
    assert after(*lost).complaint(5 * SECOND, 1.0) == "losses are rising: recursion"


def test_losses_that_have_stopped_are_forgiven() -> None:
    lost = [{"recursion": number} for number in (1, 2, 3, 3)]
    assert after(*lost).complaint(5 * SECOND, 1.0) is None


def test_a_failed_refresh_is_told_until_one_succeeds() -> None:
    health = after(FINE)
    health.failed("cannot run settle_sockets: Cannot allocate memory")
    complaint = "counting stopped: cannot run settle_sockets: Cannot allocate memory"
    assert health.complaint(2 * SECOND, 1.0) == complaint
    health.refreshed(3 * SECOND, FINE)
    assert health.complaint(4 * SECOND, 1.0) is None
