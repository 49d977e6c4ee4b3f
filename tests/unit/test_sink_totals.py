"""The table of totals."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
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

PIPED = partial(TotalsSink, grouping=Grouping((Field.RADDR,)))
BY_RADDR = partial(PIPED, size=lambda: (200, 100))
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
            "segments_retransmitted": group + 1,
            "rto": group + 1,
        }
        for group in range(groups)
    }


def test_a_row_has_all_figures_of_a_group_and_the_last_one_those_of_all() -> None:
    """The worst comes first; what is 0 is a dot, and what cannot be said is a dash."""
    assert shown(partial(BY_RADDR, everything=True), print_of(snapshot(GROUPS))) == TABLE


def test_groups_without_retransmissions_are_counted_instead_of_shown() -> None:
    """The total has them all the same; of the only row, a whole host's, there is no doubt."""
    headings, *_, total, end = TABLE.splitlines(keepends=True)
    rows = [line for line in TABLE.splitlines(keepends=True) if " 2500 " in line or ".1 " in line]
    said = "2 groups without retransmissions are not shown (--all shows them)\n"
    host = print_of(snapshot({GroupKey(): {"segments_sent": 50}}))

    assert shown(BY_RADDR, print_of(snapshot(GROUPS))) == "".join(
        [headings, *rows, total, said, end]
    )
    assert shown(TotalsSink, host).splitlines()[1].split()[:4] == ["whole", "host", "50", "0"]
    assert shown(BY_RADDR, print_of(snapshot({"10.0.0.2": {"segments_sent": 50}}))) == (
        "1 group without retransmissions is not shown (--all shows it)\n\n"
    )


@pytest.mark.parametrize(
    "field", ["segments_failed", "segments_unnecessary", "synack", "segments_retransmitted"]
)
def test_a_group_with_anything_but_sent_segments_has_a_row(field: str) -> None:
    """Also when the retransmission itself was in an interval before."""
    assert "10.0.0.1" in shown(BY_RADDR, print_of(snapshot({"10.0.0.1": {field: 1}})))


def test_a_single_group_has_no_total() -> None:
    """It would be the same again."""
    assert shown(BY_RADDR, print_of(snapshot({"10.0.0.1": ONE}))) == (
        "raddr     SENT RETRANS RATIO% RTO FAST SLOW TLP SYN SYNACK OTHER DSACK FAILED\n"
        "10.0.0.1    50       1   2.00   1    .    .   .   .      .     .     .      .\n\n"
    )


def test_the_whole_host_is_called_so() -> None:
    """Without a grouping there is no field to name the column after."""
    lines = shown(
        partial(TotalsSink, timestamp=True, size=lambda: (99, 24)),
        print_of(snapshot({GroupKey(): ONE})),
    )

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
        "total     4013      12   0.30  11    .    .   .   .      .     .     .      .",
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


CONNECTION = Grouping((Field.LADDR, Field.LPORT, Field.RADDR, Field.RPORT))
BY_CONNECTION = partial(TotalsSink, grouping=CONNECTION)


def connection(local: str, lport: int, remote: str, rport: int) -> GroupKey:
    """Return the group of one connection."""
    return GroupKey(ip_address(local), ip_address(remote), lport, rport)


def narrow(columns: int, counts: dict[str, int]) -> list[str]:
    """Return what a terminal shows of two connections that differ in a port alone."""
    keys = [connection("10.77.0.2", port, "10.77.0.1", 45704) for port in (8081, 8082)]
    print_ = print_of(snapshot(dict.fromkeys(keys, counts)))
    return shown(partial(BY_CONNECTION, size=lambda: (columns, 24)), print_).splitlines()


def test_connections_that_differ_in_a_port_alone_are_told_apart_in_80_columns() -> None:
    """A title that has no room beside the figures has a line of its own; nothing is cut."""
    assert narrow(80, FULL) == [
        "laddr:lport > raddr:rport",
        "    SENT RETRANS RATIO%  RTO FAST SLOW TLP SYN SYNACK OTHER DSACK FAILED",
        "10.77.0.2:8081 > 10.77.0.1:45704",
        "  123456    2500   2.02 1000  900  400 150  20     10     5     7     15",
        "10.77.0.2:8082 > 10.77.0.1:45704",
        "  123456    2500   2.02 1000  900  400 150  20     10     5     7     15",
        "total",
        "  246912    5000   2.02 2000 1800  800 300  40     20    10    14     30",
        "",
    ]


def test_columns_of_dots_alone_give_way_to_the_title_and_are_named() -> None:
    """The last ones first, and no more than must."""
    assert narrow(80, ONE) == [
        "laddr:lport > raddr:rport         SENT RETRANS RATIO% RTO FAST SLOW TLP SYN",
        "10.77.0.2:8081 > 10.77.0.1:45704    50       1   2.00   1    .    .   .   .",
        "10.77.0.2:8082 > 10.77.0.1:45704    50       1   2.00   1    .    .   .   .",
        "total                              100       2   2.00   2    .    .   .   .",
        "0 everywhere, not shown: SYNACK OTHER DSACK FAILED (-w shows all)",
        "",
    ]


