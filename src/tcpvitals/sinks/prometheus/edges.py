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
from tcpvitals.model.measurement import Sample
from tcpvitals.sinks.prometheus.table import number_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tcpvitals.model.histogram import Counts, Indices

_US: Final = 1e6

# Powers of two, in microseconds: half ones from 255 us to 2.1 s, whole ones around them.
_HALVES: Final = tuple(half / 2 for half in range(2 * 8, 2 * 21 + 1))
_ALONE: Final = (6, 7, *_HALVES, 22, 23, 24)
_NETWORK: Final = (6, 7, *_HALVES, 22)
_BESIDE_ANOTHER: Final = (6, *range(8, 23), 24)
_BESIDE_OTHERS: Final = tuple(range(6, 25, 2))
_TWO: Final = 2

INFINITE: Final = "+Inf"


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


def usual_edges(samples: Sequence[Sample]) -> dict[Sample, Edges]:
    """Return the edges of each histogram when there are histograms of these samples.

    The finest with which a group has no more than 72 series: of two histograms, that of `network`,
    which alerts and panels take percentiles from, has most of them.
    """
    return {one: _edges_of(_usual_powers(one, len(samples))) for one in samples}


def _usual_powers(sample: Sample, histograms: int) -> Iterable[float]:
    if histograms == 1:
        return _ALONE
    if histograms > _TWO:
        return _BESIDE_OTHERS
    return _NETWORK if sample is Sample.NETWORK else _BESIDE_ANOTHER


def _edges_of(powers: Iterable[float]) -> Edges:
    return edges_for([(2**power - 1) / _US for power in powers])


def same_edges(one: Mapping[Sample, Edges], other: Mapping[Sample, Edges]) -> bool:
    """Return whether all histograms have the same edges."""
    return [edges.le for edges in one.values()] == [edges.le for edges in other.values()]


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
