"""`tcpvitals retrans` and `tcpvitals states` from options to output, event by event."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from test_commands_madeup import (
    MadeUpSockets,
    Step,
    let_the_kernel_count_what_nobody_saw,
    made_up_host,
)
from test_sink_madeup_events import CHANGED, ENDS6, RESENT, SYNACK

from tcpvitals.commands import following
from tcpvitals.commands.main import dispatch
from tcpvitals.errors import UnexplainedError
from tcpvitals.kernel import cgroups, netns
from tcpvitals.kernel.settings import Telling
from tcpvitals.model.key import Grouping
from tcpvitals.model.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = ("retrans", "states")
# Long enough for whatever this machine does meanwhile: a signal ends these runs.
FOREVER = ("-d", "3600")
END = Step(signal=signal.SIGINT)
RETRANS_HEADINGS = (
    "TIME         NETNS        PID     COMM            LADDR:LPORT > RADDR:RPORT          "
    "           STATE        CAUSE      SEGS BYTES TRY   SRTT CWND\n"
)
RESENT_ROW = (
    "03:04:05.678 7            1234    nginx           10.0.0.1:40000 > 192.168.100.100:443"
    "          ESTABLISHED  fast          2  2896   1 12.3ms   10\n"
)
SYNACK_ROW = (
    "03:04:05.678 7            -       -               10.0.0.1:40000 > 192.168.100.100:443"
    "          NEW_SYN_RECV synack        1     0   3      -    0\n"
)
STATES_HEADINGS = (
    "SKADDR           PID     COMM       LADDR           LPORT RADDR           RPORT "
    "OLDSTATE    -> NEWSTATE    MS\n"
)
CHANGED_ROW = (
    "ffff888102030405 1234    nginx      10.0.0.1        40000 192.168.100.100 443   "
    "ESTABLISHED -> FIN_WAIT1   12.346\n"
)


@pytest.fixture(autouse=True)
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[MadeUpSockets]]:
    """Return the source that the command will use; nothing happens but that we are to stop."""
    with made_up_host(monkeypatch) as made_up:
        made_up.script = (END,)
        yield made_up


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command to its end, and return what it printed."""
    assert dispatch([*words, *FOREVER]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    return shown.out


def lines(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    """Return the objects that a command printed."""
    return [json.loads(line) for line in run(capsys, *words, "--json").splitlines()]


def asked(*words: str) -> MadeUpSockets:
    """Return the source as a command asked for it."""
    assert dispatch([*words, *FOREVER]) == 0
    [opened] = MadeUpSockets.opened
    return opened


# --- as text -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "headings"), [("retrans", RETRANS_HEADINGS), ("states", STATES_HEADINGS)]
)
def test_where_nothing_happens_there_are_headings_and_nothing_else(
    capsys: pytest.CaptureFixture[str], command: str, headings: str
) -> None:
    assert run(capsys, command) == headings


def test_retransmissions_are_shown_as_they_come_under_one_header(
    capsys: pytest.CaptureFixture[str], source: type[MadeUpSockets]
) -> None:
    source.script = Step((RESENT, SYNACK)), Step(), Step((RESENT,)), END
    rows = RESENT_ROW + SYNACK_ROW + RESENT_ROW
    assert run(capsys, "retrans") == RETRANS_HEADINGS + rows
    assert [opened.closed for opened in source.opened] == [True]


def test_state_changes_are_shown_as_they_come_under_one_header(
    capsys: pytest.CaptureFixture[str], source: type[MadeUpSockets]
) -> None:
    unknown = replace(CHANGED, took_ns=None)
    source.script = Step((CHANGED,)), Step((unknown, CHANGED)), END
    rows = CHANGED_ROW + CHANGED_ROW.replace("12.346", "-") + CHANGED_ROW
    assert run(capsys, "states") == STATES_HEADINGS + rows
    assert [opened.closed for opened in source.opened] == [True]


def test_states_have_the_time_of_day_and_room_for_ipv6_if_that_is_wanted(
    capsys: pytest.CaptureFixture[str], source: type[MadeUpSockets]
) -> None:
    source.script = Step((replace(CHANGED, ends=ENDS6),)), END
    assert run(capsys, "states", "-Tw") == (
        "TIME(s)  SKADDR           PID     COMM             IP "
        f"{'LADDR':<39} LPORT {'RADDR':<39} RPORT OLDSTATE    -> NEWSTATE    MS\n"
        "03:04:05 ffff888102030405 1234    nginx            6  "
        f"{'2001:db8::1':<39} 40000 {'2001:db8::ffff:0:2':<39} 443   "
        "ESTABLISHED -> FIN_WAIT1   12.346\n"
    )


@pytest.mark.parametrize(
    ("command", "event", "headings", "row"),
    [
        ("retrans", RESENT, RETRANS_HEADINGS, RESENT_ROW),
        ("states", CHANGED, STATES_HEADINGS, CHANGED_ROW),
    ],
)
def test_what_was_lost_is_told_where_it_was_lost_once_for_each_change(  # noqa: PLR0913, PLR0917 - a table's columns
    capsys: pytest.CaptureFixture[str],
    source: type[MadeUpSockets],
    command: str,
    event: Any,  # noqa: ANN401 - either kind
    headings: str,
    row: str,
) -> None:
    source.script = (
        Step((event,)),
        Step((event,), lost=2),
        Step((event,), lost=2),
        Step((), lost=5),
        Step((event,), lost=5, signal=signal.SIGTERM),
    )
    told = "lost: events 2\n", "lost: events 5\n"
    assert run(capsys, command) == headings + row + row + told[0] + row + told[1] + row


# --- for programs ------------------------------------------------------------------------


def test_retransmissions_are_lines_in_order_with_names_and_what_was_lost_so_far(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: type[MadeUpSockets],
) -> None:
    monkeypatch.setattr(netns, "names", lambda: {7: "blue"})
    monkeypatch.setattr(cgroups, "find", lambda _wanted: {9: "/system.slice/nginx.service"})
    source.script = Step((RESENT, SYNACK)), Step((RESENT,), lost=3, signal=signal.SIGINT)
    first, second, third, fourth = lines(capsys, "retrans")
    assert first == {
        "type": "retransmission",
        "timestamp": "2026-01-02T03:04:05.678901+01:00",
        "pid": 1234,
        "comm": "nginx",
        "state": 1,
        "ipversion": 4,
        "source": {"ip": "10.0.0.1", "port": 40000},
        "destination": {"ip": "192.168.100.100", "port": 443},
        "cause": "fast",
        "segments": 2,
        "bytes": 2896,
        "seq": 77,
        "attempt": 1,
        "srtt_us": 12345,
        "cwnd": 10,
        "errno": None,
        "failed": False,
        "netns": "blue",
        "cgroup": "/system.slice/nginx.service",
        "dropped": {"recursion": 0, "events": 0},
    }
    assert (second["cause"], second["seq"], second["pid"]) == ("synack", None, None)
    assert third == first | {"dropped": {"recursion": 0, "events": 3}}
    assert (fourth["type"], fourth["dropped"]) == ("lost", {"recursion": 0, "events": 3})


def test_states_are_lines_without_any_headings(
    capsys: pytest.CaptureFixture[str], source: type[MadeUpSockets]
) -> None:
    source.script = Step((CHANGED,)), END
    [line] = lines(capsys, "states")
    assert (line["type"], line["oldstate"], line["newstate"], line["ms"]) == (
        *("state", "ESTABLISHED", "FIN_WAIT1"),
        12.346,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_where_nothing_happens_a_program_reads_nothing(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert lines(capsys, command) == []


# --- how it ends -------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("command", "event"), [("retrans", RESENT), ("states", CHANGED)])
def test_what_comes_with_and_after_the_signal_is_shown_too(
    capsys: pytest.CaptureFixture[str],
    source: type[MadeUpSockets],
    command: str,
    event: Any,  # noqa: ANN401 - either kind
    number: signal.Signals,
) -> None:
    source.script = Step((event,), signal=number), Step((event,)), Step((event, event))
    assert len(lines(capsys, command)) == 4
    assert [opened.closed for opened in source.opened] == [True]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_duration_ends_it(source: type[MadeUpSockets], command: str) -> None:
    source.script = ()
    assert dispatch([command, "-d", "0.01"]) == 0
    assert [opened.closed for opened in source.opened] == [True]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_second_signal_ends_it_at_once(source: type[MadeUpSockets], command: str) -> None:
    source.script = END, END
    with pytest.raises(KeyboardInterrupt):
        dispatch([command, *FOREVER])
    assert [opened.closed for opened in source.opened] == [True]


@pytest.mark.parametrize("command", COMMANDS)
def test_owners_are_looked_for_while_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, source: type[MadeUpSockets], command: str
) -> None:
    monkeypatch.setattr(following, "_IDLE_S", 0.001)
    source.script, source.owners_signals = (), {5: signal.SIGINT}
    opened = asked(command)
    assert opened.owners_looked_for >= 5


# --- what it asks for --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "told"), [("retrans", Telling.RETRANSMISSIONS), ("states", Telling.STATES)]
)
def test_a_command_asks_for_its_own_events_and_counts_nothing(command: str, told: Telling) -> None:
    opened = asked(command, "-p", "22", "--buffer", "64")
    request = opened.request
    assert (request.totals, request.namespaces) == (False, False)
    assert request.telling == frozenset({told})
    assert (request.selection, request.ring_bytes) == (Selection(lports=(22,)), 65536)
    assert (request.grouping, request.groups, request.measurement) == (Grouping(), 1, None)
    assert (opened.plan.attach, opened.plan.slots) == (None, 3)


def test_verifying_events_counts_namespaces_too_and_is_shown_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = run(capsys, "retrans", "--verify")
    assert shown.startswith(RETRANS_HEADINGS)
    [opened] = MadeUpSockets.opened
    assert opened.request.namespaces is True
    assert opened.request.totals is False


def test_a_difference_that_nothing_explains_is_status_3_after_all_was_shown(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: type[MadeUpSockets],
) -> None:
    let_the_kernel_count_what_nobody_saw(monkeypatch)
    source.script = Step((RESENT,)), END
    with pytest.raises(UnexplainedError) as raised:
        dispatch(["retrans", "--verify", *FOREVER])
    assert raised.value.exit_code == 3
    assert capsys.readouterr().out.startswith(RETRANS_HEADINGS + RESENT_ROW)
    assert [opened.closed for opened in source.opened] == [True]
