"""Whole numbers from outside: ASCII digits, within bounds, however long the text is."""

from __future__ import annotations

import sys

import pytest

from tcpvitals.model.numbers import whole_number


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("07", 7), ("0", 0), ("65535", 65535)])
def test_digits_are_the_number(text: str, number: int) -> None:
    assert whole_number(text, 0, 65535) == number


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", " 1", "1_0", "1.0", "1e3", "0x10", "\u0661", "\xb2"]
)
def test_what_only_int_would_take_is_no_number(text: str) -> None:
    assert whole_number(text, 0, 65535) is None


@pytest.mark.parametrize(
    ("text", "is_within"), [("4", False), ("5", True), ("9", True), ("10", False)]
)
def test_both_bounds_are_within(text: str, *, is_within: bool) -> None:
    assert (whole_number(text, 5, 9) is not None) is is_within


@pytest.mark.parametrize("digit", ["0", "9"])
def test_more_digits_than_int_converts_are_no_number(digit: str) -> None:
    assert whole_number(digit * (sys.get_int_max_str_digits() + 1), 0, 1 << 64) is None
