"""Round-trip times through a pipe: a line for each group, and the order that was asked for."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from test_model_context import SMALL, with_context
from test_sink_madeup import first_print, snapshot, written

from tcpvitals.model.columns import RttColumn
from tcpvitals.model.key import Field, Grouping, GroupKey, Process
from tcpvitals.model.measurement import Measurement, Unit
from tcpvitals.sinks.rtttable import RttTableSink

BY_RADDR = partial(RttTableSink, grouping=Grouping((Field.RADDR,)))
GROUPS = {"10.0.0.1": [300, 400, 1_000], "192.168.100.100": [150_000]}
TABLE = """\
raddr            COUNT MIN_US P50_US P90_US P99_US MAX_US  AVG_US
10.0.0.1             3    300    408   1000   1000   1000 566.667
192.168.100.100      1 150000 150000 150000 150000 150000  150000

"""


def test_a_row_has_count_and_times_in_one_unit_under_headings_that_name_it() -> None:
    text = written(BY_RADDR, first_print(snapshot(GROUPS)))
    assert text == TABLE


def test_milliseconds_have_at_most_three_decimals() -> None:
    sink = partial(BY_RADDR, measurement=Measurement(unit=Unit.MS))
    print_ = first_print(snapshot({"10.0.0.1": [64_500] * 3}, unit=Unit.MS))
    heading, row, _ = written(sink, print_).splitlines()

    assert heading.split()[:3] == ["raddr", "COUNT", "MIN_MS"]
    assert row.split()[:3] == ["10.0.0.1", "3", "64.5"]


def test_every_row_has_as_many_words_as_the_headings_whatever_the_names() -> None:
    grouping = Grouping((Field.LADDR, Field.RADDR, Field.PROCESS))
    sink = partial(RttTableSink, grouping=grouping, timestamp=True)
    print_ = first_print(snapshot({GroupKey(process=Process(7, b"Web Content")): [5]}))
    heading, row, end = written(sink, print_).splitlines()

    assert heading.split()[:5] == ["TIME", "laddr", ">", "raddr,process", "COUNT"]
    assert row.split()[:5] == ["12:34:56", "unknown", ">", r"unknown,7/Web\x20Content", "1"]
    assert (len(heading.split()), end) == (len(row.split()), "")


def test_what_is_not_in_the_rows_is_a_remark() -> None:
    print_ = first_print(snapshot(GROUPS, other=[1], losses={"recursion": 2}))
    lines = written(partial(BY_RADDR, top=1), print_).splitlines()

    assert [line[:20] for line in lines[2:]] == [
        "# ... and 1 more gro",
        "# other: 1 samples p",
        "# lost: recursion 2",
        "",
    ]
    assert written(BY_RADDR, first_print(snapshot({"10.0.0.1": []}))) == "# no samples yet\n\n"


def test_beside_clean_samples_stands_what_is_known_of_all() -> None:
    """A percentile of too few is unknown."""
    heading, row, _ = written(RttTableSink, with_context([20_900, 21_100], SMALL)).splitlines()

    assert heading.split()[-3:] == ["SAMPLES", "MIN_RTT_US", "HANDSHAKE_US"]
    assert row.split() == (
        ["whole", "host", "2", "20900", "-", "-", "-", "21100", "21000", "40", "20000", "21000"]
    )


@pytest.mark.parametrize(
    ("column", "order"),
    [
        (None, "a b c"),
        ("count", "a b c"),
        ("min", "c b a"),
        ("p50", "c b a"),
        ("p99", "c a b"),
        ("max", "c a b"),
        ("avg", "c a b"),
    ],
)
def test_the_group_with_the_most_of_the_column_asked_for_comes_first(
    column: str | None, order: str
) -> None:
    groups = {1: [10] * 4 + [500], 2: [20] * 3, 3: [1000]}
    print_ = first_print(snapshot({GroupKey(netns=inode): each for inode, each in groups.items()}))
    print_ = replace(print_, sort=RttColumn(column) if column else None)

    assert " ".join("abc"[row] for row in print_.rows()) == order
