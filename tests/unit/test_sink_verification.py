"""What `--verify` found, byte for byte."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from tcpvitals.model.names import Names
from tcpvitals.model.totals import FIELDS, Totals
from tcpvitals.model.verification import Comparison, Gone, NamespaceReport, Verification
from tcpvitals.sinks.verification import VerificationConsoleSink, VerificationJsonSink

if TYPE_CHECKING:
    from tcpvitals.model.verification import Status

NOON = datetime(2024, 5, 6, 12, 34, 56, 789_000, tzinfo=UTC)
NAMES = Names(netns={1: "host", 2: "blue\x1b[31m"})


def comparison(counter: str, ours: int, kernel: int, explanation: str | None = None) -> Comparison:
    """Return a comparison whose status follows from the rest."""
    status: Status = "equal" if ours == kernel else "explained" if explanation else "unexplained"
    allowed = 5 if status == "explained" else 0
    return Comparison(counter, ours, kernel, ours - kernel, explanation, status, allowed)


def gone(namespaces: int, retransmitted: int) -> Gone:
    """Return so many namespaces that are gone."""
    values = [retransmitted if name == "segments_retransmitted" else 0 for name in FIELDS]
    return Gone(namespaces, Totals(np.array(values, np.uint64)))


NONE, MANY = gone(0, 0), gone(16_600, 3162)


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
)

TEXT = """\
Network namespace: host
COUNTER                     OURS       KERNEL DIFFERENCE
RetransSegs                  319          319          0
TCPTimeouts                   10           12         -2  2 connections given up (2 of 5 allowed)
TCPSlowStartRetrans   1234567890   1234567887         +3  UNEXPLAINED (3 of 0 allowed)

Network namespace: blue\\x1b[31m
COUNTER                     OURS       KERNEL DIFFERENCE
RetransSegs                    4            4          0

16600 network namespaces gone, not verified: we counted 3162 segments retransmitted there

1 network namespace without a process: identity unknown here, not verified

"""

LINES = """\
{"type":"verify","time":"2024-05-06T12:34:56.789Z","netns":"host","counters":{
"RetransSegs":{"ours":319,"kernel":319,"difference":0,"allowed":0,"explanation":null,
"explained":true},
"TCPTimeouts":{"ours":10,"kernel":12,"difference":-2,"allowed":5,
"explanation":"2 connections given up","explained":true},
"TCPSlowStartRetrans":{"ours":1234567890,"kernel":1234567887,"difference":3,"allowed":0,
"explanation":null,"explained":false}},"explained":false}

{"type":"verify","time":"2024-05-06T12:34:56.789Z","netns":"blue\\\\x1b[31m","counters":{
"RetransSegs":{"ours":4,"kernel":4,"difference":0,"allowed":0,"explanation":null,
"explained":true}},"explained":true}

{"type":"not_verified","time":"2024-05-06T12:34:56.789Z","gone":16600,
"gone_retransmitted":3162,"unknown":1}
"""


def text(*reports: NamespaceReport, unknown: tuple[int, ...] = (), gone: Gone = NONE) -> str:
    """Return what the console is told."""
    stream = io.StringIO()
    found = Verification(reports, unknown, gone)
    VerificationConsoleSink(stream=stream).show(found, NOON, NAMES)
    return stream.getvalue()


def lines(*reports: NamespaceReport, unknown: tuple[int, ...] = (), gone: Gone = NONE) -> list[str]:
    """Return the lines of JSON."""
    stream = io.StringIO()
    VerificationJsonSink(stream=stream).show(Verification(reports, unknown, gone), NOON, NAMES)
    return stream.getvalue().splitlines()


def test_a_block_has_each_counter_and_what_explains_its_difference() -> None:
    assert text(*REPORTS, unknown=(4,), gone=MANY) == TEXT


FOLDED = """\
Network namespace: host
COUNTER                     OURS       KERNEL DIFFERENCE
RetransSegs                  319          319          0
TCPTimeouts                   10           12         -2
    moved while reading: 1 of at most 3; runs that the kernel skipped: at most
    40 (2 of 5 allowed)
TCPLossProbes                  7            6         +1  short (1 of 5 allowed)

16600 network namespaces gone, not verified: we counted 3162 segments
  retransmitted there

"""


def test_on_a_terminal_nothing_is_broken_within_a_word() -> None:
    """What is said of a difference stands below its row where it does not fit behind it."""
    why = "moved while reading: 1 of at most 3; runs that the kernel skipped: at most 40"
    report = NamespaceReport(
        1,
        (
            comparison("RetransSegs", 319, 319),
            comparison("TCPTimeouts", 10, 12, why),
            comparison("TCPLossProbes", 7, 6, "short"),
        ),
    )
    stream = io.StringIO()
    sink = VerificationConsoleSink(stream=stream, size=lambda: (80, 24))
    sink.show(Verification((report,), (), MANY), NOON, NAMES)
    assert stream.getvalue() == FOLDED


def test_when_nothing_was_counted_anywhere_it_says_so() -> None:
    assert text(REPORTS[2]) == (
        "Neither we nor the kernel counted anything in any network namespace\n\n"
    )


def test_a_line_has_every_field_in_its_order_and_idle_namespaces_have_none() -> None:
    """Here an empty line stands between two lines, which are broken."""
    found = lines(*REPORTS, unknown=(4,), gone=MANY)
    assert found == [line.replace("\n", "") for line in LINES.split("\n\n")]


def test_a_name_in_json_is_escaped_as_everywhere() -> None:
    assert json.loads(lines(REPORTS[1])[0])["netns"] == r"blue\x1b[31m"


def test_nothing_counted_is_no_line() -> None:
    assert lines(REPORTS[2]) == []
