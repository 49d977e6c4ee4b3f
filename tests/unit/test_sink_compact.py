"""The picture of many groups, and when it takes the place of full histograms."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from functools import partial
from typing import TextIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sink_madeup import distribution, first_print, snapshot, written

from tcpvitals.model.histogram import fold_log2
from tcpvitals.model.key import Field, Grouping, GroupKey
from tcpvitals.model.measurement import Measurement, Unit
from tcpvitals.sinks.compact import CompactSink
from tcpvitals.sinks.console import ConsoleSink
from tcpvitals.sinks.layout import TerminalSink, fits
from tcpvitals.sinks.sparkline import Axis

BLOCKS = " ▁▂▃▄▅▆▇█"
BY_RADDR = Grouping((Field.RADDR,))
NEAR, FAR = [300] * 8 + [700], [150_000] * 2 + [70_000]
GROUPS = {"10.0.0.1": NEAR, "192.168.100.100": FAR}

PICTURE = """\
raddr            |256us  |4ms  |33ms       p50      p99  count
10.0.0.1         █ ▁                    300 us   700 us      9
192.168.100.100                  ▄ █    150 ms   150 ms      3

"""


def terminal(columns: int, lines: int) -> partial[CompactSink]:
    """Return a sink by remote address for a terminal of this size."""
    return partial(CompactSink, grouping=BY_RADDR, size=lambda: (columns, lines))


def many(groups: int) -> dict[str, list[int]]:
    """Return groups of which each is busier than the one before."""
    return {f"10.0.{group // 250}.{group % 250}": [20] * (group + 1) for group in range(groups)}


def test_rows_share_an_axis_so_that_they_compare_by_eye() -> None:
    """Two columns a power of two, ticks at the lower edges, each row against its own maximum."""
    assert written(terminal(80, 24), first_print(snapshot(GROUPS))) == PICTURE


def test_milliseconds_come_out_in_the_same_human_units() -> None:
    """The unit of the buckets does not show but in the axis and the precision."""
    sink = partial(terminal(80, 24), measurement=Measurement(unit=Unit.MS))
    lines = written(sink, first_print(snapshot({"10.0.0.1": [64_000] * 5}, unit=Unit.MS)))

    assert lines.splitlines()[0].split() == ["raddr", "|64ms", "p50", "p99", "count"]
    assert lines.splitlines()[1].split() == ["10.0.0.1", "█", "64.0", "ms", "64.0", "ms", "5"]


def test_the_whole_host_is_called_so() -> None:
    """Without a grouping there is no field to name the column after."""
    sink = partial(CompactSink, size=lambda: (80, 24), timestamp=True)
    lines = written(sink, first_print(snapshot({GroupKey(): [5]}))).splitlines()

    assert lines[0] == "12:34:56"
    assert lines[1].startswith("whole host  |4us")
    assert lines[2].startswith("whole host    ██   ")


@pytest.mark.parametrize(
    ("p99_us", "color"), [(9_000, "\x1b[32m"), (20_000, "\x1b[33m"), (150_000, "\x1b[35m")]
)
def test_the_p99_is_coloured_by_how_far_the_peer_seems(p99_us: int, color: str) -> None:
    """Green, yellow from 10 ms, magenta from 100 ms; without the colour the text is the same."""
    print_ = first_print(snapshot({"10.0.0.1": [p99_us]}))
    plain = written(terminal(80, 24), print_)
    painted = written(partial(terminal(80, 24), color=True), print_)

    assert re.findall(r"(\x1b\[\d+m)[^\x1b]*s\x1b\[0m", painted) == [color]
    assert re.sub(r"\x1b\[\d+m", "", painted) == plain


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "ascii"])
def test_a_picture_is_drawn_with_what_the_encoding_has(encoding: str) -> None:
    """An escape in the place of a block would push the rest of the row."""
    out = io.TextIOWrapper(io.BytesIO(), encoding, errors="strict")
    terminal(80, 24)(stream=out).show(first_print(snapshot(GROUPS)))
    out.seek(0)

    in_ascii = PICTURE.translate(str.maketrans("█▄▁", "@=."))
    assert out.read() == (PICTURE if encoding == "utf-8" else in_ascii)


def test_rows_that_do_not_fit_the_height_are_counted() -> None:
    """Legend, rows, the remark, a blank line and the cursor's line: ten in all."""
    lines = written(terminal(80, 10), first_print(snapshot(many(100)))).split("\n")

    assert len(lines) == 10
    assert lines[-3] == "... and 94 more groups (--all shows them)"
    assert lines[1].startswith("10.0.0.99 ")


def test_remarks_take_their_lines_from_the_rows() -> None:
    """What was lost is never scrolled away by what was found."""
    print_ = first_print(snapshot(many(100), other=[1], losses={"recursion": 2}))
    lines = written(terminal(80, 10), print_).split("\n")

    assert len(lines) == 10
    assert lines[-5] == "... and 96 more groups (--all shows them)"


