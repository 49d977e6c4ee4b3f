"""Which format a scraper gets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST

from tcpvitals.sinks.prometheus.negotiation import choose

CLASSIC = "text/plain; version=0.0.4; charset=utf-8"
CLASSIC_1 = "text/plain; version=1.0.0; charset=utf-8; escaping="
OPENMETRICS = f"{CONTENT_TYPE_LATEST}; escaping="

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
    "q=0.6,"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", CLASSIC),
        ("*/*", CLASSIC),
        (BROWSER, CLASSIC),
        ("text/plain", CLASSIC),
        ("text/plain;version=0.0.4", CLASSIC),
        ("text/plain;version=1.0.0", f"{CLASSIC_1}underscores"),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", f"{CLASSIC_1}allow-utf-8"),
        ("application/openmetrics-text", f"{OPENMETRICS}underscores"),
        ("Application/OpenMetrics-Text; Version=1.0.0", f"{OPENMETRICS}underscores"),
        ('application/openmetrics-text; version="1.0.0"', f"{OPENMETRICS}underscores"),
        (PROMETHEUS_2, f"{OPENMETRICS}underscores"),
        (PROMETHEUS_3, f"{OPENMETRICS}allow-utf-8"),
        (PROTOBUF + PROMETHEUS_3, f"{OPENMETRICS}allow-utf-8"),
        # Weights count, and not the order; of equal ones the first.
        ("application/openmetrics-text;q=0.1,text/plain;q=0.9", CLASSIC),
        ("text/plain;q=0.1,application/openmetrics-text;q=0.9", f"{OPENMETRICS}underscores"),
        ("text/plain,application/openmetrics-text", CLASSIC),
        ("application/openmetrics-text;q=0", CLASSIC),
        ("application/openmetrics-text;q=nan,text/plain;q=0.1", CLASSIC),
        # No format of ours: the next one, or the classic one.
        ("application/openmetrics-text;version=0.0.1", CLASSIC),
        ("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", CLASSIC),
        ("application/openmetrics-text;version=abc", CLASSIC),
        ("application/openmetrics-text;escaping=dots", f"{OPENMETRICS}underscores"),
        ("application/openmetrics-text;escaping=evil\r\nX: y", f"{OPENMETRICS}underscores"),
    ],
)
def test_the_format_is_the_one_that_is_wanted_most(accept: str, content_type: str) -> None:
    chosen = choose(accept)

    assert chosen.content_type == content_type
    assert chosen.openmetrics == content_type.startswith("application/openmetrics-text")


@settings(deadline=None)
@given(st.text() | st.lists(st.sampled_from([*';,=q.01"', "version", "text/plain"])).map("".join))
def test_no_header_makes_it_stumble(accept: str) -> None:
    assert choose(accept).content_type.startswith(
        ("text/plain; ", "application/openmetrics-text; ")
    )
