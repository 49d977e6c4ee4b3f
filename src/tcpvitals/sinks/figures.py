"""How single figures are written for people."""

from __future__ import annotations

from math import floor, isnan, log10
from typing import TYPE_CHECKING

from tcpvitals.model.names import UNKNOWN

if TYPE_CHECKING:
    from tcpvitals.model.measurement import Unit

FEW = "few"
"""In the place of a percentile for which there are too few clean samples."""

_SCALES = (("us", 1.0), ("ms", 1e3), ("s", 1e6))
_STEP = 1000
_DIGITS = 3


def human(us: float) -> str:
    """Write a time with three significant digits and the unit that suits it: 180 us, 1.20 s.

    What is not a number is a percentile of too few samples.
    """
    if isnan(us):
        return FEW
    # Rounded first, so that 999.7 us becomes 1.00 ms and not 1000 us.
    rounded = float(f"{us:.{_DIGITS}g}")
    name, scale = next((each for each in _SCALES if rounded < _STEP * each[1]), _SCALES[-1])
    value = rounded / scale
    return f"{value:.{_decimals(value)}f} {name}"


def human_or_none(us: float | None) -> str:
    """Write a time as `human` does, a dash without one."""
    return UNKNOWN if us is None else human(us)


def exact(us: int, unit: Unit) -> str:
    """Write a time in the unit without rounding: 180 us is 0.18 ms."""
    whole, rest = divmod(us, unit.divisor)
    return _trimmed(f"{whole}.{rest:03d}")


def in_unit(us: float, unit: Unit) -> str:
    """Write a time in the unit with at most three decimals: 1234.567, 0.18."""
    return _trimmed(f"{us / unit.divisor:.3f}")


def _decimals(value: float) -> int:
    if value <= 0:
        return 0
    return min(_DIGITS - 1, max(0, _DIGITS - 1 - floor(log10(value))))


def _trimmed(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number
