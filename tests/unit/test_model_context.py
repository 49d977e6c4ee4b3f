"""model/context.py: what stands beside clean samples, and how many a percentile takes."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from test_sink_madeup import counters, distribution, first_print, snapshot, written

from tcpvitals.model.context import NO_FLOOR, Context, Contexts, least
from tcpvitals.model.measurement import Measurement, Sample
from tcpvitals.sinks.compact import CompactSink
from tcpvitals.sinks.console import ConsoleSink
from tcpvitals.sinks.jsonlines import JsonLinesSink

if TYPE_CHECKING:
    from tcpvitals.model.rtt_report import RttPrint

SMALL = Context(samples=40, handshakes=2, handshake_us=42_000, floor_us=20_000)
NETWORK = Measurement(Sample.NETWORK)


def with_context(samples_us: list[int], context: Context) -> RttPrint:
    """Return the first print of one group with clean samples, and what stands beside them."""
    made = snapshot({"10.0.0.2": samples_us})
    table = replace(made.table, contexts=context.as_columns())
    nothing = replace(made.other, context=Context())
    return first_print(replace(made, table=table, other=nothing, retired=nothing))


@pytest.mark.parametrize(("q", "count"), [(0.5, 20), (0.9, 20), (0.95, 20), (0.99, 100)])
def test_a_percentile_takes_20_samples_and_one_beyond_it(q: float, count: int) -> None:
    assert least(q) == count


def test_a_percentile_of_too_few_clean_samples_is_unknown_and_of_others_is_not() -> None:
    few, enough = [20_000] * 19, [20_000] * 20
    for samples, expected in ((few, [None, None]), (enough, [20_000, None])):
        clean = replace(distribution(samples), context=SMALL)
        assert clean.quantiles((0.5, 0.99)) == expected
    assert distribution(few).quantiles((0.5, 0.99)) == [20_000, 20_000]


def test_two_groups_have_the_sum_and_the_smaller_minimum() -> None:
    other = Context(samples=1, handshakes=1, handshake_us=30_000, floor_us=None)
    both = Context(samples=41, handshakes=3, handshake_us=72_000, floor_us=20_000)
    assert SMALL + other == both
    columns = Contexts(
        np.vstack([one.as_columns().counts for one in (SMALL, other)]),
        np.array([20_000, NO_FLOOR], np.uint64),
    )
    assert columns.total() == both
    assert [columns.row(row) for row in range(2)] == [SMALL, other]


def test_an_interval_has_its_own_counts_and_the_minimum_since_the_start() -> None:
    earlier = replace(counters({1: [20_000]}), contexts=SMALL.as_columns())
    more = SMALL + Context(samples=5, handshakes=1, handshake_us=20_500)
    later = replace(counters({1: [20_000, 20_500]}), contexts=more.as_columns())
    since = later.since(earlier, slice(None)).row(0)
    assert (since.count, since.context) == (1, Context(5, 1, 20_500, 20_000))
    assert since.taken == 5


def test_text_says_few_and_what_is_known_instead() -> None:
    text = written(ConsoleSink, with_context([20_900, 21_100], SMALL))
    assert "p50 few  p90 few  p99 few  max 21.1 ms  avg 21.0 ms  count 2\n" in text
    assert "clean 2 of 40 samples  min RTT 20.0 ms  handshake 21.0 ms (average of 2)\n" in text


def test_a_group_without_any_clean_sample_is_shown() -> None:
    nothing = replace(SMALL, handshakes=0, handshake_us=0)
    text = written(ConsoleSink, with_context([], nothing))
    assert "p50 few  p90 few  p99 few  max -  avg -  count 0\n" in text
    assert "clean 0 of 40 samples  min RTT 20.0 ms  handshake - (average of 0)\n" in text


def test_a_row_says_few_too() -> None:
    heading, row, *_ = written(
        partial(CompactSink, size=lambda: (100, 24)),
        with_context([20_900, 21_100], SMALL),
    ).splitlines()
    assert heading.split()[-5:] == ["p50", "p99", "min", "handshake", "clean"]
    assert row.split()[-7:] == ["few", "few", "20.0", "ms", "21.0", "ms", "2/40"]


def test_json_has_nulls_and_what_is_known_instead() -> None:
    sink = partial(JsonLinesSink, measurement=NETWORK)
    (line,) = map(json.loads, written(sink, with_context([20_900, 21_100], SMALL)).splitlines())
    assert [line[name] for name in ("p50", "p90", "p99")] == [None] * 3
    assert (line["count"], line["samples"], line["min_rtt"]) == (2, 40, 20_000)
    assert (line["handshakes"], line["handshake"]) == (2, 21_000)
