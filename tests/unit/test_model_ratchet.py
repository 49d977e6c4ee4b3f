"""What is held never goes backwards, and what is settled never overshoots."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpvitals.model.ratchet import Ratchet, Rows, Settled

ROWS = st.dictionaries(st.integers(0, 6), st.integers(0, 100), max_size=5)
BELOW_ZERO = 2**64 - 2


def ids(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Return identities."""
    return np.array(numbers, np.uint64)


def hold(ratchet: Ratchet, rows: dict[int, int]) -> dict[int, int]:
    """Hold rows of one column, by identity."""
    values = np.array(list(rows.values()), np.uint64).reshape(-1, 1)
    held = ratchet.hold(ids(*rows), values)
    return dict(zip(rows, held[:, 0].tolist(), strict=True))


def settle(settled: Settled, rows: dict[int, int]) -> dict[int, int]:
    """Settle rows by identity, the last of which is the heir."""
    values = np.array(list(rows.values()), np.uint64)
    return dict(zip(rows, settled.settle(ids(*rows), values, -1).tolist(), strict=True))


def test_a_step_back_shows_what_was_there_before_until_it_is_made_good() -> None:
    ratchet = Ratchet(1)

    shown = [hold(ratchet, {7: value})[7] for value in (10, 8, 9, 12)]

    assert shown == [10, 10, 10, 12]


def test_rows_are_held_by_identity_whatever_their_order() -> None:
    ratchet = Ratchet(1)
    hold(ratchet, {1: 10, 2: 20})

    assert hold(ratchet, {2: 5, 3: 1, 1: 11}) == {2: 20, 3: 1, 1: 11}


def test_an_identity_that_was_gone_is_forgotten() -> None:
    ratchet = Ratchet(1)
    hold(ratchet, {1: 10})
    hold(ratchet, {})

    assert hold(ratchet, {1: 3}) == {1: 3}


def test_each_column_is_held_for_itself() -> None:
    ratchet = Ratchet(2)
    ratchet.hold(ids(1), np.array([[5, 1]], np.uint64))

    assert ratchet.hold(ids(1), np.array([[4, 2]], np.uint64)).tolist() == [[5, 2]]


def test_a_counter_below_0_is_0_and_not_held_for_ever() -> None:
    ratchet = Ratchet(1)

    assert hold(ratchet, {1: BELOW_ZERO}) == {1: 0}
    assert hold(ratchet, {1: 4}) == {1: 4}


@settings(deadline=None)
@given(st.lists(ROWS, max_size=8))
def test_nothing_that_is_still_there_ever_goes_backwards(looks: list[dict[int, int]]) -> None:
    ratchet = Ratchet(1)
    before: dict[int, int] = {}
    for look in looks:
        held = hold(ratchet, look)
        assert held == {one: max(value, before.get(one, 0)) for one, value in look.items()}
        before = held


def test_rows_that_are_gone_are_those_of_the_other_identities() -> None:
    rows = Rows(ids(1, 2, 3), np.array([[1], [2], [3]], np.uint64))

    gone = rows.without(ids(3, 9))

    assert gone.ids.tolist() == [1, 2]
    assert gone.values.tolist() == [[1], [2]]
    assert rows.without(ids(1, 2, 3)).ids.tolist() == []


def test_what_is_on_its_way_for_one_look_is_never_shown() -> None:
    settled = Settled()

    assert [settle(settled, {1: 0, 9: value})[9] for value in (0, 1, 0, 1, 1)] == [0, 0, 0, 0, 1]


def test_what_is_really_left_over_is_shown_one_look_later() -> None:
    settled = Settled()

    assert [settle(settled, {9: value})[9] for value in (5, 5, 8, 8)] == [0, 5, 5, 8]


def test_what_is_below_0_for_a_moment_is_0() -> None:
    settled = Settled()
    settle(settled, {9: 3})

    assert settle(settled, {9: BELOW_ZERO}) == {9: 0}
    assert settle(settled, {9: 3}) == {9: 0}
    assert settle(settled, {9: 3}) == {9: 3}


def test_the_heir_has_at_once_what_was_settled_in_a_row_that_is_gone() -> None:
    settled = Settled()
    settle(settled, {1: 4, 9: 2})
    settle(settled, {1: 4, 9: 2})

    assert settle(settled, {9: 6}) == {9: 6}
