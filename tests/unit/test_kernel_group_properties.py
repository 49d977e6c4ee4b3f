"""Whatever happens in whatever order: every sample is in exactly one place, and none runs back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernel_group_madeup import FIRST, MadeUpPrograms

from tcpvitals.kernel.rtt_counters import Shape
from tcpvitals.model.snapshot import between

if TYPE_CHECKING:
    from tcpvitals.model.key import GroupKey
    from tcpvitals.model.rtt import RttSnapshot

LIMIT = 8

SHAPES = st.builds(
    Shape,
    slots=st.just(LIMIT + FIRST),
    shards=st.sampled_from([1, 2, 4]),
    sharded_slots=st.integers(4, LIMIT + FIRST),
)
SEGMENTS = st.tuples(
    st.sampled_from(["segment", "segment", "stall"]),
    st.integers(0, 2 * LIMIT),
    st.integers(0, 2**32 - 1),
    st.integers(0, 3),
)
READS = st.tuples(st.just("read"), st.sampled_from([0.0, 0.1, 0.3, 0.6, 10.0, 61.0]))
STEPS = st.lists(st.one_of(SEGMENTS, SEGMENTS, READS), max_size=120)


@dataclass
class Witness:
    """Compares each snapshot with the truth and with the one before."""

    made_up: MadeUpPrograms
    earlier: RttSnapshot
    landed: int = 0
    names: dict[int, GroupKey] = field(default_factory=dict)

    def look(self) -> None:
        """Take a snapshot, and check all that must always be so."""
        now = self.made_up.snapshot()
        self.check_totals(now)
        self.check_identities(now)
        interval = between(now, self.earlier)
        assert interval.total().count == len(self.made_up.landed) - self.landed
        self.earlier, self.landed = now, len(self.made_up.landed)

    def check_totals(self, now: RttSnapshot) -> None:
        """Known, other and retired are all there ever was."""
        truth, total = self.made_up.landed, now.total()
        assert (total.count, total.sum_us) == (len(truth), sum(truth))
        assert (total.min_us, total.max_us) == (min(truth, default=None), max(truth, default=None))

    def check_identities(self, now: RttSnapshot) -> None:
        """No key is there twice, and no identity ever has a second key."""
        assert len(set(now.keys)) == len(now.keys)
        for identity, key in zip(now.table.ids.tolist(), now.keys, strict=True):
            assert self.names.setdefault(identity, key) == key
        free = self.made_up.free.pushed
        assert len(set(free)) == len(free)
        assert len(free) + len(now.keys) <= LIMIT


@settings(deadline=None, max_examples=100)
@given(SHAPES, STEPS)
def test_known_other_and_retired_are_every_sample_there_ever_was(
    shape: Shape, steps: list[tuple[str, float] | tuple[str, int, int, int]]
) -> None:
    with MadeUpPrograms(shape) as made_up:
        witness = Witness(made_up, made_up.snapshot())
        for action, *what in steps:
            if action == "read":
                made_up.pass_time(what[0])
                witness.look()
            else:
                socket, value_us, cpu = (int(number) for number in what)
                getattr(made_up, action)(socket, value_us, cpu)
        made_up.pass_time(1)
        witness.look()


@settings(deadline=None, max_examples=30)
@given(SHAPES, STEPS)
def test_once_all_is_quiet_there_is_room_for_new_groups_again(
    shape: Shape, steps: list[tuple[str, float] | tuple[str, int, int, int]]
) -> None:
    with MadeUpPrograms(shape) as made_up:
        for action, *what in steps:
            if action == "read":
                made_up.pass_time(what[0])
                made_up.read()
            else:
                socket, value_us, cpu = (int(number) for number in what)
                getattr(made_up, action)(socket, value_us, cpu)
        for _ in range(4):
            made_up.pass_time(61)
            made_up.read()
        for socket in (1000, 1001):
            made_up.segment(socket, 5)
            made_up.pass_time(1)
            made_up.read()
        named = {key.lport for key in made_up.read().keys}
        assert 1000 in named
