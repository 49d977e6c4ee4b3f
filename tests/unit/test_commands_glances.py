"""What `serve` shows at first."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from tcpvitals.commands.glances import Glances
from tcpvitals.model.key import Grouping
from tcpvitals.model.measurement import Sample

URL = "http://127.0.0.1:2112/metrics"
REMARK = (
    "It still runs as root, and may read all of root's files, but write none, and this is long.\n"
    "--user NAME gives that up."
)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_first_lines_fit_the_terminal_and_are_whole_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch,
    is_terminal: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    written: list[str] = []
    table = Glances(
        stream,
        Grouping(),
        Sample.RTT,
        2112,
        lambda ns: datetime.fromtimestamp(ns, UTC),
        written.append,
    )
    table.announce(URL, REMARK)
    lines = "".join(written).splitlines()

    assert max(map(len, lines)) <= 80 if is_terminal else len(lines) == 4
    assert lines[:2] == [
        f"serving {URL}; Ctrl-C ends.",
        "The first figures come with the first traffic.",
    ]
    assert " ".join("".join(written).split()).endswith(f"first traffic. {' '.join(REMARK.split())}")
