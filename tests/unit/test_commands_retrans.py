"""`tcpvitals retrans -c` and `--by` from options to output: when totals are printed, and what."""

from __future__ import annotations

import json
import signal
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from test_commands_madeup import MadeUpSockets, let_the_kernel_count_what_nobody_saw, made_up_host
from test_kernel_madeup import host, no

from tcpvitals.commands.main import dispatch
from tcpvitals.errors import (
    UnexplainedError,
)
from tcpvitals.kernel import cgroups, probe
from tcpvitals.kernel.facts import Question
from tcpvitals.model.key import Field, Grouping, GroupKey

if TYPE_CHECKING:
    from collections.abc import Iterator

ONCE = ("-d", "0.01")
OFTEN = ("-i", "0.01")
FLOW = Grouping((Field.LADDR, Field.LPORT, Field.RADDR, Field.RPORT))
LOSSY, FINE = (GroupKey(raddr=ip_address(text)) for text in ("10.0.0.3", "10.0.0.9"))
TABLE = """\
raddr     SENT RETRANS RATIO% RTO FAST SLOW TLP SYN SYNACK OTHER DSACK FAILED
10.0.0.1   100       1   1.00   .    1    .   .   .      .     .     .      .

"""
PIPED = TABLE.replace(" .", " 0")


@pytest.fixture(autouse=True)
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[MadeUpSockets]]:
    """Return the source that the command will use, on a host that has everything."""
    with made_up_host(monkeypatch) as made_up:
        yield made_up


