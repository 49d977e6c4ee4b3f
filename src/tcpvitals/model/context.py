"""What stands beside clean samples: how many there were in all, the handshakes, the minimum RTT.

A sample is clean when the receiver had to send its ACK at once; docs/measuring.md defines it.
Where too few are clean for a percentile, this is what is known of a group's round trips.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from typing import Self

    from tcpvitals.model.histogram import Counts, Indices

LEAST_SAMPLES: Final = 20
"""For any percentile.  With fewer, the 95 % confidence interval of the median leaves out at most a
quarter of the samples at either end: it says little more than minimum and maximum do."""


def least(q: float) -> int:
    """Return how many samples the q-quantile takes: enough that one is beyond it, on average.

    100 for p99, 20 for p90 and p50.
    """
    return max(LEAST_SAMPLES, round(1 / (1 - q))) if q < 1 else LEAST_SAMPLES


@dataclass(frozen=True, slots=True)
class Context:
    """What stands beside the clean samples of one group; times are in microseconds.

    `samples` is how many were taken, clean or not.  `handshake_us` is the sum over `handshakes`,
    whose samples are clean, but never in `inflation`.  `floor_us` is the smallest minimum RTT of a
    connection, None without any.
    """

    samples: int = 0
    handshakes: int = 0
    handshake_us: int = 0
    floor_us: int | None = None

    @property
    def mean_handshake_us(self) -> float | None:
        """The average sample of a handshake, None without any."""
        return self.handshake_us / self.handshakes if self.handshakes else None

    def __add__(self, other: Context) -> Context:
        """Return what stands beside the samples of both."""
        floors = [floor for floor in (self.floor_us, other.floor_us) if floor is not None]
        return Context(
            self.samples + other.samples,
            self.handshakes + other.handshakes,
            self.handshake_us + other.handshake_us,
            min(floors, default=None),
        )

    def as_columns(self) -> Contexts:
        """Return it as the columns of a single group."""
        counts = (self.samples, self.handshakes, self.handshake_us)
        floor = NO_FLOOR if self.floor_us is None else self.floor_us
        return Contexts(np.array([counts], np.uint64), np.array([floor], np.uint64))


NO_FLOOR: Final = 2**32 - 1
"""Stands for no minimum, as in the kernel."""

COUNTS: Final = ("samples", "handshakes", "handshake_sum_us")
"""The columns of `Contexts.counts`, by their names in struct rtt_counters."""


@dataclass(frozen=True, slots=True, eq=False)
class Contexts:
    """The same of G groups: `counts` uint64[G, 3] as COUNTS says, `floor_us` uint64[G]."""

    counts: Counts
    floor_us: Counts

    @classmethod
    def empty(cls) -> Self:
        """Return those of no group at all."""
        return cls(np.zeros((0, len(COUNTS)), np.uint64), np.zeros(0, np.uint64))

    @property
    def samples(self) -> Counts:
        """How many samples were taken of each group, clean or not: uint64[G]."""
        return self.counts[:, 0]

    def take(self, rows: Indices) -> Self:
        """Return the groups at these rows."""
        return type(self)(self.counts[rows], self.floor_us[rows])

    def row(self, row: int) -> Context:
        """Return one group."""
        return _one(self.counts[row], int(self.floor_us[row]))

    def total(self) -> Context:
        """Return all groups in one."""
        return _one(self.counts.sum(axis=0), int(self.floor_us.min(initial=NO_FLOOR)))


def _one(counts: Counts, floor_us: int) -> Context:
    samples, handshakes, handshake_us = map(int, counts)
    return Context(samples, handshakes, handshake_us, None if floor_us == NO_FLOOR else floor_us)
