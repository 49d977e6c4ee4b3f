"""Our own writer writes what the library writes, byte by byte."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import exposition as classic
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_madeup import CLASSIC, OPENMETRICS, edges, full, many, options

from tcpvitals.model.key import Grouping
from tcpvitals.sinks.prometheus import Exposition
from tcpvitals.sinks.prometheus.labels import Labels
from tcpvitals.sinks.prometheus.table import Family, Line, Table
from tcpvitals.sinks.prometheus.text import chunks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

    from tcpvitals.model.vitals import VitalsSnapshot

VALUES = ('%"1', "\\n", "rto")
FAMILIES = (
    Family("a_bytes", "counter", "A counter.", "bytes"),
    Family("b", "gauge", "A gauge."),
    Family("c", "info", "Names."),
    Family("d", "counter", "By cause.", lines=tuple(Line("_total", "le", x) for x in VALUES)),
    Family(
        "e_seconds",
        "histogram",
        "Times.",
        "seconds",
        (Line("_bucket", "le", "+Inf"), Line("_count")),
    ),
)
NAMES = st.sampled_from(["cgroup", "local", "netns", "remote", "role"])
LABELS = st.dictionaries(NAMES, st.text(max_size=6)).map(lambda pairs: Labels.of(pairs.items()))
# No figure of ours is -0.0.
NUMBERS = st.one_of(
    st.integers(0, 2**64 - 1).map(float),
    st.floats(allow_nan=False).map(lambda number: number + 0.0),
)


@dataclass(frozen=True)
class Collected:
    """What the library collects."""

    metrics: list[Metric]

    def collect(self) -> Iterable[Metric]:
        """Return it."""
        return self.metrics


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Draw a table of one of the families."""
    family = draw(st.sampled_from(FAMILIES))
    labels = draw(st.lists(LABELS, max_size=4))
    row = st.lists(NUMBERS, min_size=len(family.each()), max_size=len(family.each()))
    values = [draw(row) for _ in labels]
    return Table(family, labels, np.array(values, np.float64).reshape(-1, len(family.each())))


@settings(deadline=None, max_examples=60)
@given(st.lists(tables(), max_size=4))
def test_any_table_is_written_as_the_library_writes_it(drawn: list[Table]) -> None:
    collected = Collected([table.metric() for table in drawn])

    written = "".join(chunks(drawn, openmetrics=False))
    assert written.encode() == classic.generate_latest(collected)
    written = "".join((*chunks(drawn, openmetrics=True), "# EOF\n"))
    assert written.encode() == openmetrics.generate_latest(collected)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("snapshot", [full(), many(20)], ids=["small", "large"])
@pytest.mark.parametrize(
    "by", ["", "netns", "scope,role,service,raddr/24/48,netns", "process,cgroup,laddr"]
)
def test_a_whole_exposition_is_what_the_library_makes_of_it(
    snapshot: VitalsSnapshot, by: str
) -> None:
    exposition = Exposition(options(Grouping.parse(by), edges=edges(0.001, 0.1)))
    exposition.show(snapshot)
    exposition.render(CLASSIC, gzip=False)
    exposition.show(snapshot)

    _, ours = exposition.render(CLASSIC, gzip=False)
    _, ours_openmetrics = exposition.render(OPENMETRICS, gzip=False)

    collected = Collected(list(exposition.collect()))
    assert ours == classic.generate_latest(collected)
    assert ours_openmetrics == openmetrics.generate_latest(collected)  # type: ignore[no-untyped-call]
