"""The series of groups: their sums are all there is, and none goes backwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_madeup import (
    HOST,
    SENT,
    USUAL,
    Group,
    key,
    options,
    series,
    shown,
    snapshot,
    summed,
    table,
    total,
)

from tcpvitals.model.key import Grouping, GroupKey
from tcpvitals.model.measurement import Sample
from tcpvitals.sinks.prometheus import Exposition

if TYPE_CHECKING:
    from tcpvitals.model.vitals import VitalsSnapshot

WEB = key("10.1.2.0/24")
SENT_SEGMENTS = "tcpvitals_sent_segments_total"
BY_CAUSE = "tcpvitals_retransmitted_segments_total"
FAILED = "tcpvitals_failed_retransmitted_segments_total"
COUNTED = {"segments_retransmitted": 10, "rto": 4, "fast": 3, "segments_failed": 1}


def of(name: str, group: str, text: str) -> float:
    """Return the only series of a name whose remote label is this."""
    found = [
        v for (n, pairs), v in series(text).items() if n == name and ("remote", group) in pairs
    ]
    (value,) = found
    return value


def sent(segments: int, rtts: tuple[int, ...] = (), group: GroupKey = WEB) -> Group:
    """Return a group that sent so many segments."""
    return group, {"segments_sent": segments}, rtts


def looks(*snapshots: VitalsSnapshot, by: Grouping = USUAL) -> list[str]:
    """Return what a scraper gets of each snapshot."""
    exposition, texts = Exposition(options(by)), []
    for one in snapshots:
        exposition.show(one)
        texts.append(shown(exposition))
    return texts


def test_the_sum_over_all_series_is_all_there_is() -> None:
    (text,) = looks(
        snapshot(
            {1: sent(5, (10, 20)), 2: sent(7, (), key("10.9.0.0/24"))},
            other=total({"segments_sent": 11}, [30]),
            retired=total({"segments_sent": 13}, [40, 50]),
        )
    )

    assert summed(text, SENT_SEGMENTS) == 36
    assert summed(text, "tcpvitals_rtt_seconds_count") == 5
    assert summed(text, "tcpvitals_rtt_seconds_sum") == pytest.approx(150e-6)


def test_buckets_are_cumulative_and_of_the_samples() -> None:
    (text,) = looks(snapshot({1: sent(0, (63, 64, 1023, 20_000_000))}))

    counts = {
        dict(pairs)["le"]: value
        for (name, pairs), value in series(text).items()
        if name == "tcpvitals_network_rtt_seconds_bucket"
    }
    assert counts["6.3e-05"] == 1
    assert counts["0.000127"] == 2
    assert counts["0.000735"] == 2
    assert counts["0.001023"] == 3
    assert counts["4.194303"] == 3
    assert counts["+Inf"] == 4
    assert len(counts) == 31


def test_a_group_without_samples_has_no_histogram_but_all_counters() -> None:
    (text,) = looks(snapshot({1: sent(3)}))

    names = Counter(name for name, _ in series(text))
    assert not any("rtt_seconds" in name for name in names)
    assert names[SENT_SEGMENTS] == 3
    assert names[BY_CAUSE] == 9 * 3


def test_the_causes_add_up_to_what_the_kernel_counted() -> None:
    once = snapshot({1: (WEB, COUNTED, ())})

    first, second = looks(once, snapshot({1: (WEB, COUNTED, ())}))

    # What has no cause yet may have one in a moment, so it is not shown at once.
    assert summed(first, BY_CAUSE) == 8
    assert summed(second, BY_CAUSE) == 10


def test_a_cause_that_is_told_a_moment_later_is_never_unattributed() -> None:
    groups = [{1: (WEB, {"segments_retransmitted": 10, "rto": rto}, ())} for rto in (10, 9, 10, 10)]

    texts = looks(*map(snapshot, groups))

    assert [summed(text, BY_CAUSE) for text in texts] == [10, 10, 10, 10]


def test_unattributed_stays_exact_when_its_group_is_retired() -> None:
    having = snapshot({1: (WEB, COUNTED, ())})

    texts = looks(having, having, snapshot({}, retired=total(COUNTED)))

    assert [summed(text, BY_CAUSE) for text in texts] == [8, 10, 10]


def test_failures_are_told_or_are_what_has_no_cause() -> None:
    told = snapshot({1: (WEB, COUNTED, ())})
    silent = snapshot({1: (WEB, COUNTED | {"segments_failed": 0}, ())}, shows_errors=False)

    assert summed(looks(told, told)[1], FAILED) == 1
    # The exposition writes a snapshot once, and the second one of the two is another.
    again = snapshot({1: (WEB, COUNTED | {"segments_failed": 0}, ())}, shows_errors=False)
    assert summed(looks(silent, again)[1], FAILED) == 3


def test_a_total_that_steps_back_is_held() -> None:
    texts = looks(*(snapshot({1: sent(count)}) for count in (10, 8, 11)))

    assert [of(SENT_SEGMENTS, "10.1.2.0/24", text) for text in texts] == [10, 10, 11]


def test_a_slot_taken_back_moves_to_retired() -> None:
    before, after = looks(
        snapshot({1: sent(10, (5,))}), snapshot({}, retired=total({"segments_sent": 12}, [5, 5]))
    )

    assert of(SENT_SEGMENTS, "retired", before) == 0
    assert of(SENT_SEGMENTS, "retired", after) == 12
    assert summed(after, "tcpvitals_rtt_seconds_count") == 2


def test_a_group_that_comes_back_at_once_goes_on_where_it_was() -> None:
    before, after, later = looks(
        snapshot({1: sent(10, (5,))}),
        snapshot({2: sent(3, (5,))}, retired=total({"segments_sent": 12}, [5, 5])),
        snapshot({}, retired=total({"segments_sent": 16}, [5, 5, 5])),
    )

    assert of(SENT_SEGMENTS, "10.1.2.0/24", before) == 10
    assert of(SENT_SEGMENTS, "10.1.2.0/24", after) == 13
    assert of(SENT_SEGMENTS, "retired", after) == 2
    assert of(SENT_SEGMENTS, "retired", later) == 16
    assert of("tcpvitals_rtt_seconds_count", "10.1.2.0/24", after) == 2
    assert summed(after, "tcpvitals_rtt_seconds_count") == 3


def test_two_groups_with_the_same_labels_are_one_series() -> None:
    both, one = looks(
        snapshot({1: sent(10), 2: sent(5)}),
        snapshot({2: sent(6)}, retired=total({"segments_sent": 10})),
    )

    assert of(SENT_SEGMENTS, "10.1.2.0/24", both) == 15
    assert of(SENT_SEGMENTS, "10.1.2.0/24", one) == 16
    assert of(SENT_SEGMENTS, "retired", one) == 0


def test_without_grouping_there_is_one_series_of_everything() -> None:
    (text,) = looks(
        snapshot({1: sent(5, (9,), GroupKey())}, retired=total({"segments_sent": 2})),
        by=Grouping(),
    )

    assert series(text)[SENT_SEGMENTS, frozenset()] == 7


def test_open_connections_are_a_gauge_and_may_fall() -> None:
    texts = looks(
        *(snapshot({1: sent(1)}, table=table({1: sent(1)}, live=live)) for live in (5, 2))
    )

    assert [of("tcpvitals_connections", "10.1.2.0/24", text) for text in texts] == [5, 2]


def test_samples_past_the_limit_are_counted() -> None:
    (text,) = looks(snapshot({}, other=total({}, [1, 2, 3])))

    assert summed(text, "tcpvitals_other_samples_total") == 6  # of two histograms
    assert of(f"tcpvitals_{Sample.RTT}_seconds_count", "other", text) == 3


def test_the_series_stay_within_the_cap() -> None:
    groups = {one: (key(f"10.1.{one}.0/24"), SENT, (10,)) for one in range(50)}

    (text,) = looks(snapshot(groups, other=total({}, [1]), retired=total({}, [1])))

    of_groups = [name for name, pairs in series(text) if "remote" in dict(pairs)]
    # Histograms of 20 and 33 lines, 9 causes, 9 more counters, 1 gauge.
    assert len(of_groups) == 52 * (20 + 33 + 19)


@dataclass
class Kernel:
    """A made-up kernel half: groups that count, are retired, and come back."""

    counts: dict[int, list[int]] = field(default_factory=dict)
    retired: list[int] = field(default_factory=lambda: [0, 0, 0])
    samples: dict[int, list[int]] = field(default_factory=dict)
    retired_samples: list[int] = field(default_factory=list)
    last_id: int = 0

    def change(self, group: int, growth: int) -> None:
        """Let a group count, or retire it; the last bit of an identity's number is its key."""
        mine = [one for one in self.counts if one % 4 == group]
        if not growth and mine:
            gone = self.counts.pop(mine[0])
            self.retired = [a + b for a, b in zip(self.retired, gone, strict=True)]
            self.retired_samples += self.samples.pop(mine[0])
        elif mine and growth % 3:
            one = mine[-1]
            causes = growth // 2
            self.counts[one] = [
                a + b for a, b in zip(self.counts[one], (growth, growth, causes), strict=True)
            ]
            self.samples[one].append(growth)
        else:
            self.last_id += 4
            self.counts[self.last_id + group] = [growth, growth, 0]
            self.samples[self.last_id + group] = [growth]

    def snapshot(self, back: int = 0) -> VitalsSnapshot:
        """Return what there is, each group's segments some steps back."""
        groups: dict[int, Group] = {
            one: (
                key(f"10.1.{one % 4}.0/24"),
                fields(sent - back, again, rto),
                tuple(self.samples[one]),
            )
            for one, (sent, again, rto) in self.counts.items()
        }
        return snapshot(groups, retired=total(fields(*self.retired), self.retired_samples))


