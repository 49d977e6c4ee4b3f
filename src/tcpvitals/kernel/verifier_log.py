"""The one line of a verifier's log that says what it had against the program.  Pure."""

from __future__ import annotations

import re
from typing import Final

# Instructions, register states, quoted source, precision backtracking and closing statistics.
_NOISE: Final = re.compile(
    r"^\s*(\d+:|;|R\d+(_\w+)?=|from \d+|(cur|old) state:|last_idx|regs=|parent|mark_|"
    r"func#|func '|processed \d+|verification time|stack depth|peak_|"
    r"(Unrecognized )?arg#|frame\d|Func#|Validating|-- )"
)
# On 7.3 a report of many lines follows the reason: explanation, source, causal path and a
# suggestion.  Its title says less than the line before it.
_REPORT: Final = "Verification failed:"
_LONGEST: Final = 200


def first_meaningful_line(log: str) -> str:
    """The last line that is not noise: the verifier stops at what it refuses.

    If there is no such line, the report's title or the last line there is; "no reason given" if
    the log is empty.
    """
    told, title, report = log.partition(_REPORT)
    reasons = [line for line in _lines(told) if not _NOISE.match(line)]
    if not reasons:
        reasons = _lines(title + report)[:1] or _lines(log) or ["no reason given"]
    return reasons[-1][:_LONGEST]


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
