"""Names that are not UTF-8: every sink writes them in the same way, and JSON stays valid."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
from test_model_totals import print_of
from test_model_totals import snapshot as totals
from test_sink_madeup import NOON, snapshot, written
from test_sink_madeup_events import OWNER, RESENT
from test_sink_madeup_events import written as written_events
from test_sink_verification import NONE, REPORTS

from tcpvitals.kernel import cgroups
from tcpvitals.model.key import Field, Grouping, GroupKey, Process
from tcpvitals.model.names import Names
from tcpvitals.model.rtt_report import RttPrint
from tcpvitals.model.verification import Verification
from tcpvitals.sinks.console import ConsoleSink
from tcpvitals.sinks.eventjson import EventJsonSink
from tcpvitals.sinks.jsonlines import JsonLinesSink
from tcpvitals.sinks.prometheus.labels import Labels
from tcpvitals.sinks.totals import TotalsSink
from tcpvitals.sinks.totalsjson import TotalsJsonSink
from tcpvitals.sinks.verification import VerificationConsoleSink, VerificationJsonSink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Latin-1, UTF-8, a control character, and a byte that no encoding of text ends with.
RAW = b"caf\xe9 \xc3\xa9\x1b\xff"
WRITTEN = "caf\\xe9 \u00e9\\x1b\\xff"
CGROUP, NETNS = OWNER.cgroup_id, REPORTS[0].inode
GROUPING = Grouping((Field.CGROUP, Field.PROCESS))
KEY = GroupKey(cgroup=CGROUP, process=Process(1, RAW))


@pytest.fixture
def names(tmp_path: Path) -> Names:
    """Return a cgroup's path as it is found in the file system, and the same for a namespace."""
    folder = bytes(tmp_path) + b"/" + RAW
    os.mkdir(folder)  # noqa: PTH102 - no Path of bytes
    inode = os.stat(folder).st_ino  # noqa: PTH116
    path = cgroups.find({inode}, tmp_path)[inode]
    return Names({NETNS: path}, {CGROUP: path})


def rtt(sink: Callable[..., JsonLinesSink | ConsoleSink], names: Names) -> str:
    """Return a print of RTT."""
    interval = snapshot({KEY: [10]}).since_start(0)
    return written(sink, RttPrint(NOON, interval, interval, delta=False, names=names))


def retrans(sink: Callable[..., TotalsJsonSink | TotalsSink], names: Names) -> str:
    """Return a print of totals."""
    stream = io.StringIO()
    sink(stream=stream).show(print_of(totals({KEY: {"segments_retransmitted": 1}}), names=names))
    return stream.getvalue()


def verification(sink: type[VerificationJsonSink | VerificationConsoleSink], names: Names) -> str:
    """Return a print of a comparison."""
    stream = io.StringIO()
    sink(stream=stream).show(Verification(REPORTS[:1], (), NONE), NOON, names)
    return stream.getvalue()


def events(names: Names) -> str:
    """Return an event."""
    return written_events(
        EventJsonSink, replace(RESENT, owner=replace(OWNER, comm=RAW)), names=names
    )


def strings(value: object) -> list[str]:
    """Return every string in a JSON value."""
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in strings(one)]
    if isinstance(value, list):
        return [text for one in value for text in strings(one)]
    return [value] if isinstance(value, str) else []


def test_json_has_no_lone_surrogate_and_one_escape_for_each_byte(names: Names) -> None:
    lines = [
        rtt(partial(JsonLinesSink, grouping=GROUPING), names),
        retrans(partial(TotalsJsonSink, grouping=GROUPING), names),
        events(names),
        verification(VerificationJsonSink, names),
    ]
    found = [strings(json.loads(line)) for line in lines]
    assert [[text for text in texts if not text.isprintable()] for texts in found] == [[]] * 4
    assert [f"/{WRITTEN}" in texts for texts in found] == [True] * 4
    assert [f"1/{WRITTEN}" in found[0], f"1/{WRITTEN}" in found[1], WRITTEN in found[2]] == [
        True
    ] * 3


def test_text_and_metrics_have_the_same_escapes(names: Names) -> None:
    texts = [
        rtt(partial(ConsoleSink, grouping=GROUPING), names),
        retrans(partial(TotalsSink, grouping=GROUPING, size=lambda: (200, 24)), names),
        verification(VerificationConsoleSink, names),
        str(Labels.of([("path", names.cgroup(CGROUP))]).pairs[0][1]),
    ]
    assert [f"/{WRITTEN}" in text for text in texts] == [True] * 4
