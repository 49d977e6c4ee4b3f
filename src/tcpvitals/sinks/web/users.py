"""Basic auth: compares passwords with bcrypt hashes without letting guessers occupy the processor.

A comparison takes tens of milliseconds by design, or a second.  So one thread makes them, one after
the other, in an order that is fair to networks; a right password is remembered for as long as its
hash is in the web config; and a client that asks for many at once is answered 429.

What an answer takes does not depend on which users there are: every wrong password costs as much as
one compared with the dearest hash.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from tcpvitals.sinks.web.bcrypthash import PASSWORD_BYTES, Hash, decoy
from tcpvitals.sinks.web.fairqueue import FairQueue, origin

if TYPE_CHECKING:
    from collections.abc import Mapping

# Waiting comparisons of one host, and of all.
_WAITING_EACH: Final = 4
_WAITING_ALL: Final = 32


class Verdict(Enum):
    """The answer to a name and a password."""

    RIGHT = "right"
    WRONG = "wrong"
    BUSY = "busy"


class Credentials(NamedTuple):
    """What a client says it is."""

    name: bytes
    password: bytes


def read_credentials(header: str) -> Credentials | None:
    """Read an Authorization header (RFC 7617); None if it is not Basic."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        plain = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    name, colon, password = plain.partition(b":")
    return Credentials(name, password) if colon else None


@dataclass(frozen=True, slots=True, eq=False)
class _Check:
    """A password to be compared: `known` is the user's hash, None without such a user."""

    user: str
    password: bytes
    known: Hash | None
    dearest: int
    verdict: asyncio.Future[Verdict] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def answer(self, verdict: Verdict) -> None:
        """Answer, unless the one that asked was cancelled."""
        if not self.verdict.done():
            self.verdict.set_result(verdict)

    def compare(self) -> bool:
        """Compare; if it fails, at the cost of the dearest hash, whatever this user's is.

        Twice the cost of a hash is the cost of the next one: those from `known` to the one before
        the dearest, and `known` itself, make up the dearest.
        """
        if self.known is None:
            decoy(self.dearest).matches(self.password)
            return False
        if self.known.matches(self.password):
            return True
        for cost in range(self.known.cost, self.dearest):
            decoy(cost).matches(self.password)
        return False


class PasswordChecks:
    """Compares passwords in a thread of its own, which begins with the first one."""

    def __init__(self) -> None:
        """Begin with nothing remembered."""
        self._secret = os.urandom(32)
        self._users: Mapping[str, Hash] = {}
        # By user, the keyed hash of the password that was right; never the password.
        self._right: dict[str, bytes] = {}
        self._queue: FairQueue[_Check] = FairQueue(_WAITING_ALL, _WAITING_EACH)
        self._is_comparing = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="passwords")

    async def check(self, users: Mapping[str, Hash], claimed: Credentials, client: str) -> Verdict:
        """Return whether a password is that of a user, for a `client` known by its address."""
        self._forget_changed(users)
        user = claimed.name.decode("utf-8", "replace")
        dearest = max(known.cost for known in users.values())
        check = _Check(user, claimed.password[:PASSWORD_BYTES], users.get(user), dearest)
        if self._is_remembered(check):
            return Verdict.RIGHT
        refused = self._queue.put(origin(client), check)
        if refused is not None:
            refused.answer(Verdict.BUSY)
        self._compare_next()
        return await check.verdict

    def close(self) -> None:
        """Drop what waits; the comparison that runs comes to its end by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _compare_next(self) -> None:
        """Begin the comparison whose turn it is, unless one runs."""
        while not self._is_comparing and len(self._queue):
            check = self._queue.take()
            if self._is_remembered(check):  # by one that was compared meanwhile
                check.answer(Verdict.RIGHT)
                continue
            self._is_comparing = True
            loop = asyncio.get_running_loop()
            compared = loop.run_in_executor(self._thread, check.compare)
            compared.add_done_callback(lambda done, check=check: self._compared(check, done))  # type: ignore[misc]

    def _compared(self, check: _Check, done: asyncio.Future[bool]) -> None:
        self._is_comparing = False
        if done.cancelled():
            return  # the server ends
        if done.exception() is None and done.result():
            self._right[check.user] = self._digest(check)
            check.answer(Verdict.RIGHT)
        else:
            check.answer(Verdict.WRONG)
        self._compare_next()

    def _forget_changed(self, users: Mapping[str, Hash]) -> None:
        if users is not self._users:
            kept = {user for user in self._right if users.get(user) == self._users.get(user)}
            self._right = {user: self._right[user] for user in kept}
            self._users = users

    def _is_remembered(self, check: _Check) -> bool:
        right = self._right.get(check.user)
        return right is not None and hmac.compare_digest(right, self._digest(check))

    def _digest(self, check: _Check) -> bytes:
        known = check.known.text if check.known else ""
        parts = (check.user.encode(), check.password, known.encode())
        message = b"".join(len(part).to_bytes(4) + part for part in parts)
        return hmac.digest(self._secret, message, hashlib.sha256)
