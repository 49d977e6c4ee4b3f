"""Which flows are shown: what they and the two sums show is all there is, and only grows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_madeup import flow, flows

from tcpvitals.model.topflows import ShownFlows, TopFlows

if TYPE_CHECKING:
    from tcpvitals.model.key import GroupKey
    from tcpvitals.model.vitals import FlowsSnapshot

A, B, C, D = (flow(number) for number in range(4))


def shown(of: ShownFlows) -> dict[GroupKey, int]:
    """Return what each flow shows; that none is there twice is checked."""
    found = dict(of.flows)
    assert len(found) == len(of.flows)
    return found


def whole(snapshot: FlowsSnapshot) -> int:
    """Return all there is."""
    return snapshot.table.total() + snapshot.other + snapshot.retired


def sums(of: ShownFlows) -> tuple[int, int]:
    """Return `other` and `retired`."""
    return of.other, of.retired


def test_while_all_have_a_place_each_shows_what_it_has() -> None:
    top = TopFlows(3)

    first = top.choose(flows({1: (A, 5), 2: (B, 7)}))
    second = top.choose(flows({1: (A, 6), 2: (B, 7), 3: (C, 2)}))

    assert (shown(first), sums(first)) == ({A: 5, B: 7}, (0, 0))
    assert (shown(second), sums(second)) == ({A: 6, B: 7, C: 2}, (0, 0))


def test_the_greatest_have_the_places_and_other_has_the_rest() -> None:
    found = TopFlows(2).choose(flows({1: (A, 5), 2: (B, 7), 3: (C, 9)}, other=10, retired=20))

    assert (shown(found), sums(found)) == ({B: 7, C: 9}, (35, 0))


def test_a_place_is_lost_only_to_one_with_more_than_twice_as_much() -> None:
    top = TopFlows(1)
    top.choose(flows({1: (A, 5), 2: (B, 4)}))

    twice = top.choose(flows({1: (A, 5), 2: (B, 10)}))
    more = top.choose(flows({1: (A, 5), 2: (B, 12)}))

    assert (shown(twice), sums(twice)) == ({A: 5}, (10, 0))
    # What B had before stays in `other`, and what A showed is in `retired` from now on.
    assert (shown(more), sums(more)) == ({B: 2}, (10, 5))


def test_one_that_lost_its_place_goes_on_in_other() -> None:
    top = TopFlows(1)
    top.choose(flows({1: (A, 5)}))
    top.choose(flows({1: (A, 5), 2: (B, 11)}))

    found = top.choose(flows({1: (A, 8), 2: (B, 12)}))

    assert (shown(found), sums(found)) == ({B: 12}, (3, 5))


def test_one_that_the_kernel_half_forgot_leaves_its_place_to_the_next() -> None:
    top = TopFlows(1)
    top.choose(flows({1: (A, 5), 2: (B, 3)}))

    found = top.choose(flows({2: (B, 4)}, retired=6))

    # A's last segment was never shown as its own; B shows what it counted since it has the place.
    assert (shown(found), sums(found)) == ({B: 1}, (4, 5))


def test_a_flow_that_comes_back_in_between_goes_on_where_it_was() -> None:
    top = TopFlows(2)
    top.choose(flows({1: (A, 5)}))

    found = top.choose(flows({7: (A, 2)}, retired=6))

    assert (shown(found), sums(found)) == ({A: 7}, (1, 0))


def test_flows_with_the_same_ends_in_two_namespaces_are_one_series() -> None:
    top = TopFlows(3)
    top.choose(flows({1: (A, 5), 2: (A, 3)}))

    found = top.choose(flows({1: (A, 6), 2: (A, 4), 3: (A, 1)}))
    later = top.choose(flows({2: (A, 4), 3: (A, 2)}, retired=6))

    assert (shown(found), sums(found)) == ({A: 11}, (0, 0))
    assert (shown(later), sums(later)) == ({A: 12}, (0, 0))


def test_without_any_place_everything_is_other() -> None:
    found = TopFlows(0).choose(flows({1: (A, 5)}, retired=2))

    assert (shown(found), sums(found)) == ({}, (7, 0))


def test_with_fewer_places_the_least_go_and_the_sum_is_the_same() -> None:
    top = TopFlows(3)
    snapshot = flows({1: (A, 5), 2: (B, 7), 3: (C, 9), 4: (D, 1)})
    top.choose(snapshot)
    top.allow(1)

    found = top.choose(snapshot)
    top.allow(2)
    later = top.choose(flows({1: (A, 5), 2: (B, 8), 3: (C, 9), 4: (D, 1)}))

    assert (shown(found), sums(found)) == ({C: 9}, (1, 12))
    assert (shown(later), sums(later)) == ({B: 1, C: 9}, (1, 12))


@dataclass
class Kernel:
    """A made-up kernel half, which counts and forgets flows."""

    segments: dict[int, tuple[GroupKey, int]] = field(default_factory=dict)
    other: int = 0
    retired: int = 0
    last_id: int = 0

    def step(self, changes: list[tuple[int, int]]) -> FlowsSnapshot:
        """Make changes (flow, growth); one that does not grow is forgotten."""
        for number, growth in changes:
            found = [one for one, (key, _) in self.segments.items() if key == flow(number % 8)]
            if number >= 24:
                self.other += growth
            elif not growth and found:
                self.retired += self.segments.pop(found[0])[1]
            elif number >= 16 and found:
                self.segments[found[-1]] = (flow(number % 8), self.segments[found[-1]][1] + growth)
            else:
                self.last_id += 1
                self.segments[self.last_id] = (flow(number % 8), growth)
        return flows(self.segments, self.other, self.retired)


CHANGES = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 9) | st.integers(50, 99)))


@example(1, [[(0, 50), (1, 50), (0, 50)], [(0, 0), (1, 0)]])
@settings(deadline=None)
@given(st.integers(0, 5), st.lists(CHANGES, max_size=12))
def test_all_that_is_shown_is_all_there_is_and_only_grows(
    limit: int, steps: list[list[tuple[int, int]]]
) -> None:
    kernel, top, before = Kernel(), TopFlows(limit), ShownFlows((), 0, 0)
    for step in steps:
        snapshot = kernel.step(step)
        found = top.choose(snapshot)
        assert sum(shown(found).values()) + found.other + found.retired == whole(snapshot)
        assert len(found.flows) <= limit
        assert found.other >= before.other
        assert found.retired >= before.retired
        values, earlier = shown(found), shown(before)
        assert all(values[key] >= earlier[key] for key in values.keys() & earlier.keys())
        before = found


# Each flow is there once: none has the same ends in another namespace.
ONCE = st.lists(st.tuples(st.integers(16, 23), st.integers(0, 9) | st.integers(50, 99)))


@settings(deadline=None)
@given(st.integers(1, 4), st.lists(ONCE, max_size=12))
def test_a_place_is_kept_but_for_the_forgotten_and_the_far_outdone(
    limit: int, steps: list[list[tuple[int, int]]]
) -> None:
    kernel, top = Kernel(), TopFlows(limit)
    before: dict[int, GroupKey] = {}
    for step in steps:
        snapshot = kernel.step(step)
        having = {one: has for one, (_, has) in kernel.segments.items()}
        now = shown(top.choose(snapshot))
        greatest = max(having.values(), default=0)
        for one, key in before.items():
            if one in having and key not in now:
                assert greatest > 2 * having[one]
        before = {one: key for one, (key, _) in kernel.segments.items() if key in now}


@settings(deadline=None)
@given(st.lists(CHANGES, max_size=12))
def test_with_places_for_all_each_key_shows_all_that_it_ever_counted_since_it_appeared(
    steps: list[list[tuple[int, int]]],
) -> None:
    kernel, top = Kernel(), TopFlows(8)
    for step in steps:
        snapshot = kernel.step(step)
        found = shown(top.choose(snapshot))
        assert found.keys() == {key for key, _ in kernel.segments.values()}
        for key, value in found.items():
            assert value >= sum(has for one, has in kernel.segments.values() if one == key)
