"""What `--verify` found, byte for byte."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tcpvitals.model.names import Names
from tcpvitals.model.verification import Comparison, NamespaceReport
from tcpvitals.sinks.verification import VerificationConsoleSink, VerificationJsonSink

if TYPE_CHECKING:
    from tcpvitals.model.verification import Status

NOON = datetime(2024, 5, 6, 12, 34, 56, 789_000, tzinfo=UTC)
NAMES = Names(netns={1: "host", 2: "blue\x1b[31m"})


def comparison(counter: str, ours: int, kernel: int, explanation: str | None = None) -> Comparison:
    """Return a comparison whose status follows from the rest."""
    status: Status = "equal" if ours == kernel else "explained" if explanation else "unexplained"
    return Comparison(counter, ours, kernel, ours - kernel, explanation, status)


REPORTS = (
    NamespaceReport(
        1,
        (
            comparison("RetransSegs", 319, 319),
            comparison("TCPTimeouts", 10, 12, "2 connections given up"),
            comparison("TCPSlowStartRetrans", 1_234_567_890, 1_234_567_887),
        ),
    ),
    NamespaceReport(2, (comparison("RetransSegs", 4, 4),)),
    NamespaceReport(3, (comparison("RetransSegs", 0, 0),)),
    NamespaceReport(4, (), gone=True),
)

TEXT = """\
Network namespace: host
COUNTER                     OURS       KERNEL DIFFERENCE
RetransSegs                  319          319          0
TCPTimeouts                   10           12         -2  2 connections given up
TCPSlowStartRetrans   1234567890   1234567887         +3  UNEXPLAINED

Network namespace: blue\\x1b[31m
COUNTER                     OURS       KERNEL DIFFERENCE
RetransSegs                    4            4          0

Network namespace: 4: gone, not verified

"""

LINES = """\
{"type":"verify","time":"2024-05-06T12:34:56.789Z","netns":"host","counters":{
"RetransSegs":{"ours":319,"kernel":319,"difference":0,"explanation":null,"explained":true},
"TCPTimeouts":{"ours":10,"kernel":12,"difference":-2,
"explanation":"2 connections given up","explained":true},
"TCPSlowStartRetrans":{"ours":1234567890,"kernel":1234567887,"difference":3,
"explanation":null,"explained":false}},"gone":false,"explained":false}

{"type":"verify","time":"2024-05-06T12:34:56.789Z","netns":"blue\\u001b[31m","counters":{
"RetransSegs":{"ours":4,"kernel":4,"difference":0,"explanation":null,"explained":true}},
"gone":false,"explained":true}

{"type":"verify","time":"2024-05-06T12:34:56.789Z","netns":"4","counters":{},
"gone":true,"explained":true}
"""


def text(*reports: NamespaceReport) -> str:
    """Return what the console is told."""
    stream = io.StringIO()
    VerificationConsoleSink(stream=stream).show(reports, NOON, NAMES)
    return stream.getvalue()


def lines(*reports: NamespaceReport) -> list[str]:
    """Return the lines of JSON."""
    stream = io.StringIO()
    VerificationJsonSink(stream=stream).show(reports, NOON, NAMES)
    return stream.getvalue().splitlines()


def test_a_block_has_each_counter_and_what_explains_its_difference() -> None:
    assert text(*REPORTS) == TEXT


def test_when_nothing_was_counted_anywhere_it_says_so() -> None:
    assert text(REPORTS[2]) == (
        "Neither we nor the kernel counted anything in any network namespace\n\n"
    )


def test_a_line_has_every_field_in_its_order_and_idle_namespaces_have_none() -> None:
    """Here an empty line stands between two lines, which are broken."""
    assert lines(*REPORTS) == [line.replace("\n", "") for line in LINES.split("\n\n")]


def test_a_name_in_json_is_what_it_was() -> None:
    assert json.loads(lines(REPORTS[1])[0])["netns"] == "blue\x1b[31m"


def test_nothing_counted_is_no_line() -> None:
    assert lines(REPORTS[2]) == []