def test_a_wide_table_has_a_line_for_each_row_whatever_the_terminal_has() -> None:
    """That is what -w asks for: what is too long is left to the terminal."""
    key = connection("2001:db8:1234:5678:9abc:def0:1234:a", 40000, "2001:db8::2", 443)
    sink = partial(BY_CONNECTION, size=lambda: (80, 24), wide=True)
    first, second, _ = shown(sink, print_of(snapshot({key: ONE}))).splitlines()

    assert first.endswith(" TLP SYN SYNACK OTHER DSACK FAILED")
    assert second.startswith("[2001:db8:1234:5678:9abc:def0:1234:a]:40000 > [2001:db8::2]:443  ")
    assert len(first) == len(second)


def test_rows_of_two_lines_that_do_not_fit_the_height_are_counted() -> None:
    """Headings and total have two as well: ten lines have room for two groups."""
    keys = [connection("10.77.0.2", port, "10.77.0.1", 45704) for port in range(1, 31)]
    sink = partial(BY_CONNECTION, size=lambda: (80, 11))
    lines = shown(sink, print_of(snapshot(dict.fromkeys(keys, FULL)))).split("\n")

    assert len(lines) == 11
    assert lines[-3] == "... and 28 more groups (--all shows them)"


def test_every_combination_of_addresses_and_ports_reads_as_what_it_is() -> None:
    """A port stands behind its address, and an arrow between the two ends."""
    key = connection("::1", 1, "10.0.0.2", 2)
    titles = {
        "laddr,lport,raddr,rport": "[::1]:1 > 10.0.0.2:2",
        "laddr,raddr": "::1 > 10.0.0.2",
        "laddr,lport,raddr": "[::1]:1 > 10.0.0.2",
        "raddr,rport,laddr,lport": "10.0.0.2:2,[::1]:1",
        "lport,raddr,rport": "1,10.0.0.2:2",
        "laddr/24,lport": "::/48,1",
        "raddr,lport": "10.0.0.2,1",
        "lport,laddr": "1,::1",
    }
    for text, title in titles.items():
        grouping = Grouping.parse(text)
        key_ = replace(key, laddr=ip_address("::")) if "/" in text else key
        [_, row, *_] = shown(
            partial(TotalsSink, grouping=grouping), print_of(snapshot({key_: ONE}))
        ).splitlines()
        assert row.startswith(f"{title}  ")


@settings(deadline=None)
@given(st.integers(23, 150))
def test_no_line_is_ever_wider_than_the_terminal(width: int) -> None:
    """However long keys and figures are: from where the widest figure fits."""
    groups = {"2001:db8:1234:5678:9abc:def0:1234:1": FULL, "10.0.0.1": {"segments_sent": 2**60}}
    sink = partial(terminal(width, 24), everything=True)
    text = shown(sink, print_of(snapshot(groups, other=ONE, losses={"socket_state": 3})))

    assert max(map(len, text.splitlines())) <= width
    assert "2001:db8:1234:5678:9abc:def0:1234:1" in text.replace("\n  ", "")


# --- through a pipe -----------------------------------------------------------------------


def test_every_line_of_a_pipe_has_the_same_number_of_words() -> None:
    """A space within a name is escaped, zeroes are figures, and remarks begin with #."""
    grouping = Grouping((*CONNECTION.fields, Field.PROCESS))
    keys = [
        replace(connection("10.0.0.1", 40000, "10.0.0.2", 443), process=Process(7, name))
        for name in (b"Web Content", b"curl")
    ]
    print_ = print_of(snapshot(dict.fromkeys(keys, ONE), losses={"socket_state": 3}))
    sink = partial(TotalsSink, grouping=grouping, timestamp=True)
    heading, *rows, total, remark, end = shown(sink, print_).splitlines()

    assert [line.split()[:7] for line in rows] == [
        ["12:34:56", "10.0.0.1:40000", ">", rf"10.0.0.2:443,7/{name}", "50", "1", "2.00"]
        for name in (r"Web\x20Content", "curl")
    ]
    assert total.split()[:5] == ["12:34:56", "total", "-", "-", "100"]
    assert heading.split()[:5] == ["TIME", "laddr:lport", ">", "raddr:rport,process", "SENT"]
    assert {len(line.split()) for line in (heading, *rows, total)} == {16}
    assert {cell for row in rows for cell in row.split()[8:]} == {"0"}
    assert (remark, end) == ("# 12:34:56 lost: socket_state 3", "")


def test_a_pipe_has_nothing_that_depends_on_a_terminal() -> None:
    """No group is left out but those without retransmissions, and no column."""
    text = shown(PIPED, print_of(snapshot({**many(300), "10.9.9.9": {"segments_sent": 1}})))

    assert text.count("\n10.0.") == 300
    assert "# 1 group without retransmissions is not shown (--all shows it)\n" in text
    assert "FAILED" in text


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
