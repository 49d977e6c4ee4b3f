"""What `serve` shows at each refresh: the network, and neither loopback nor its own scrapes."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from prometheus_madeup import SECOND, USUAL, key, snapshot, wall

from tcpvitals.commands.glance import is_network, left_out
from tcpvitals.commands.glances import Glances
from tcpvitals.model.key import Grouping, GroupKey, Role
from tcpvitals.model.measurement import Sample
from tcpvitals.model.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_madeup import Group

PORT = 2112
LOST = {"segments_sent": 100, "segments_retransmitted": 4, "fast": 4}
WELL = {"segments_sent": 50}
LOOPBACK = replace(key("127.0.0.0/24", service=5432), scope=Scope.LOOPBACK)
SCRAPE = key("10.7.7.0/24", service=PORT, role=Role.SERVER)
OWN: dict[int, Group] = {1: (LOOPBACK, LOST, [9, 9]), 2: (SCRAPE, WELL, [300])}
FAR = key("10.9.9.0/24", service=443)


class Screen:
    """A stream, what was written, and refreshes a few seconds apart."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool = True) -> None:
        """Be wide enough for whole keys."""
        monkeypatch.setenv("COLUMNS", "140")
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
        self._written: list[str] = []
        self._glances = Glances(stream, USUAL, Sample.RTT, PORT, wall, self._written.append)
        self._now_ns = 60 * SECOND
        self.is_done = False

    def refresh(self, groups: Mapping[int, Group], after_s: float = 5) -> str:
        """Return what a refresh brings."""
        self._now_ns += int(after_s * SECOND)
        self._written.clear()
        self.is_done = self._glances.show(snapshot(groups, taken_ns=self._now_ns))
        return "".join(self._written)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Return a terminal."""
    return Screen(monkeypatch)


def test_ones_own_scrapes_and_loopback_are_waited_through_and_said_so_once(screen: Screen) -> None:
    first, second = screen.refresh(OWN), screen.refresh(OWN)

    assert first == (
        "\nWaiting for traffic; connections open now: 2.\n"
        "loopback and requests to port 2112 left out\n"
    )
    assert second == ""


def test_the_first_traffic_of_the_network_is_shown_with_what_it_lost_and_what_to_do_next(
    screen: Screen,
) -> None:
    screen.refresh(OWN)
    text = screen.refresh(OWN | {3: (FAR, LOST, [20_000] * 30)})

    assert ", since the start, loopback and requests to port 2112 left out:\nrtt\n" in text
    (round_trips,) = [line for line in text.splitlines() if "ms" in line and "10.9.9.0" in line]
    assert round_trips.endswith(" 30")
    (retransmissions,) = [line for line in text.splitlines() if " 4.00 " in line]
    assert retransmissions.startswith("private,client,443,10.9.9.0/24")
    assert "127.0.0.0" not in text
    assert "10.7.7.0" not in text
    assert "retrans --by process,raddr" in text.partition("Next, as root:\n")[2]
    assert "--all" not in text


def test_no_option_of_another_command_is_named_however_narrow_the_terminal(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    some: dict[int, Group] = {
        3 + number: (key(f"10.9.{number}.0/24", service=443), LOST if number < 8 else WELL, [300])
        for number in range(20)
    }
    for columns in ("40", "80", "140"):
        monkeypatch.setenv("COLUMNS", columns)
        text = screen.refresh(some | {30: (FAR, WELL, [300] * int(columns))})
        assert "... and 16 more groups\n" in text
        assert "... and 3 more groups\n" in text
        assert "13 groups without retransmissions" in " ".join(text.split())
        assert "0 everywhere, not shown" in text or columns != "80"
        assert not {"--all", "-w", "shows"} & {word.strip("()") for word in text.split()}


def test_nothing_lost_is_said_in_a_line_and_nothing_is_advised_about_it(screen: Screen) -> None:
    text = screen.refresh(OWN | {3: (FAR, WELL, [20_000])})

    assert "retransmissions: none; segments sent: 50\n" in text
    assert "retrans --by" not in text
    assert "rtt --by raddr/24" in text


def test_each_refresh_that_brings_more_of_the_network_is_shown_and_no_other(
    screen: Screen,
) -> None:
    screen.refresh({3: (FAR, LOST, [20_000] * 30)})
    more_of_our_own: dict[int, Group] = {1: (LOOPBACK, LOST, [9] * 100)}

    quiet = screen.refresh(more_of_our_own | {3: (FAR, LOST, [20_000] * 30)})
    soon = screen.refresh({3: (FAR, LOST, [20_000] * 31)}, after_s=-4.5)
    busy = screen.refresh({3: (FAR, LOST, [20_000] * 40)}, after_s=10)

    assert (quiet, soon) == ("", "")
    assert busy.splitlines()[4].endswith(" 40")
    assert not screen.is_done


def test_through_a_pipe_there_is_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch, is_terminal=False)

    screen.refresh(OWN)
    assert not screen.is_done
    assert "10.9.9.0" in screen.refresh({3: (FAR, LOST, [20_000] * 30)})
    assert screen.is_done


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (GroupKey(service=PORT, role=Role.SERVER), False),
        (GroupKey(service=PORT), False),
        (GroupKey(service=PORT, role=Role.CLIENT, scope=Scope.PUBLIC), True),
        (GroupKey(service=443, role=Role.SERVER, scope=Scope.LINK_LOCAL), True),
        (GroupKey(service=443, scope=Scope.LOOPBACK), False),
        (GroupKey(), True),
    ],
)
def test_of_the_network_is_what_is_neither_loopback_nor_a_request_to_our_port(
    group: GroupKey,
    expected: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Another exporter on the same port elsewhere is a peer as any other."""
    assert is_network(group, PORT) is expected


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("scope,service", "loopback and requests to port 2112"),
        ("scope,raddr", "loopback"),
        ("service", "requests to port 2112"),
        ("raddr", ""),
    ],
)
def test_what_the_grouping_does_not_tell_is_not_said_to_be_left_out(by: str, expected: str) -> None:
    assert left_out(Grouping.parse(by), PORT) == expected
