"""Subtracting snapshots: nothing is lost, nothing is counted twice."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sink_madeup import NOON, SECOND, counters, distribution, snapshot

from tcpvitals.model.histogram import BUCKETS
from tcpvitals.model.key import GroupKey
from tcpvitals.model.measurement import Unit
from tcpvitals.model.names import Names
from tcpvitals.model.rtt import Counters, Distribution, RttInterval, RttSnapshot
from tcpvitals.model.rtt_report import RttPrint, busiest
from tcpvitals.model.snapshot import Snapshot, between

SLOTS = 3


@dataclass
class MadeUpKernel:
    """Keeps every sample, so that the truth is known: slots are filled, retired and used again."""

    groups: dict[int, list[int]] = field(default_factory=dict)
    generations: list[int] = field(default_factory=lambda: [0] * SLOTS)
    other: list[int] = field(default_factory=list)
    retired: list[int] = field(default_factory=list)
    lost: int = 0

    def do(self, action: str, slot: int, value_us: int) -> None:
        """Let one thing happen."""
        identity = slot << 32 | self.generations[slot]
        if action == "sample":
            self.groups.setdefault(identity, []).append(value_us)
        elif action == "retire":
            self.retired += self.groups.pop(identity, [])
            self.generations[slot] += 1
        elif action == "overflow":
            self.other.append(value_us)
        else:
            self.lost += 1

    def snapshot(self, seconds: int, unit: Unit) -> RttSnapshot:
        """Return what the counters say now."""
        return Snapshot(
            seconds * SECOND,
            tuple(GroupKey(lport=identity >> 32) for identity in self.groups),
            counters(self.groups, unit),
            distribution(self.other, unit),
            distribution(self.retired, unit),
            {"recursion": self.lost},
            groups_limit=SLOTS,
        )


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["sample", "sample", "sample", "retire", "overflow", "lose"]),
        st.integers(0, SLOTS - 1),
        st.builds(lambda bits, value: value >> bits, st.integers(0, 30), st.integers(0, 2**32 - 1)),
    )
)


def run(kernel: MadeUpKernel, actions: list[tuple[str, int, int]]) -> None:
    """Let these things happen."""
    for action in actions:
        kernel.do(*action)


@settings(deadline=None)
@given(ACTIONS, ACTIONS, st.sampled_from(Unit))
def test_an_interval_is_exactly_the_difference_however_slots_are_recycled(
    before: list[tuple[str, int, int]], during: list[tuple[str, int, int]], unit: Unit
) -> None:
    """In total, in losses, and for every group that is still there."""
    kernel = MadeUpKernel()
    run(kernel, before)
    earlier, had = kernel.snapshot(1, unit), {key: len(all_) for key, all_ in kernel.groups.items()}
    run(kernel, during)
    later = kernel.snapshot(3, unit)
    interval = between(later, earlier)

    total, then, now = interval.total(), earlier.total(), later.total()
    assert total.buckets.tolist() == (now.buckets - then.buckets).tolist()
    assert total.sum_us == now.sum_us - then.sum_us
    assert interval.losses == {"recursion": later.losses["recursion"] - earlier.losses["recursion"]}
    assert (interval.seconds, interval.keys) == (2.0, later.keys)
    for row, (identity, values) in enumerate(kernel.groups.items()):
        new = values[had.get(identity, 0) :]
        assert_bounds_hold(interval.table.row(row), new, unit)


def assert_bounds_hold(measured: Distribution, values: list[int], unit: Unit) -> None:
    """The samples lie within minimum and maximum, which are no further off than a bucket."""
    exact = distribution(values, unit)
    assert (measured.buckets == exact.buckets).all()
    assert measured.sum_us == exact.sum_us
    if not values:
        assert (measured.min_us, measured.max_us) == (None, None)
        return
    assert measured.min_us is not None
    assert measured.max_us is not None
    assert measured.min_us <= min(values) <= max(values) <= measured.max_us
    if max(values) < 2**27:
        assert min(values) - measured.min_us <= max(min(values) / 16, unit.divisor)
        assert measured.max_us - max(values) <= max(max(values) / 16, unit.divisor)


@settings(deadline=None)
@given(ACTIONS)
def test_from_the_start_every_figure_is_exact(actions: list[tuple[str, int, int]]) -> None:
    """Nothing was subtracted, so minima and maxima are the kernel half's own."""
    kernel = MadeUpKernel()
    run(kernel, actions)
    interval = kernel.snapshot(5, Unit.US).since_start(2 * SECOND)
    everything = [*chain(*kernel.groups.values(), kernel.other, kernel.retired)]
    total, exact = interval.total(), distribution(everything)

    assert interval.seconds == 3.0
    assert (total.count, total.sum_us) == (len(everything), sum(everything))
    assert (total.min_us, total.max_us) == (exact.min_us, exact.max_us)


def test_a_group_born_in_the_interval_keeps_its_exact_extremes() -> None:
    """All its samples are since the start."""
    interval = between(snapshot({"10.0.0.1": [290, 301]}, seconds=20), snapshot({}))
    row = interval.table.row(0)

    assert (row.min_us, row.max_us) == (290, 301)


