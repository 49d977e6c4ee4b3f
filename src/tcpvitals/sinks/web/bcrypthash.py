"""bcrypt hashes of the web config: which of them can be checked, and what a check costs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

LOWEST_COST: Final = 4
# One check at this cost takes 5 s, half of what a request has.
HIGHEST_COST: Final = 16
# bcrypt reads no more, and Go's gives the same answer whatever follows.
PASSWORD_BYTES: Final = 72
# Of the last letter of the salt only two bits count, of the last letter of the hash four.
_SYNTAX: Final = re.compile(r"\$2[aby]\$([0-9]{2})\$([./A-Za-z0-9]{22})([./A-Za-z0-9]{31})")
_LAST_OF_HASH: Final = frozenset(".CGKOSWaeimquy26")


class HashError(Exception):
    """The hash can never be checked; the text says why and does not show it."""


@dataclass(frozen=True, slots=True)
class Hash:
    """A hash that bcrypt accepts, as it is written."""

    text: str
    cost: int

    def matches(self, password: bytes) -> bool:
        """Compare; takes as long as its cost demands, without the interpreter's lock."""
        import bcrypt  # noqa: PLC0415 needed only where there are users

        return bcrypt.checkpw(password[:PASSWORD_BYTES], self.text.encode())


def read_hash(text: str) -> Hash:
    """Read a hash, and try its salt at the lowest cost.

    Raises:
        HashError: it is not a bcrypt hash, costs too much, or bcrypt refuses it.
    """
    match = _SYNTAX.fullmatch(text)
    if match is None:
        message = "not a bcrypt hash; `htpasswd -nBC 10 NAME` makes one"
        raise HashError(message)
    cost, salt, rest = int(match[1]), match[2], match[3]
    if not LOWEST_COST <= cost <= HIGHEST_COST:
        message = (
            f"a bcrypt hash of cost {match[1]}; {LOWEST_COST} to {HIGHEST_COST} can be checked"
            " in the time a request has"
        )
        raise HashError(message)
    if rest[-1] not in _LAST_OF_HASH or not _is_salt(salt):
        message = "a bcrypt hash that no password matches: its salt or its end was altered"
        raise HashError(message)
    return Hash(text, cost)


def decoy(cost: int) -> Hash:
    """Return a hash that no password has, at this cost."""
    return Hash(f"$2b${cost:02}${'.' * 53}", cost)


def _is_salt(salt: str) -> bool:
    import bcrypt  # noqa: PLC0415 needed only where there are users

    try:
        bcrypt.hashpw(b"", f"$2b${LOWEST_COST:02}${salt}".encode())
    except ValueError:
        return False
    return True
