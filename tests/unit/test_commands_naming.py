"""Names of namespaces and cgroups: looked up when a new one turns up, within limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_commands_madeup import Clock
from test_sink_madeup_events import CHANGED, ENDS, NOBODY, OWNER, RESENT

from tcpvitals.commands.naming import Naming
from tcpvitals.kernel import cgroups, netns
from tcpvitals.model.key import Field, Grouping, GroupKey
from tcpvitals.model.names import Names


class MadeUpNames:
    """What a host calls its namespaces and cgroups, how often it was asked, and for which."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
        """Take the place of the real ones; looking for cgroups takes as long as is said here."""
        self.netns = {7: "blue"}
        self.cgroups = {9: "/nginx"}
        self.read, self.wanted = 0, list[set[int]]()
        self.look_s, self._clock = 0.0, clock
        monkeypatch.setattr(netns, "names", self._names)
        monkeypatch.setattr(cgroups, "find", self._find)

    def _names(self) -> dict[int, str]:
        self.read += 1
        return dict(self.netns)

    def _find(self, wanted: set[int]) -> dict[int, str]:
        self.wanted.append(set(wanted))
        self._clock.pass_time(self.look_s)
        return {number: self.cgroups[number] for number in wanted & self.cgroups.keys()}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that decides when it is time to look again."""
    return Clock(monkeypatch)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> MadeUpNames:
    """Return a host with a namespace 7 and a cgroup 9."""
    return MadeUpNames(monkeypatch, clock)


BLUE, NGINX = {7: "blue"}, {9: "/nginx"}


# --- namespaces --------------------------------------------------------------------------


def test_nothing_is_read_before_a_name_is_needed(host: MadeUpNames, clock: Clock) -> None:
    assert Naming().names() == Names()
    assert (host.read, host.wanted, clock.monotonic()) == (0, [], 1000)


def test_the_first_look_is_at_once_even_if_the_host_has_just_started(
    host: MadeUpNames, clock: Clock
) -> None:
    clock.now_s = 0.0
    assert Naming().names([7], [9]) == Names(BLUE, NGINX)
    assert (host.read, host.wanted) == (1, [{9}])


def test_namespaces_that_are_known_are_not_read_again(host: MadeUpNames, clock: Clock) -> None:
    naming = Naming()
    for _ in range(3):
        assert naming.names([7]).netns == BLUE
        clock.pass_time(60)
    assert host.read == 1


def test_a_namespace_without_a_name_is_looked_for_once_a_second_and_no_more(
    host: MadeUpNames, clock: Clock
) -> None:
    naming, read = Naming(), []
    for _ in range(9):
        naming.names([404])
        read.append(host.read)
        clock.pass_time(0.25)
    assert read == [1, 1, 1, 1, 2, 2, 2, 2, 3]


def test_a_new_namespace_has_its_name_when_the_second_is_over(
    host: MadeUpNames, clock: Clock
) -> None:
    naming = Naming()
    naming.names([7])
    host.netns[8] = "green"
    clock.pass_time(0.75)
    assert naming.names([8]).netns == BLUE
    clock.pass_time(0.25)
    assert naming.names([8]).netns == {7: "blue", 8: "green"}


def test_a_namespace_that_has_gone_keeps_its_name_for_one_more_reading(
    host: MadeUpNames, clock: Clock
) -> None:
    naming, seen = Naming(), []
    naming.names([7])
    host.netns = {8: "green"}
    for unknown in (8, 404, 404):
        clock.pass_time(1)
        seen.append(naming.names([unknown]).netns)
    assert seen == [{7: "blue", 8: "green"}, {8: "green"}, {8: "green"}]


def test_an_inode_number_that_is_used_again_has_its_new_name(
    host: MadeUpNames, clock: Clock
) -> None:
    naming = Naming()
    naming.names([7])
    host.netns = {7: "red"}
    clock.pass_time(1)
    assert naming.names([404]).netns == {7: "red"}


# --- cgroups -----------------------------------------------------------------------------


def test_each_cgroup_is_looked_for_once_whether_it_is_found_or_not(
    host: MadeUpNames, clock: Clock
) -> None:
    naming = Naming()
    for wanted in ([9], [9, 404], [404], [9]):
        assert naming.names([], wanted).cgroups == NGINX
        clock.pass_time(60)
    assert host.wanted == [{9}, {404}]


def test_an_unknown_cgroup_is_not_looked_for(host: MadeUpNames) -> None:
    assert Naming().names([], [0, 0]) == Names()
    assert host.wanted == []


def test_a_removed_cgroup_keeps_its_path(host: MadeUpNames, clock: Clock) -> None:
    naming = Naming()
    naming.names([], [9])
    host.cgroups = {10: "/new"}
    clock.pass_time(60)
    assert naming.names([], [9, 10]).cgroups == {9: "/nginx", 10: "/new"}


def test_looking_for_cgroups_takes_at_most_a_fiftieth_of_the_time(
    host: MadeUpNames, clock: Clock
) -> None:
    naming = Naming()
    host.look_s = 0.5
    for new in range(100, 200):
        naming.names([], [new])
        clock.pass_time(1)
    assert len(host.wanted) * host.look_s * 50 <= 100 + 25
    assert host.wanted == [{100}, {125}, {150}, {175}]


def test_at_most_16384_cgroups_are_remembered(host: MadeUpNames, clock: Clock) -> None:
    naming = Naming()
    host.cgroups |= {number: f"/{number}" for number in range(1000, 1000 + 16_383)}
    assert len(naming.names([], host.cgroups).cgroups) == 16_384
    clock.pass_time(1)
    host.cgroups[5] = "/five"
    assert naming.names([], [5]).cgroups == {5: "/five"}


# --- for keys and for events -------------------------------------------------------------


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("field", "key", "asked"),
    [
        (Field.NETNS, GroupKey(netns=7), (1, [])),
        (Field.CGROUP, GroupKey(cgroup=9), (0, [{9}])),
        (Field.NETNS, GroupKey(netns=None), (0, [])),
        (Field.CGROUP, GroupKey(cgroup=None), (0, [])),
        (Field.LPORT, GroupKey(lport=7), (0, [])),
    ],
)
def test_keys_need_names_only_where_they_have_namespaces_or_cgroups(
    host: MadeUpNames, field: Field, key: GroupKey, asked: tuple[int, list[set[int]]]
) -> None:
    names = Naming().for_keys([key], Grouping((field,)))
    assert names == Names(BLUE if asked[0] else {}, NGINX if asked[1] else {})
    assert (host.read, host.wanted) == asked


def test_events_need_the_names_of_their_namespaces_and_of_their_owners_cgroups(
    host: MadeUpNames,
) -> None:
    host.netns = {8: "green"}
    elsewhere = replace(ENDS, netns=8)
    naming = Naming()
    assert naming.for_events([]) == Names()
    found = naming.for_events([replace(RESENT, ends=elsewhere, owner=NOBODY), CHANGED])
    assert found == Names({8: "green"}, NGINX)


def test_an_event_in_a_known_namespace_of_an_unknown_cgroup_has_its_path_looked_for(
    host: MadeUpNames, clock: Clock
) -> None:
    naming = Naming()
    assert naming.for_events([RESENT]) == Names(BLUE, NGINX)
    host.cgroups[10] = "/new"
    clock.pass_time(1)
    event = replace(RESENT, owner=replace(OWNER, cgroup_id=10))
    assert naming.for_events([event]) == Names(BLUE, {9: "/nginx", 10: "/new"})
    assert host.wanted == [{9}, {10}]
