"""The table of totals."""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_model_totals import NONE_LOST, delta_print, print_of, snapshot

from tcpvitals.model.key import Field, Grouping, GroupKey, Process
from tcpvitals.model.names import Names
from tcpvitals.sinks.totals import TotalsSink

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcpvitals.model.totals_report import TotalsPrint

BY_RADDR = partial(TotalsSink, grouping=Grouping((Field.RADDR,)))
FULL = {
    "segments_sent": 123_456,
    "segments_retransmitted": 2500,
    "rto": 1000,
    "fast": 900,
    "slow-start": 400,
    "tlp": 150,
    "syn": 20,
    "synack": 10,
    "other": 5,
    "segments_unnecessary": 7,
    "segments_failed": 15,
    "segments_control": 30,
}
GROUPS = {
    "10.0.0.2": {"segments_sent": 50},
    "192.168.100.100": FULL,
    "10.0.0.1": {"segments_retransmitted": 1, "synack": 1, "segments_control": 1},
    "10.0.0.3": {"attempts_put_off": 2},
}

TABLE = """\
raddr              SENT RETRANS RATIO%  RTO FAST SLOW TLP SYN SYNACK OTHER DSACK FAILED
192.168.100.100  123456    2500   2.02 1000  900  400 150  20     10     5     7     15
10.0.0.1              0       1 100.00    .    .    .   .   .      1     .     .      .
10.0.0.2             50       0   0.00    .    .    .   .   .      .     .     .      .
10.0.0.3              0       0      -    .    .    .   .   .      .     .     .      .
total            123506    2501   2.02 1000  900  400 150  20     11     5     7     15

"""
PAST_LIMIT = "past the limit of 64 groups (--max-groups raises it)"
ONE = {"segments_sent": 50, "segments_retransmitted": 1, "rto": 1}
NAMES = st.one_of(st.text(max_size=8), st.just("\x1b]0;title\x07"))


def shown(sink: Callable[..., Any], print_: TotalsPrint) -> str:
    """Return what is written for one print."""
    stream = io.StringIO()
    sink(stream=stream).show(print_)
    return stream.getvalue()


def terminal(columns: int, lines: int) -> partial[TotalsSink]:
    """Return a sink by remote address for a terminal of this size."""
    return partial(BY_RADDR, size=lambda: (columns, lines))


def many(groups: int) -> dict[str, dict[str, int]]:
    """Return groups of which each is worse than the one before."""
    return {
        f"10.0.{group // 250}.{group % 250}": {
            "segments_sent": 999,
            "segments_retransmitted": group,
            "rto": group,
        }
        for group in range(groups)
    }


def test_a_row_has_all_figures_of_a_group_and_the_last_one_those_of_all() -> None:
    """The worst comes first; what is 0 is a dot, and what cannot be said is a dash."""
    assert shown(BY_RADDR, print_of(snapshot(GROUPS))) == TABLE


def test_a_single_group_has_no_total() -> None:
    """It would be the same again."""
    assert shown(BY_RADDR, print_of(snapshot({"10.0.0.1": ONE}))) == (
        "raddr     SENT RETRANS RATIO% RTO FAST SLOW TLP SYN SYNACK OTHER DSACK FAILED\n"
        "10.0.0.1    50       1   2.00   1    .    .   .   .      .     .     .      .\n\n"
    )


def test_the_whole_host_is_called_so() -> None:
    """Without a grouping there is no field to name the column after."""
    lines = shown(partial(TotalsSink, timestamp=True), print_of(snapshot({GroupKey(): ONE})))

    assert [line[:18] for line in lines.splitlines()] == [
        "12:34:56",
        "whole host  SENT R",
        "whole host    50  ",
        "",
    ]


def test_several_fields_share_the_first_column() -> None:
    """In the order in which they were asked for."""
    grouping = Grouping((Field.PROCESS, Field.RPORT))
    keys = {GroupKey(process=Process(1234, b"nginx"), rport=443): ONE, GroupKey(rport=80): ONE}
    lines = shown(partial(TotalsSink, grouping=grouping), print_of(snapshot(keys)))

    assert [line.split()[0] for line in lines.splitlines()[:-1]] == [
        "process,rport",
        "1234/nginx,443",
        "unknown,80",
        "total",
    ]


def test_failures_that_the_kernel_does_not_tell_of_are_what_is_left() -> None:
    """Three of ten were seen, so seven did not leave this host."""
    counts = {"segments_sent": 10, "segments_retransmitted": 10, "rto": 3}
    print_ = print_of(snapshot({"10.0.0.1": counts}), shows_errors=False)
    (_, row, *notes) = shown(BY_RADDR, print_).splitlines()

    assert (row.split()[4], row.split()[-1], notes) == ("3", "7", [""])


