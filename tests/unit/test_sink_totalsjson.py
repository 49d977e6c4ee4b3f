"""`--json` of totals, byte for byte."""

from __future__ import annotations

import io
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from test_model_totals import delta_print, print_of, snapshot

from tcpvitals.model.key import Field, Grouping, GroupKey, Process
from tcpvitals.model.names import Names
from tcpvitals.sinks.totalsjson import TotalsJsonSink

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcpvitals.model.totals_report import TotalsPrint

BY_RADDR = partial(TotalsJsonSink, grouping=Grouping((Field.RADDR,)))
FULL = {
    "segments_sent": 1000,
    "bytes_sent": 1_448_000,
    "segments_retransmitted": 37,
    "bytes_retransmitted": 40_000,
    "rto": 10,
    "fast": 9,
    "slow-start": 4,
    "tlp": 3,
    "syn": 2,
    "synack": 1,
    "segments_unnecessary": 6,
    "segments_failed": 5,
    "segments_control": 3,
    "attempts_put_off": 7,
    "timeouts_last": 8,
}
ONE = {"segments_sent": 50, "segments_retransmitted": 1, "rto": 1}


def shown(sink: Callable[..., Any], print_: TotalsPrint) -> str:
    """Return what is written for one print."""
    stream = io.StringIO()
    sink(stream=stream).show(print_)
    return stream.getvalue()


def objects(sink: Callable[..., Any], print_: TotalsPrint) -> list[dict[str, Any]]:
    """Return the objects that are written for one print."""
    return [json.loads(line) for line in shown(sink, print_).splitlines()]


def test_a_line_has_every_field_in_its_order() -> None:
    """The whole line is the contract."""
    print_ = print_of(snapshot({"10.0.0.1": FULL}, losses={"socket_state": 3}))

    assert shown(BY_RADDR, print_) == (
        '{"type":"totals","time":"2024-05-06T12:34:56.789Z","interval_s":10.0,'
        '"key":{"raddr":"10.0.0.1"},"sent":1000,"bytes_sent":1448000,"retransmitted":37,'
        '"bytes_retransmitted":40000,"ratio":0.036889,"causes":{"rto":10,"fast":9,"slow-start":4,'
        '"tlp":3,"syn":2,"synack":1,"other":0},"unnecessary":6,"failed":5,"unattributed":3,'
        '"put_off":7,"control":3,"gave_up":8,"dropped":{"socket_state":3}}\n'
    )


def test_failures_that_the_kernel_does_not_tell_of_are_what_is_left() -> None:
    """Nothing is unattributed then."""
    (line,) = objects(BY_RADDR, print_of(snapshot({"10.0.0.1": FULL}), shows_errors=False))

    assert (line["failed"], line["unattributed"]) == (8, 0)


def test_groups_come_the_worst_first_and_then_those_that_have_no_line() -> None:
    """Only the latter have the field `group`."""
    groups = {"10.0.0.1": ONE, "10.0.0.2": FULL, "10.0.0.3": {}}
    print_ = print_of(snapshot(groups, other={"bytes_sent": 4}, retired={"segments_sent": 5}))
    lines = objects(BY_RADDR, print_)

    assert [(line["key"], line.get("group"), line["sent"]) for line in lines] == [
        ({"raddr": "10.0.0.2"}, None, 1000),
        ({"raddr": "10.0.0.1"}, None, 50),
        ({}, "other", 0),
        ({}, "retired", 5),
    ]
    assert [line["key"] for line in objects(partial(BY_RADDR, top=1), print_)] == [
        {"raddr": "10.0.0.2"},
        {},
        {},
    ]


def test_a_print_without_groups_is_one_line_of_zeroes() -> None:
    """A reader sees that the program is alive, and what was lost all the same."""
    nothing = print_of(snapshot({}, losses={"socket_state": 9}))
    (grouped,) = objects(BY_RADDR, nothing)
    (host,) = objects(TotalsJsonSink, nothing)

    assert (grouped["key"], grouped["group"]) == ({}, "other")
    assert (host["key"], host.get("group")) == ({}, None)
    assert [(line["sent"], line["ratio"], line["dropped"]) for line in (grouped, host)] == [
        (0, None, {"socket_state": 9}),
        (0, None, {"socket_state": 9}),
    ]


def test_a_whole_host_below_the_least_ratio_is_not_called_idle() -> None:
    """There is only one group, and it did send."""
    (line,) = objects(TotalsJsonSink, print_of(snapshot({GroupKey(): ONE}), min_ratio=0.5))

    assert (line["key"], line["sent"], line["ratio"]) == ({}, 50, 0.02)


def test_a_delta_has_the_figures_and_losses_of_its_interval() -> None:
    """And no line of a group that did nothing in it."""
    earlier = snapshot({"10.0.0.1": ONE, "10.0.0.2": ONE}, losses={"socket_state": 2})
    later = snapshot({"10.0.0.1": ONE, "10.0.0.2": FULL}, seconds=12, losses={"socket_state": 5})
    (line,) = objects(BY_RADDR, delta_print(earlier, later))

    assert (line["key"], line["interval_s"], line["sent"], line["dropped"]) == (
        {"raddr": "10.0.0.2"},
        2.0,
        950,
        {"socket_state": 3},
    )


@settings(deadline=None)
@given(st.binary(max_size=15), st.text(), st.text())
def test_every_line_stays_one_of_plain_ascii(comm: bytes, netns: str, cgroup: str) -> None:
    """Whatever processes, namespaces and cgroups are called; and decoded it is safe to show."""
    grouping = Grouping((Field.PROCESS, Field.NETNS, Field.CGROUP))
    key = GroupKey(process=Process(1, comm), netns=7, cgroup=8)
    print_ = print_of(snapshot({key: ONE}), names=Names({7: netns}, {8: cgroup}))
    text = shown(partial(TotalsJsonSink, grouping=grouping), print_)

    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    assert all(value.isprintable() for value in json.loads(text)["key"].values())
