"""What one histogram measures: which sample of a connection's RTT, in which unit.

Nothing here needs numpy, because the options are parsed with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Sample(StrEnum):
    """The figure that is read from a socket; docs/measuring.md says at which moment."""

    SRTT = "srtt"
    RTT = "rtt"
    MIN = "min"
    NETWORK = "network"
    INFLATION = "inflation"


CLEAN: Final = frozenset({Sample.NETWORK, Sample.INFLATION})
"""Of ACKs that had to be sent at once: neither a delayed ACK nor the application is in them."""

NEWEST: Final = CLEAN | {Sample.RTT}
"""One for each ACK that took a sample, so that a connection's last one must be remembered."""

HISTOGRAMS: Final = (Sample.SRTT, Sample.RTT, Sample.NETWORK, Sample.INFLATION)
"""Those that `serve` can expose, in this order."""

USUAL_HISTOGRAMS: Final = (Sample.RTT, Sample.NETWORK)
"""Those that it exposes unless others are asked for: beside each other they tell network and peer
apart."""


class Unit(StrEnum):
    """The unit of the buckets.  Sums, minima and maxima are kept in microseconds whatever it is."""

    US = "us"
    MS = "ms"

    @property
    def divisor(self) -> int:
        """Microseconds in one unit: the BPF side divides by it, rounding down, before bucketing."""
        return 1 if self is Unit.US else 1000


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the figures of one run of the program are."""

    sample: Sample = Sample.SRTT
    unit: Unit = Unit.US