def test_what_is_not_in_the_rows_is_under_them() -> None:
    """Hidden groups, those without a slot, what was not seen and what was lost."""
    print_ = print_of(
        snapshot(
            many(4),
            other={"segments_sent": 8, "segments_retransmitted": 2},
            retired={"segments_sent": 9, "rto": 1},
            losses={"socket_state": 3, "events": 0},
        )
    )
    lines = shown(partial(BY_RADDR, top=2), print_).splitlines()

    assert lines[1].startswith("10.0.0.3 ")
    assert lines[3:] == [
        "total     4013       8   0.20   7    .    .   .   .      .     .     .      .",
        "... and 2 more groups (--all shows them)",
        f"other: 8 segments sent, 2 retransmitted, {PAST_LIMIT}",
        "retired: 9 segments sent, 0 retransmitted, by groups that have long been idle",
        "unattributed: 1 segments that the kernel retransmitted and we did not see",
        "lost: socket_state 3",
        "",
    ]


def test_a_print_of_nothing_says_so() -> None:
    """At the start, in an idle interval, and when nothing is as bad as was asked for."""
    busy = snapshot({"10.0.0.1": ONE})
    prints = [
        print_of(snapshot({"10.0.0.1": {}})),
        delta_print(busy, busy),
        print_of(busy, min_ratio=0.025),
    ]

    assert [shown(BY_RADDR, print_) for print_ in prints] == [
        "nothing sent yet\n\n",
        "nothing sent in this interval\n\n",
        "no group has a retransmission ratio of 2.5 % or more\n\n",
    ]


def test_rows_that_do_not_fit_the_height_are_counted() -> None:
    """Headings, rows, the total, the remark, a blank line and the cursor's line: ten in all."""
    lines = shown(terminal(100, 10), print_of(snapshot(many(100)))).split("\n")

    assert len(lines) == 10
    assert lines[1].startswith("10.0.0.99 ")
    assert [line.split()[0] for line in lines[6:8]] == ["total", "..."]
    assert lines[7] == "... and 95 more groups (--all shows them)"


@pytest.mark.parametrize(
    ("groups", "expected"), [(1, 4), (2, 6), (6, 10), (7, 10)], ids=["one", "two", "fit", "more"]
)
def test_nothing_is_hidden_that_fits(groups: int, expected: int) -> None:
    """One group needs no total, and the last lines are not left empty."""
    counts = dict.fromkeys(many(groups), ONE)
    text = shown(terminal(100, 10), print_of(snapshot(counts)))

    assert expected == len(text.split("\n"))
    assert ("more group" in text) == (groups > 6)


@pytest.mark.parametrize(("options", "rows"), [({"top": 30}, 30), ({"everything": True}, 100)])
def test_asking_for_more_rows_than_fit_gives_them(options: dict[str, int], rows: int) -> None:
    """--top and --all are stronger than the height."""
    text = shown(partial(terminal(100, 10), **options), print_of(snapshot(many(100))))

    assert text.count("\n10.0.") == rows


def test_a_key_that_does_not_fit_loses_its_middle() -> None:
    """Addresses of one network differ at the end; without a terminal nothing is cut."""
    groups = {f"2001:db8:1234:5678:9abc:def0:1234:{end:x}": FULL for end in (10, 11)}
    print_ = print_of(snapshot(groups))
    cut = shown(terminal(94, 24), print_).splitlines()

    assert [line[:26] for line in cut[1:3]] == [
        "2001:db8:12…ef0:1234:a  12",
        "2001:db8:12…ef0:1234:b  12",
    ]
    assert {len(line) for line in cut[:4]} == {94}
    assert shown(BY_RADDR, print_).count("2001:db8:1234:5678:9abc:def0:1234:") == 2


def test_on_a_narrow_terminal_columns_of_dots_alone_go_first() -> None:
    """The last ones first, and no more than must."""
    print_ = print_of(snapshot({"192.168.100.100": ONE, "10.0.0.1": {**ONE, "segments_failed": 4}}))
    lines = shown(terminal(80, 24), print_).splitlines()

    assert lines[:2] == [
        "raddr            SENT RETRANS RATIO% RTO FAST SLOW TLP SYN SYNACK OTHER FAILED",
        "192.168.100.100    50       1   2.00   1    .    .   .   .      .     .      .",
    ]


@settings(deadline=None)
@given(st.integers(1, 150))
def test_no_row_is_ever_wider_than_the_terminal(width: int) -> None:
    """However long keys and figures are."""
    groups = {"2001:db8:1234:5678:9abc:def0:1234:1": FULL, "10.0.0.1": {"segments_sent": 2**60}}
    lines = shown(terminal(width, 24), print_of(snapshot(groups))).splitlines()

    assert max(map(len, lines[:4])) <= width


@settings(deadline=None)
@given(st.binary(max_size=15), NAMES, NAMES)
def test_no_name_can_do_anything_to_the_terminal(comm: bytes, netns: str, cgroup: str) -> None:
    """Neither a process's, nor a namespace's, nor a cgroup's."""
    grouping = Grouping((Field.PROCESS, Field.NETNS, Field.CGROUP))
    key = GroupKey(process=Process(1, comm), netns=7, cgroup=8)
    print_ = print_of(snapshot({key: ONE}), names=Names({7: netns}, {8: cgroup}))
    text = shown(partial(TotalsSink, grouping=grouping), print_)

    assert text.replace("\n", "").isprintable()
    assert text.count("\n") == 3


def test_nothing_lost_is_no_line() -> None:
    """Silence is good news."""
    print_ = print_of(snapshot({"10.0.0.1": ONE}, losses=NONE_LOST))

    assert "lost" not in shown(BY_RADDR, print_)
