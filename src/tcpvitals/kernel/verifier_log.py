"""The one line of a verifier's log that says what it had against the program.  Pure."""

from __future__ import annotations

import re
from typing import Final

# Instructions, register states, quoted source, precision backtracking and closing statistics.
_NOISE: Final = re.compile(
    r"^\s*(\d+:|;|R\d+(_\w+)?=|\d+ \||>>>|\||from \d+|last_idx|regs=|parent|func#|mark_|"
    r"processed \d+|peak_|Unrecognized arg|arg#|frame\d|Func#|Validating|\.\.\.|-- )"
)


def first_meaningful_line(log: str) -> str:
    """The last line that is not noise: the verifier stops at what it refuses.

    The whole log if there is no such line, shortened; "no reason given" if it is empty.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    told = [line for line in lines if not _NOISE.match(line)]
    telling = [line for line in told if line.startswith(("R", "invalid", "BPF", "unknown"))]
    return (telling or told or lines or ["no reason given"])[-1][:200]
