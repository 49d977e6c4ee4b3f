"""Made-up prints for the tests of sinks, and proof that they are what they claim."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

import numpy as np

from tcpvitals.model.histogram import BUCKETS, bucket_index
from tcpvitals.model.key import GroupKey
from tcpvitals.model.measurement import Unit
from tcpvitals.model.names import Names
from tcpvitals.model.rtt import Counters, Distribution, RttSnapshot
from tcpvitals.model.rtt_report import RttPrint
from tcpvitals.model.snapshot import Snapshot, between

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tcpvitals.sinks import Sink

NOON = datetime(2024, 5, 6, 12, 34, 56, 789_000, tzinfo=UTC)
SECOND = 10**9
NONE_LOST = {"recursion": 0}


def distribution(values_us: Sequence[int] = (), unit: Unit = Unit.US) -> Distribution:
    """Return the distribution that the kernel half would have made of these samples."""
    values = np.asarray(values_us, dtype=np.int64)
    buckets = np.bincount(bucket_index(values // unit.divisor), minlength=BUCKETS)
    return Distribution(
        buckets.astype(np.uint64),
        int(values.sum()),
        int(values.min()) if len(values) else None,
        int(values.max()) if len(values) else None,
        unit,
    )


def counters(groups: Mapping[int, Sequence[int]], unit: Unit = Unit.US) -> Counters:
    """Return the counters of groups {identity: samples}."""
    each = [distribution(values, unit) for values in groups.values()]
    return Counters(
        np.array(list(groups), dtype=np.uint64),
        np.array([one.buckets for one in each], dtype=np.uint64).reshape(-1, BUCKETS),
        np.array([one.sum_us for one in each], dtype=np.uint64),
        np.array([one.min_us or 0 for one in each], dtype=np.uint64),
        np.array([one.max_us or 0 for one in each], dtype=np.uint64),
        unit,
    )


def snapshot(  # noqa: PLR0913 - everything but the groups has a default
    groups: Mapping[str, Sequence[int]] | Mapping[GroupKey, Sequence[int]],
    *,
    seconds: int = 10,
    other: Sequence[int] = (),
    retired: Sequence[int] = (),
    losses: Mapping[str, int] = NONE_LOST,
    unit: Unit = Unit.US,
) -> RttSnapshot:
    """Return a snapshot of groups {key: samples}, the key a GroupKey or a remote address."""
    return Snapshot(
        seconds * SECOND,
        tuple(
            key if isinstance(key, GroupKey) else GroupKey(raddr=ip_address(key)) for key in groups
        ),
        counters(dict(enumerate(groups.values())), unit),
        distribution(other, unit),
        distribution(retired, unit),
        losses,
        groups_limit=64,
    )


def first_print(of: RttSnapshot, netns_names: Mapping[int, str] | None = None) -> RttPrint:
    """Return the first print of a run that started at 0."""
    interval = of.since_start(0)
    return RttPrint(NOON, interval, interval, delta=False, names=Names(netns=netns_names or {}))


def second_print(earlier: RttSnapshot, later: RttSnapshot, *, delta: bool) -> RttPrint:
    """Return the print of a second snapshot."""
    return RttPrint(NOON, later.since_start(0), between(later, earlier), delta, Names())


def written(make_sink: Callable[..., Sink], *prints: RttPrint) -> str:
    """Return what a sink writes for these prints."""
    stream = io.StringIO()
    sink = make_sink(stream=stream)
    for print_ in prints:
        sink.show(print_)
    return stream.getvalue()


def test_a_made_up_distribution_has_the_samples_it_was_made_of() -> None:
    """Count, sum and extremes are those of the list, in microseconds whatever the unit."""
    made = distribution([10, 2500, 2500], Unit.MS)

    assert (made.count, made.sum_us, made.min_us, made.max_us) == (3, 5010, 10, 2500)
    assert made.buckets[:3].tolist() == [1, 0, 2]