def test_extremes_of_an_older_group_are_the_edges_of_its_outer_buckets() -> None:
    """In milliseconds, the edges are those of whole milliseconds."""
    interval = between(
        snapshot({"10.0.0.1": [1, 10**6, 2_500]}, seconds=20, unit=Unit.MS),
        snapshot({"10.0.0.1": [1, 10**6]}, unit=Unit.MS),
    )
    row = interval.table.row(0)

    assert (row.min_us, row.max_us) == (2_000, 2_999)


def test_samples_that_were_retired_unseen_are_in_the_intervals_retired() -> None:
    """What the group had before is not counted again."""
    earlier = snapshot({"10.0.0.1": [5, 5]})
    later = snapshot({}, seconds=20, retired=[5, 5, 9])

    assert between(later, earlier).retired.sum_us == 9


@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        (snapshot({}, seconds=9), snapshot({}, seconds=10)),
        (snapshot({"10.0.0.1": [5]}), snapshot({"10.0.0.1": [5, 5]})),
        (snapshot({"10.0.0.1": [5]}), snapshot({"10.0.0.1": [6]})),
        (snapshot({}), snapshot({"10.0.0.1": [5]})),
        (snapshot({}), snapshot({}, other=[5])),
        (snapshot({}), snapshot({}, retired=[5])),
        (snapshot({}), snapshot({}, losses={"recursion": 1})),
        (snapshot({}), snapshot({}, losses={"no longer there": 1})),
        (snapshot({}, unit=Unit.MS), snapshot({})),
    ],
)
def test_what_is_not_later_is_refused(later: RttSnapshot, earlier: RttSnapshot) -> None:
    """A negative count would come out as an enormous one."""
    with pytest.raises(ValueError, match=r"snapshots are not two|ran backwards"):
        between(later, earlier)


def test_the_busiest_lately_come_first_then_the_idle_by_what_they_had() -> None:
    """Equals are in the order of their identity, so that nothing flickers."""
    had = {"10.0.0.0": 1, "10.0.0.1": 9, "10.0.0.2": 50, "10.0.0.3": 50, "10.0.0.4": 2}
    new = {"10.0.0.0": 3, "10.0.0.4": 7}
    earlier = snapshot({key: [1] * count for key, count in had.items()})
    later = snapshot(
        {key: [1] * (count + new.get(key, 0)) for key, count in had.items()}, seconds=20
    )
    recent, cumulative = between(later, earlier), later.since_start(0)

    assert busiest(recent, cumulative).tolist() == [4, 0, 2, 3, 1]


def test_a_print_shows_only_groups_with_samples_to_show() -> None:
    """In a delta the idle ones are left out."""
    earlier = snapshot({"10.0.0.0": [1], "10.0.0.1": [], "10.0.0.2": [1]})
    later = snapshot({"10.0.0.0": [1], "10.0.0.1": [], "10.0.0.2": [1, 1]}, seconds=20)
    print_ = RttPrint(
        NOON, later.since_start(0), between(later, earlier), delta=True, names=Names()
    )

    assert print_.rows() == [2]
    assert replace(print_, delta=False).rows() == [2, 0]


def test_a_print_of_two_different_snapshots_is_refused() -> None:
    """Its rows would name the wrong groups."""
    one, two = snapshot({"10.0.0.0": [1]}).since_start(0), snapshot({}).since_start(0)

    with pytest.raises(ValueError, match="same snapshot"):
        RttPrint(NOON, one, two, delta=False, names=Names())
    with pytest.raises(ValueError, match="time zone"):
        RttPrint(NOON.replace(tzinfo=None), one, one, delta=False, names=Names())


def test_columns_of_different_length_are_refused() -> None:
    """Where they are made, not where they are shown."""
    one = counters({1: [5]})

    with pytest.raises(ValueError, match="columns"):
        replace(one, sum_us=one.sum_us[:0])
    with pytest.raises(ValueError, match="0 keys for a table of 1"):
        replace(snapshot({}), table=one)


def test_distributions_add_up() -> None:
    """The empty one changes nothing."""
    both = distribution([5, 9]) + distribution([3]) + Distribution.empty(Unit.US)

    assert (both.count, both.sum_us, both.min_us, both.max_us) == (3, 17, 3, 9)
    assert (Distribution.empty(Unit.US) + Distribution.empty(Unit.US)).min_us is None
    assert Counters.empty(Unit.US).total().count == 0


def many_groups(groups: int, samples: int, seconds: int, first: int) -> RttSnapshot:
    """Return groups with this many samples of 100 us each, from this identity on."""
    buckets = np.zeros((groups, BUCKETS), dtype=np.uint64)
    buckets[:, 57] = samples
    column = np.full(groups, 100, dtype=np.uint64)
    ids = np.arange(first, first + groups, dtype=np.uint64)
    made = Counters(ids, buckets, column * samples, column, column, Unit.US)
    retired = distribution([100] * first * (samples - 1))
    keys = (GroupKey(),) * groups
    return Snapshot(seconds * SECOND, keys, made, Distribution.empty(Unit.US), retired, {}, groups)


def test_ten_thousand_groups_are_subtracted_in_a_blink() -> None:
    """Half a second would take a loop over them; half of them were recycled besides."""
    earlier, later = many_groups(10_000, 2, 1, 0), many_groups(10_000, 3, 2, 5_000)
    started = time.process_time()
    interval: RttInterval = between(later, earlier)
    took = time.process_time() - started

    assert interval.total().count == later.total().count - earlier.total().count
    assert took < 0.5