def retrans(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run the command to its end, and return what it printed."""
    assert dispatch(["retrans", *words]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    return shown.out


def lines(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    """Return the objects that the command printed."""
    return [json.loads(line) for line in retrans(capsys, "--json", *words).splitlines()]


def asked(*words: str) -> MadeUpSockets:
    """Return the source as the command asked for it."""
    assert dispatch(["retrans", *ONCE, *words]) == 0
    [opened] = MadeUpSockets.opened
    return opened


# --- when it prints ----------------------------------------------------------------------


def test_without_an_interval_it_prints_once_at_the_end(
    capsys: pytest.CaptureFixture[str], source: type[MadeUpSockets]
) -> None:
    assert retrans(capsys, "--by", "raddr", *ONCE) == PIPED
    [opened] = source.opened
    assert (opened.looks, opened.closed) == (1, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_at_every_interval_and_once_more_after_a_signal(
    capsys: pytest.CaptureFixture[str], source: type[MadeUpSockets], number: signal.Signals
) -> None:
    source.signals = {3: number}
    found = lines(capsys, "-c", *OFTEN)
    assert [one["sent"] for one in found] == [100, 200, 300, 400]
    assert [one["retransmitted"] for one in found] == [1, 2, 3, 4]
    assert [one["interval_s"] for one in found] == [1.0, 2.0, 3.0, 4.0]
    assert [opened.closed for opened in source.opened] == [True]


def test_an_interval_longer_than_the_duration_has_one_print(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert [one["sent"] for one in lines(capsys, "-c", "-i", "3600", *ONCE)] == [100]


def test_a_signal_before_anything_was_printed_has_a_print_too(
    capsys: pytest.CaptureFixture[str], source: type[MadeUpSockets]
) -> None:
    source.signals = {1: signal.SIGINT}
    assert [one["sent"] for one in lines(capsys, "-c", *OFTEN)] == [100, 200]


def test_a_second_signal_does_not_wait_for_the_last_print(source: type[MadeUpSockets]) -> None:
    source.signals = {1: signal.SIGINT, 2: signal.SIGTERM}
    with pytest.raises(KeyboardInterrupt):
        dispatch(["retrans", "-c", *OFTEN])
    assert [opened.closed for opened in source.opened] == [True]


def test_each_interval_alone_has_what_came_since_the_print_before(
    capsys: pytest.CaptureFixture[str], source: type[MadeUpSockets]
) -> None:
    source.signals = {3: signal.SIGINT}
    found = lines(capsys, "-c", "--delta", *OFTEN)
    assert [(one["sent"], one["retransmitted"], one["interval_s"]) for one in found] == [
        (100, 1, 1.0)
    ] * 4


def test_owners_are_looked_for_before_each_print(source: type[MadeUpSockets]) -> None:
    source.signals = {4: signal.SIGINT}
    assert dispatch(["retrans", "--by", "process", *OFTEN]) == 0
    [opened] = source.opened
    assert opened.looks == 5
    # And while it waits: a stop that is pending ends the last wait.
    assert opened.owners_looked_for >= opened.looks


# --- what it shows -----------------------------------------------------------------------


def test_the_worst_group_comes_first_and_those_past_the_top_are_told(
    capsys: pytest.CaptureFixture[str], source: type[MadeUpSockets]
) -> None:
    source.rates = source.rates | {
        LOSSY: {"segments_sent": 50, "segments_retransmitted": 4, "rto": 3, "tlp": 1},
        FINE: {"segments_sent": 1000, "segments_unnecessary": 1},
    }
    assert retrans(capsys, "--by", "raddr", "--top", "2", *ONCE) == (
        "raddr     SENT RETRANS RATIO% RTO FAST SLOW TLP SYN SYNACK OTHER DSACK FAILED\n"
        "10.0.0.3    50       4   8.00   3    0    0   1   0      0     0     0      0\n"
        "10.0.0.1   100       1   1.00   0    1    0   0   0      0     0     0      0\n"
        "total     1150       5   0.43   3    1    0   1   0      0     0     1      0\n"
        "# ... and 1 more group (--all shows it)\n"
        "\n"
    )


def test_groups_without_retransmissions_are_shown_if_all_are_asked_for_and_always_in_json(
    capsys: pytest.CaptureFixture[str], source: type[MadeUpSockets]
) -> None:
    source.rates = source.rates | {FINE: {"segments_sent": 1000}}
    shown = {
        words: retrans(capsys, "--by", "raddr", *words, *ONCE)
        for words in ((), ("--all",), ("--json",))
    }
    said = "1 group without retransmissions is not shown (--all shows it)"
    assert ["10.0.0.9" in text for text in shown.values()] == [False, True, True]
    assert [said in text for text in shown.values()] == [True, False, False]


@pytest.mark.parametrize(
    ("percent", "sent"),
    [("0", [50, 100, 1000]), ("0.5", [50, 100]), ("1", [50, 100]), ("1.01", [50]), ("8%", [50])],
)
def test_groups_below_the_ratio_asked_for_are_left_out(
    capsys: pytest.CaptureFixture[str],
    source: type[MadeUpSockets],
    percent: str,
    sent: list[int],
) -> None:
    source.rates = source.rates | {
        LOSSY: {"segments_sent": 50, "segments_retransmitted": 4, "rto": 4},
        FINE: {"segments_sent": 1000},
    }
    found = lines(capsys, "--by", "raddr", "--min-ratio", percent, *ONCE)
    assert [one["sent"] for one in found] == sent


def test_a_ratio_that_no_group_has_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    said = "# no group has a retransmission ratio of 2 % or more\n\n"
    assert retrans(capsys, "--by", "raddr", "--min-ratio", "2", *ONCE) == said


def test_the_whole_host_is_one_row(
    capsys: pytest.CaptureFixture[str], source: type[MadeUpSockets]
) -> None:
    source.rates = {GroupKey(): {"segments_sent": 7, "bytes_sent": 9000}}
    headings, row, *_ = retrans(capsys, "--by", "", *ONCE).splitlines()
    assert headings.startswith("whole host  SENT RETRANS RATIO%")
    assert row.split() == ["whole", "host", "7", "0", "0.00", *["0"] * 9]


def test_one_json_line_has_the_group_and_all_its_figures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    [line] = lines(capsys, "--by", "raddr", *ONCE)
    assert line.pop("time").count("T") == 1
    assert line == {
        "type": "totals",
        "interval_s": 1.0,
        "key": {"raddr": "10.0.0.1"},
        "sent": 100,
        "bytes_sent": 0,
        "retransmitted": 1,
        "bytes_retransmitted": 0,
        "ratio": 0.01,
        "causes": {
            **dict.fromkeys(("rto", "slow-start", "tlp", "syn", "synack", "other"), 0),
            "fast": 1,
        },
        "unnecessary": 0,
        "failed": 0,
        "unattributed": 0,
        "put_off": 0,
        "control": 0,
        "gave_up": 0,
        "dropped": {"recursion": 0, "events": 0},
    }


def test_a_timestamp_begins_each_line_of_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    heading, row, end = retrans(capsys, "--by", "raddr", "-T", *ONCE).splitlines()
    time, rest = row.split(" ", 1)
    assert [len(part) for part in time.split(":")] == [2, 2, 2]
    assert f"{heading.removeprefix('TIME     ')}\n{rest}\n{end}\n" == PIPED


@pytest.mark.parametrize(
    ("column", "sent"), [("sent", [900, 100, 50]), ("RATIO", [50, 100, 900]), ("dsack", [900, 50])]
)
def test_groups_are_sorted_by_the_column_that_was_asked_for(
    capsys: pytest.CaptureFixture[str],
    source: type[MadeUpSockets],
    column: str,
    sent: list[int],
) -> None:
    source.rates = source.rates | {
        LOSSY: {"segments_sent": 50, "segments_retransmitted": 4, "rto": 4},
        FINE: {"segments_sent": 900, "segments_retransmitted": 2, "segments_unnecessary": 1},
    }
    found = lines(capsys, "--by", "raddr", "--sort", column, "--top", str(len(sent)), *ONCE)
    assert [one["sent"] for one in found] == sent


def test_cgroups_are_shown_by_their_paths(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: type[MadeUpSockets],
) -> None:
    monkeypatch.setattr(cgroups, "find", lambda _wanted: {9: "/system.slice/nginx.service"})
    source.rates = {GroupKey(cgroup=9): {"segments_sent": 1}}
    [line] = lines(capsys, "--by", "cgroup", *ONCE)
    assert line["key"] == {"cgroup": "/system.slice/nginx.service"}


def test_where_the_tracepoint_hides_failures_what_was_not_seen_has_failed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: type[MadeUpSockets],
) -> None:
    source.rates = {LOSSY: {"segments_sent": 10, "segments_retransmitted": 3, "rto": 1}}
    hides = host((Question.RETRANSMIT_ERROR, no(Question.RETRANSMIT_ERROR)))
    for facts, expected in ((host(), (0, 2)), (hides, (2, 0))):
        monkeypatch.setattr(probe, "collect_facts", lambda facts=facts: facts)
        [line] = lines(capsys, "--by", "raddr", *ONCE)
        assert (line["failed"], line["unattributed"]) == expected


# --- what it asks for --------------------------------------------------------------------


def test_counting_asks_for_the_totals_of_each_flow_and_for_no_events() -> None:
    request = asked("-c").request
    assert (request.grouping, request.totals, request.namespaces) == (FLOW, True, False)
    assert (request.telling, request.measurement) == (frozenset(), None)


def test_the_whole_host_is_one_group_whatever_the_limit() -> None:
    opened = asked("--by", "", "--max-groups", "500")
    assert (opened.request.grouping, opened.request.groups) == (Grouping(), 1)
    assert opened.plan.slots == 3


def test_groups_are_as_many_as_the_limit_allows() -> None:
    opened = asked("-c", "--max-groups", "500", "--idle", "5")
    assert (opened.request.groups, opened.plan.slots, opened.idle_s) == (500, 502, 5.0)
    assert opened.plan.attach is None


def test_verifying_counts_namespaces() -> None:
    assert asked("-c", "--verify").request.namespaces is True


def test_a_difference_that_nothing_explains_is_told_at_each_print_and_is_status_3_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: type[MadeUpSockets],
) -> None:
    let_the_kernel_count_what_nobody_saw(monkeypatch)
    source.signals = {2: signal.SIGINT}
    with pytest.raises(UnexplainedError) as raised:
        dispatch(["retrans", "-c", "--verify", "--json", *OFTEN])
    assert raised.value.exit_code == 3
    types = [json.loads(line)["type"] for line in capsys.readouterr().out.splitlines()]
    assert types == ["totals", "verify"] * 3
    assert [opened.closed for opened in source.opened] == [True]


# --- who sits at a terminal --------------------------------------------------------------


WHEN = "retransmissions by raddr; "


@pytest.mark.parametrize(
    ("words", "due"),
    [
        (ONCE, "shown after 0.01 s, Ctrl-C ends"),
        (("-i", "3600", *ONCE), "for 0.01 s, Ctrl-C ends"),
        (("-i", "0.5", "-d", "0.6"), "every 0.5 s for 0.6 s, Ctrl-C ends"),
        (("-i", "3600"), "every 3600 s, Ctrl-C ends"),
        ((), "shown with Ctrl-C (-i 5: every 5 s)"),
    ],
)
def test_who_sits_at_a_terminal_is_told_when_there_will_be_something_to_see(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: type[MadeUpSockets],
    words: tuple[str, ...],
    due: str,
) -> None:
    source.owners_signals = {1: signal.SIGTERM} if "-d" not in words else {}
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("LINES", "40")
    assert "retransmissions by" not in retrans(capsys, "--by", "raddr", *words)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert retrans(capsys, "--by", "raddr", *words).startswith(f"{WHEN}{due}\n\nraddr ")
    assert all(line["type"] == "totals" for line in lines(capsys, "--by", "raddr", *words))


def test_who_sits_at_a_terminal_and_pipes_the_output_is_told_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert dispatch(["retrans", "--by", "raddr", *ONCE]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (PIPED, f"{WHEN}shown after 0.01 s, Ctrl-C ends\n\n")
