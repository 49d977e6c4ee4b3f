"""Names of namespaces and cgroups: looked up when a new one turns up, once a second at most."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from test_commands_madeup import Clock
from test_sink_madeup_events import CHANGED, ENDS, NOBODY, OWNER, RESENT

from tcpvitals.commands.naming import Naming
from tcpvitals.kernel import cgroups, netns
from tcpvitals.model.key import Field, Grouping, GroupKey
from tcpvitals.model.names import Names

if TYPE_CHECKING:
    from collections.abc import Iterable


class MadeUpNames:
    """What a host calls its namespaces and cgroups, and how often it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take the place of the real ones."""
        self.netns = {7: "blue"}
        self.cgroups = {9: "/nginx"}
        self.asked = 0
        monkeypatch.setattr(netns, "names", self._names)
        monkeypatch.setattr(cgroups, "paths", lambda: dict(self.cgroups))

    def _names(self) -> dict[int, str]:
        self.asked += 1
        return dict(self.netns)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that decides when a second is over."""
    return Clock(monkeypatch)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> MadeUpNames:
    """Return a host with a namespace 7 and a cgroup 9."""
    return MadeUpNames(monkeypatch)


def looked_up(
    naming: Naming, namespaces: Iterable[int] = (), groups: Iterable[int] = ()
) -> tuple[dict[int, str], dict[int, str]]:
    """Return all names of namespaces and of cgroups, when some are needed."""
    found = naming.names(namespaces, groups)
    return dict(found.netns), dict(found.cgroups)


BLUE, NGINX = {7: "blue"}, {9: "/nginx"}


def test_nothing_is_read_before_a_name_is_needed(host: MadeUpNames, clock: Clock) -> None:
    assert looked_up(Naming()) == ({}, {})
    assert (host.asked, clock.monotonic()) == (0, 1000)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("namespaces", "groups"), [([7], []), ([], [9]), ([7], [9])])
def test_one_that_is_new_has_all_of_them_read(
    host: MadeUpNames, namespaces: list[int], groups: list[int]
) -> None:
    assert looked_up(Naming(), namespaces, groups) == (BLUE, NGINX)
    assert host.asked == 1


def test_the_first_look_is_at_once_even_if_the_host_has_just_started(
    monkeypatch: pytest.MonkeyPatch, host: MadeUpNames
) -> None:
    Clock(monkeypatch, start_s=0.0)
    assert looked_up(Naming(), [7]) == (BLUE, NGINX)
    assert host.asked == 1


def test_those_that_are_known_are_not_read_again(host: MadeUpNames, clock: Clock) -> None:
    naming = Naming()
    for _ in range(3):
        assert looked_up(naming, [7], [9]) == (BLUE, NGINX)
        clock.pass_time(60)
    assert host.asked == 1


@pytest.mark.usefixtures("clock")
def test_a_cgroup_that_nobody_knows_is_not_looked_for(host: MadeUpNames) -> None:
    assert looked_up(Naming(), [], [0, 0]) == ({}, {})
    assert host.asked == 0


def test_what_has_no_name_is_looked_for_once_a_second_and_no_more(
    host: MadeUpNames, clock: Clock
) -> None:
    naming, asked = Naming(), []
    for _ in range(9):
        looked_up(naming, [404], [405])
        asked.append(host.asked)
        clock.pass_time(0.25)
    assert asked == [1, 1, 1, 1, 2, 2, 2, 2, 3]


def test_a_new_one_has_its_name_when_the_second_is_over(host: MadeUpNames, clock: Clock) -> None:
    naming = Naming()
    looked_up(naming, [7])
    host.netns[8] = "green"
    clock.pass_time(0.75)
    assert looked_up(naming, [8]) == (BLUE, NGINX)
    clock.pass_time(0.25)
    assert looked_up(naming, [8]) == ({7: "blue", 8: "green"}, NGINX)


def test_what_has_gone_stays_for_one_more_reading(host: MadeUpNames, clock: Clock) -> None:
    naming, seen = Naming(), []
    looked_up(naming, [7])
    host.netns, host.cgroups = {8: "green"}, {}
    for unknown in (8, 404, 404):
        clock.pass_time(1)
        seen.append(looked_up(naming, [unknown]))
    assert seen == [
        ({7: "blue", 8: "green"}, NGINX),
        ({8: "green"}, {}),
        ({8: "green"}, {}),
    ]


def test_a_number_that_is_used_again_has_its_new_name(host: MadeUpNames, clock: Clock) -> None:
    naming = Naming()
    looked_up(naming, [7])
    host.netns, host.cgroups = {7: "red"}, {9: "/apache"}
    clock.pass_time(1)
    assert looked_up(naming, [404]) == ({7: "red"}, {9: "/apache"})


# --- for keys and for events -------------------------------------------------------------


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("field", "key", "asked"),
    [
        (Field.NETNS, GroupKey(netns=7), 1),
        (Field.CGROUP, GroupKey(cgroup=9), 1),
        (Field.NETNS, GroupKey(netns=None), 0),
        (Field.CGROUP, GroupKey(cgroup=None), 0),
        (Field.LPORT, GroupKey(lport=7), 0),
    ],
)
def test_keys_need_names_only_where_they_have_namespaces_or_cgroups(
    host: MadeUpNames, field: Field, key: GroupKey, asked: int
) -> None:
    names = Naming().for_keys([key], Grouping((field,)))
    assert names == (Names(BLUE, NGINX) if asked else Names())
    assert host.asked == asked


@pytest.mark.usefixtures("clock")
def test_events_need_the_names_of_their_namespaces_and_of_their_owners_cgroups(
    host: MadeUpNames,
) -> None:
    host.netns, host.cgroups = {}, {}
    elsewhere = replace(ENDS, netns=8)
    naming = Naming()
    assert naming.for_events([]) == Names()
    assert host.asked == 0
    naming.for_events([replace(RESENT, ends=elsewhere, owner=NOBODY), CHANGED])
    assert host.asked == 1


def test_an_event_in_a_known_namespace_of_an_unknown_cgroup_has_names_read(
    host: MadeUpNames, clock: Clock
) -> None:
    naming = Naming()
    assert naming.for_events([RESENT]) == Names(BLUE, NGINX)
    host.cgroups[10] = "/new"
    clock.pass_time(1)
    event = replace(RESENT, owner=replace(OWNER, cgroup_id=10))
    assert naming.for_events([event]) == Names(BLUE, {9: "/nginx", 10: "/new"})
    assert host.asked == 2