def fields(sent: int, again: int, rto: int) -> dict[str, int]:
    """Return totals; those below 0 are as the kernel half has them."""
    return {"segments_sent": sent % 2**64, "segments_retransmitted": again, "rto": rto}


def only_grown(earlier: str, later: str) -> bool:
    """Tell whether every counter that is there twice has not gone backwards."""
    before = series(earlier)
    return all(
        value >= before[name]
        for name, value in series(later).items()
        if name in before and name[0].endswith(("_total", "_bucket", "_count", "_sum"))
    )


CHANGES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), max_size=6)


@settings(deadline=None, max_examples=40)
@given(st.lists(CHANGES, min_size=1, max_size=6))
def test_however_groups_come_and_go_the_sum_is_exact_and_nothing_goes_backwards(
    steps: list[list[tuple[int, int]]],
) -> None:
    kernel, exposition, before = Kernel(), Exposition(options()), ""
    for step in steps:
        for group, growth in step:
            kernel.change(group, growth)
        for _ in range(2):
            exposition.show(kernel.snapshot())
        text = shown(exposition)
        everything = [
            sum(column) for column in zip(kernel.retired, *kernel.counts.values(), strict=True)
        ]
        samples = len(kernel.retired_samples) + sum(map(len, kernel.samples.values()))
        assert summed(text, SENT_SEGMENTS) == everything[0]
        assert summed(text, BY_CAUSE) == everything[1]
        assert summed(text, "tcpvitals_rtt_seconds_count") == samples
        assert not before or only_grown(before, text)
        before = text


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(CHANGES, st.integers(0, 3)), min_size=1, max_size=6))
def test_steps_back_are_never_seen(steps: list[tuple[list[tuple[int, int]], int]]) -> None:
    kernel, exposition, before = Kernel(), Exposition(options()), ""
    for step, back in steps:
        for group, growth in step:
            kernel.change(group, growth)
        exposition.show(kernel.snapshot(back))
        text = shown(exposition)
        assert not before or only_grown(before, text)
        assert max(series(text).values()) < 2**60
        before = text


def test_namespaces_are_told_apart_from_the_hosts_own() -> None:
    blue = key("10.1.2.0/24", netns=HOST + 1)

    (text,) = looks(snapshot({1: sent(1), 2: sent(2, (), blue)}))

    found = {
        dict(pairs)["netns"]: value
        for (name, pairs), value in series(text).items()
        if name == SENT_SEGMENTS
    }
    assert found == {"": 1, str(HOST + 1): 2, "other": 0, "retired": 0}
