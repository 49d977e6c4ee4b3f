"""Figures as people read them."""

from __future__ import annotations

import pytest

from tcpvitals.model.measurement import Unit
from tcpvitals.sinks.figures import exact, human


@pytest.mark.parametrize(
    ("us", "expected"),
    [
        (0, "0 us"),
        (0.25, "0.25 us"),
        (5, "5.00 us"),
        (19.44, "19.4 us"),
        (180, "180 us"),
        (999.4, "999 us"),
        (999.5, "1.00 ms"),
        (12_345, "12.3 ms"),
        (999_600, "1.00 s"),
        (1_200_000, "1.20 s"),
        (2**32, "4290 s"),
    ],
)
def test_times_have_three_digits_and_the_unit_that_suits_them(us: float, expected: str) -> None:
    """Rounding never leaves a thousand of a smaller unit."""
    assert human(us) == expected


def test_sums_are_never_rounded() -> None:
    """Not even where a double would."""
    assert exact(2**63 + 1, Unit.US) == "9223372036854775809"
    assert exact(2**63 + 1, Unit.MS) == "9223372036854775.809"
    assert [exact(us, Unit.MS) for us in (0, 180, 72_000)] == ["0", "0.18", "72"]