@pytest.mark.parametrize(("options", "rows"), [({"top": 30}, 30), ({"everything": True}, 100)])
def test_asking_for_more_rows_than_fit_gives_them(options: dict[str, int], rows: int) -> None:
    """--top and --all are stronger than the height."""
    text = written(partial(terminal(80, 10), **options), first_print(snapshot(many(100))))

    assert text.count("\n10.0.") == rows


@settings(deadline=None)
@given(st.integers(32, 150), st.booleans())
def test_no_line_is_ever_wider_than_the_terminal(width: int, color: bool) -> None:  # noqa: FBT001
    """Neither long IPv6 addresses, nor wide distributions, nor colours push one over.

    From where the widest cell fits: an axis of 21 powers of two.
    """
    groups = {f"2001:db8:1234:5678:9abc:def0:1234:{end:x}": [1, 2**20] for end in range(1, 4)}
    print_ = first_print(snapshot(groups, losses={"recursion": 2**60}))
    text = written(partial(terminal(width, 24), color=color), print_)

    assert max(len(line) for line in re.sub(r"\x1b\[\d+m", "", text).split("\n")) <= width
    assert "2001:db8:1234:5678:9abc:def0:1234:1" in text.replace("\n  ", "")


def test_a_title_without_room_beside_the_figures_has_a_line_of_its_own() -> None:
    """Whole, so that rows can be told apart; the axis is the wider for it."""
    groups = {f"2001:db8:1234:5678:9abc:def0:1234:{end:x}": [1, 2**20] for end in (10, 11)}

    assert written(terminal(70, 24), first_print(snapshot(groups))).splitlines() == [
        "raddr",
        "  |0us  |8us  |64us |512us  |8ms  |66ms           p50      p99  count",
        "2001:db8:1234:5678:9abc:def0:1234:a",
        "   █                                      █   2.00 us   1.05 s      2",
        "2001:db8:1234:5678:9abc:def0:1234:b",
        "   █                                      █   2.00 us   1.05 s      2",
        "",
    ]


def test_colours_take_no_room() -> None:
    """As many rows are shown with them as without."""
    plain = written(terminal(60, 10), first_print(snapshot(many(100))))
    painted = written(partial(terminal(60, 10), color=True), first_print(snapshot(many(100))))

    assert re.sub(r"\x1b\[\d+m", "", painted) == plain


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1))
def test_a_sparkline_has_a_block_for_each_slot_with_samples_and_only_there(
    values: list[int],
) -> None:
    """However rare a sample is, it shows; the fullest slot has the full block."""
    buckets = distribution(values).buckets
    slots = fold_log2(buckets)
    axis = Axis.of(slots.reshape(1, -1))
    drawn = axis.sparkline(buckets, BLOCKS)

    assert [block != " " for block in drawn] == [
        count > 0 for count in slots[axis.first : axis.last + 1]
    ]
    assert drawn[slots.argmax() - axis.first] == "█"


def test_two_peaks_within_a_power_of_two_stay_two() -> None:
    """Where a slot has columns to spare, its fine buckets show: 70 ms and 120 ms are both there."""
    buckets = distribution([70_000] * 3 + [120_000] * 3).buckets
    axis = replace(Axis.of(fold_log2(buckets).reshape(1, -1)), cell=8)

    assert axis.sparkline(buckets, BLOCKS) == "█     █ "


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 4, 8]))
def test_a_sample_lights_the_columns_of_its_own_slot_only(value: int, cell: int) -> None:
    """With another sample in every other slot, its slot's columns are where they should be."""
    buckets = distribution([value, *(1 << power for power in range(27))]).buckets
    drawn = Axis(0, 26, cell).sparkline(buckets, BLOCKS)
    slot = int(fold_log2(distribution([value]).buckets).argmax())

    assert len(drawn) == 27 * cell
    assert all(drawn[at : at + cell].strip() for at in range(0, 27 * cell, cell))
    assert "█" in drawn[slot * cell : (slot + 1) * cell]


def test_full_histograms_are_shown_while_all_fit() -> None:
    """One line decides, because one line too many scrolls the first key away."""
    full = ConsoleSink(stream=io.StringIO(), grouping=BY_RADDR)
    print_ = first_print(snapshot(GROUPS))
    needed = full.text(print_).count("\n")

    assert fits(full, print_, needed + 1)
    assert not fits(full, print_, needed)


def test_a_single_group_is_always_a_full_histogram() -> None:
    """Its picture would say less than the part of it that is still on screen."""
    print_ = first_print(snapshot({GroupKey(): [10**6]}))

    assert fits(ConsoleSink(stream=io.StringIO()), print_, 5)


@pytest.mark.parametrize(("lines", "first"), [(100, "Key: 10.0.0.1"), (24, "raddr ")])
def test_the_terminals_height_chooses_the_sink(lines: int, first: str) -> None:
    """It is asked at each print, as terminals are resized."""

    def make(stream: TextIO) -> TerminalSink:
        full = ConsoleSink(stream=stream, grouping=BY_RADDR)
        return TerminalSink(full, terminal(80, lines)(stream=stream))

    assert written(make, first_print(snapshot(GROUPS))).startswith(first)
