"""`--json`, byte for byte and as numbers."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING

from test_sink_madeup import first_print, second_print, snapshot, written

from tcpvitals.model.key import Field, Grouping, GroupKey, Role
from tcpvitals.model.measurement import Measurement, Sample, Unit
from tcpvitals.sinks.jsonlines import JsonLinesSink, rfc3339

if TYPE_CHECKING:
    from tcpvitals.model.rtt_report import RttPrint

BY_RADDR = Grouping((Field.RADDR,))
by_raddr = partial(JsonLinesSink, grouping=BY_RADDR)
WHOLE_HOST = GroupKey()


def objects(make_sink: partial[JsonLinesSink], print_: RttPrint) -> list[dict[str, object]]:
    """Return the objects that a sink writes."""
    return [json.loads(line) for line in written(make_sink, print_).splitlines()]


def test_a_line_has_every_field_in_its_order() -> None:
    """The whole line is the contract."""
    print_ = first_print(snapshot({"10.0.0.1": [10, 20, 300, 301]}, losses={"recursion": 3}))

    assert written(by_raddr, print_) == (
        '{"type":"rtt","time":"2024-05-06T12:34:56.789Z","interval_s":10.0,"sample":"srtt",'
        '"unit":"us","key":{"raddr":"10.0.0.1"},"count":4,"sum":631,"min":10,"max":301,'
        '"p50":21.0,"p90":300.8,"p99":301.0,"buckets":[[10,10,1],[20,20,1],[288,303,2]],'
        '"dropped":{"recursion":3}}\n'
    )


def test_milliseconds_are_numbers_with_a_fraction_over_whole_buckets() -> None:
    """The buckets count whole ms; sum, minimum and maximum never lost their microseconds."""
    print_ = first_print(snapshot({WHOLE_HOST: [180, 70_001]}, unit=Unit.MS))
    sink = partial(JsonLinesSink, measurement=Measurement(Sample.INFLATION, Unit.MS))
    (line,) = objects(sink, print_)

    assert line["unit"] == "ms"
    assert line["sample"] == "inflation"
    assert (line["sum"], line["min"], line["max"]) == (70.181, 0.18, 70.001)
    assert line["buckets"] == [[0, 0, 1], [68, 71, 1]]


def test_the_whole_host_has_an_empty_key() -> None:
    """It is never confused with an address or a name."""
    (line,) = objects(partial(JsonLinesSink), first_print(snapshot({WHOLE_HOST: [1]})))

    assert line["key"] == {}
    assert "group" not in line


def test_the_overflow_and_the_retired_say_which_they_are() -> None:
    """They come last, and only they have the field `group`."""
    print_ = first_print(snapshot({"10.0.0.1": [1]}, other=[2, 2], retired=[3]))

    assert [
        (line["key"], line.get("group"), line["sum"]) for line in objects(by_raddr, print_)
    ] == [
        ({"raddr": "10.0.0.1"}, None, 1),
        ({}, "other", 4),
        ({}, "retired", 3),
    ]


def test_a_key_has_all_its_fields_as_text_in_the_groupings_order() -> None:
    """Control characters and lone surrogates of a name are escaped, not lost."""
    grouping = Grouping((Field.ROLE, Field.RPORT, Field.NETNS))
    key = GroupKey(role=Role.SERVER, rport=0, netns=7)
    print_ = first_print(snapshot({key: [1]}), netns_names={7: "a\x1b\udcff"})
    text = written(partial(JsonLinesSink, grouping=grouping), print_)

    assert '"key":{"role":"server","rport":"0","netns":"a\\\\x1b\\\\xff"}' in text
    assert text.isascii()


def test_a_print_without_samples_is_one_line_of_count_0() -> None:
    """A reader sees that the program is alive, and what was lost all the same."""
    grouped = objects(by_raddr, first_print(snapshot({}, losses={"recursion": 9})))
    (host,) = objects(partial(JsonLinesSink), first_print(snapshot({})))
    figures = ("count", "sum", "min", "max", "p50", "p90", "p99", "buckets")

    assert [host[name] for name in figures] == [0, 0, None, None, None, None, None, []]
    assert "group" not in host
    assert [(line["group"], line["count"], line["dropped"]) for line in grouped] == [
        ("other", 0, {"recursion": 9})
    ]


def test_idle_groups_have_no_line_in_a_delta() -> None:
    """Ten thousand of them would bury the few that moved."""
    earlier = snapshot({"10.0.0.1": [5] * 9, "10.0.0.2": [5]})
    later = snapshot({"10.0.0.1": [5] * 9, "10.0.0.2": [5, 6, 7]}, seconds=12)
    lines = objects(by_raddr, second_print(earlier, later, delta=True))

    assert [(line["key"], line["count"], line["sum"]) for line in lines] == [
        ({"raddr": "10.0.0.2"}, 2, 13)
    ]
    assert lines[0]["interval_s"] == 2.0


def test_the_top_groups_alone_are_written_when_asked_for() -> None:
    """The busiest ones."""
    print_ = first_print(snapshot({f"10.0.0.{host}": [1] * host for host in range(1, 5)}))

    assert [line["key"] for line in objects(partial(by_raddr, top=2), print_)] == [
        {"raddr": "10.0.0.4"},
        {"raddr": "10.0.0.3"},
    ]


def test_times_are_rfc_3339_with_their_offset() -> None:
    """UTC is Z."""
    east = timezone(timedelta(hours=5, minutes=30))

    assert rfc3339(datetime(2024, 1, 2, 3, 4, 5, 999_999, east)) == "2024-01-02T03:04:05.999+05:30"
