"""`tcpvitals rtt` from options to output, fed by a made-up source: when it prints, and what."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from test_commands_madeup import MadeUpRtt, made_up_host
from test_sink_madeup import snapshot as rtt_snapshot

from tcpvitals.commands.main import dispatch
from tcpvitals.kernel import netns
from tcpvitals.kernel.plan import Attach
from tcpvitals.model.key import GroupKey
from tcpvitals.sinks.picture import FAR_US, NEAR_US

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tcpvitals.model.rtt import RttSnapshot


FAST = ("-i", "0.02", "-d", "0.09")
AT_ONCE_AND_AT_THE_END = ("-d", "0.01")


@pytest.fixture(autouse=True)
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[MadeUpRtt]]:
    """Return the source that the command will use, on a host that has everything."""
    with made_up_host(monkeypatch):
        yield MadeUpRtt


def rtt(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run the command to its end, and return what it printed."""
    assert dispatch(["rtt", *words]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    return shown.out


def lines(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    """Return the objects that the command printed."""
    return [json.loads(line) for line in rtt(capsys, "--json", *words).splitlines()]


def asked(*words: str) -> MadeUpRtt:
    """Return the source as the command asked for it."""
    assert dispatch(["rtt", *AT_ONCE_AND_AT_THE_END, *words]) == 0
    [opened] = MadeUpRtt.opened
    return opened


# --- when it prints ----------------------------------------------------------------------


def test_it_prints_at_once_every_interval_and_at_the_end(
    capsys: pytest.CaptureFixture[str], source: type[MadeUpRtt]
) -> None:
    counts = [line["count"] for line in lines(capsys, *FAST)]
    assert counts == list(range(1, len(counts) + 1))
    assert 2 <= len(counts) <= 6
    assert [opened.closed for opened in source.opened] == [True]


def test_a_duration_shorter_than_the_interval_has_two_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert [one["count"] for one in lines(capsys, *AT_ONCE_AND_AT_THE_END)] == [1, 2]


def test_a_print_that_outlasts_the_duration_is_not_the_last(
    capsys: pytest.CaptureFixture[str], source: type[MadeUpRtt]
) -> None:
    source.takes_s = 0.05
    assert [one["count"] for one in lines(capsys, *AT_ONCE_AND_AT_THE_END)] == [1, 2]


def test_prints_that_come_late_are_left_out_but_for_the_last(
    capsys: pytest.CaptureFixture[str], source: type[MadeUpRtt]
) -> None:
    source.takes_s = 0.05
    assert len(lines(capsys, "-i", "0.01", "-d", "0.2")) <= 6


def test_each_interval_alone_has_what_came_since_the_print_before(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = lines(capsys, "--delta", *FAST)
    assert {one["count"] for one in found} == {1}
    assert {one["interval_s"] for one in found} == {1.0}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_answered_with_a_last_print_and_success(
    capsys: pytest.CaptureFixture[str], source: type[MadeUpRtt], number: signal.Signals
) -> None:
    source.signals = {1: number}
    assert [one["count"] for one in lines(capsys, "-i", "3600")] == [1, 2]
    assert [opened.closed for opened in source.opened] == [True]


def test_a_second_signal_does_not_wait_for_the_last_print(source: type[MadeUpRtt]) -> None:
    source.signals = {1: signal.SIGINT, 2: signal.SIGINT}
    with pytest.raises(KeyboardInterrupt):
        dispatch(["rtt", "-i", "3600"])
    assert [opened.closed for opened in source.opened] == [True]


# --- what it asks for --------------------------------------------------------------------


def test_the_whole_host_is_one_group_whatever_the_limit() -> None:
    assert asked("--max-groups", "500").request.groups == 1


def test_groups_are_as_many_as_the_limit_allows() -> None:
    opened = asked("--by", "netns", "--max-groups", "500", "--idle", "5")
    assert (opened.request.groups, opened.plan.slots, opened.idle_s) == (500, 502, 5.0)


@pytest.mark.parametrize("attach", Attach)
def test_a_hook_that_is_asked_for_is_used(attach: Attach) -> None:
    assert asked("--attach", attach.value).plan.attach is attach


# --- where it goes -----------------------------------------------------------------------


@pytest.mark.parametrize(("words", "unit"), [((), "us"), (("-m",), "ms")])
def test_the_unit_is_named_on_every_line(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], unit: str
) -> None:
    assert {one["unit"] for one in lines(capsys, *AT_ONCE_AND_AT_THE_END, *words)} == {unit}


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (("--by", "netns"), "netns COUNT MIN_US P50_US P90_US P99_US MAX_US AVG_US"),
        (("--by", "netns", "-m"), "netns COUNT MIN_MS P50_MS P90_MS P99_MS MAX_MS AVG_MS"),
        (("--by", "netns", "--full"), "Key: 7"),
        (("--by", "netns", "-e"), "Key: 7"),
        (("-b",), "Key: unknown"),
        (("-raddr-hist",), "Key: unknown"),
        ((), "Key: whole host"),
    ],
)
def test_a_pipe_has_a_line_for_each_group_and_histograms_where_tcprtt_has_them(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], first: str
) -> None:
    line, *_ = rtt(capsys, *words, *AT_ONCE_AND_AT_THE_END).splitlines()
    assert " ".join(line.split()) == first


@pytest.mark.parametrize(
    ("words", "first"), [((), "netns"), (("--full",), "Key: 7"), (("-b",), "laddr")]
)
def test_a_terminal_has_whole_histograms_of_many_groups_only_if_asked(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: type[MadeUpRtt],
    words: tuple[str, ...],
    first: str,
) -> None:
    def snapshot(self: MadeUpRtt) -> RttSnapshot:
        assert self.opened
        return rtt_snapshot({GroupKey(netns=7): [9], GroupKey(netns=8): [9]}, seconds=1)

    monkeypatch.setattr(source, "snapshot", snapshot)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("LINES", "10")
    by = () if "-b" in words else ("--by", "netns")
    text = rtt(capsys, *by, *words, *AT_ONCE_AND_AT_THE_END)
    assert text.split("\n\n")[1].startswith(first)


@pytest.mark.parametrize(
    ("words", "due"),
    [
        (("-d", "0.01"), "for 0.01 s, Ctrl-C ends"),
        (("-d", "0.02", "-i", "0.01"), "every 0.01 s for 0.02 s, Ctrl-C ends"),
    ],
)
def test_who_sits_at_a_terminal_is_told_when_and_how_it_ends(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    due: str,
) -> None:
    header = f"srtt in us, by whole host, fentry; {due}\n"
    assert "Ctrl-C" not in rtt(capsys, *words)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert rtt(capsys, *words).startswith(header)
    assert "Ctrl-C" not in rtt(capsys, *words, "--json")


def test_the_help_says_what_the_colours_mean(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        dispatch(["rtt", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    near, far = (f"{us // 1000} ms" for us in (NEAR_US, FAR_US))
    assert f"a p99 is green below {near}, yellow below {far} and magenta from there on" in said
    assert "NO_COLOR=1" in said


def test_a_name_that_the_output_cannot_hold_is_escaped_and_not_fatal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(netns, "names", lambda: {7: "bl\u00e5"})
    with (tmp_path / "out").open("w", encoding="ascii") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert dispatch(["rtt", "--by", "netns", *AT_ONCE_AND_AT_THE_END]) == 0
    assert "bl\\xe5" in (tmp_path / "out").read_text()


def test_intervals_are_told_in_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    assert [one["interval_s"] for one in lines(capsys, *AT_ONCE_AND_AT_THE_END)] == [1.0, 2.0]
