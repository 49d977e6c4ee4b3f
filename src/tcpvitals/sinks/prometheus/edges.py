"""The edges of the exposed histograms: some of the kernel half's own, so that they are exact.

Samples are counted in 384 buckets, far more than a Prometheus should keep.  They are folded, and
never split: an edge is always the upper end of one of them, and the counts below it are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tcpvitals.errors import UsageError
from tcpvitals.model.histogram import HIGHS
from tcpvitals.sinks.prometheus.table import number_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tcpvitals.model.histogram import Counts, Indices

_US: Final = 1e6

_FINE_FOR: Final = 2
_FIRST_POWER, _LAST_POWER = 6, 24

INFINITE: Final = "+Inf"


def usual_seconds(histograms: int) -> tuple[float, ...]:
    """Return the edges for so many histograms, in seconds, from 63 us to 16.777215 s.

    Each is twice as much as the one before with up to two histograms (19 edges), four times with
    more (10 edges): so a group has no more than 72 series.
    """
    step = 1 if histograms <= _FINE_FOR else 2
    return tuple((2**power - 1) / _US for power in range(_FIRST_POWER, _LAST_POWER + 1, step))


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Where to fold: `starts` are the first kernel bucket of each, `le` the exact upper edges.

    The last one is infinite.  An edge is inclusive, as the kernel's times are whole microseconds.
    """

    starts: Indices
    le: tuple[str, ...]

    def __len__(self) -> int:
        """Return how many buckets there are, the infinite one included."""
        return len(self.le)

    def fold(self, buckets: Counts) -> Counts:
        """Fold kernel buckets [G, 384] into ours, which do not add up from the left: [G, E]."""
        return np.add.reduceat(buckets, self.starts, axis=-1)


def edges_for(seconds: Sequence[float]) -> Edges:
    """Return the edges closest to those that are wanted, in order, each once.

    Raises:
        UsageError: none is wanted, or one is not a time.
    """
    if not seconds or not all(math.isfinite(one) and one > 0 for one in seconds):
        message = f"histogram edges must be seconds above 0, not {list(seconds)}"
        raise UsageError(message)
    # The last bucket takes all the rest, so it ends with no edge.
    ends = HIGHS[:-1].astype(np.float64)
    wanted = np.asarray(seconds, np.float64) * _US
    chosen = np.unique(np.abs(ends - wanted[:, np.newaxis]).argmin(axis=1))
    return Edges(
        np.append(0, chosen + 1).astype(np.intp),
        # Divided once, so that the text is the shortest that means just this edge.
        (*(number_text(int(HIGHS[one]) / _US) for one in chosen), INFINITE),
    )
