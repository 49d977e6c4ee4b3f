"""Basic auth: who may come in, by bcrypt hashes, without letting guessers eat the processor.

A check takes tens of milliseconds by design.  So one thread does them, one after the other; a
right password is remembered; and one who asks for many at once is told to come back.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_REMEMBERED: Final = 100
# Waiting checks of one client, and of all: a guesser fills its own share and no more.
_WAITING_EACH: Final = 4
_WAITING_ALL: Final = 16
# bcrypt reads no more, and Go's gives the same answer whatever follows.
_PASSWORD_BYTES: Final = 72
_NETWORK_V6: Final = 64  # who has one IPv6 address has all of its network


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


class PasswordChecks:
    """Checks passwords in a thread of its own, begun with the first one."""

    def __init__(self) -> None:
        """Remember nobody yet."""
        self._secret = os.urandom(32)
        self._right: dict[bytes, None] = {}
        self._waiting: Counter[str] = Counter()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="passwords")

    async def check(self, users: Mapping[str, str], claimed: Credentials, client: str) -> Verdict:
        """Say whether a password is that of a user, for a `client` known by its address."""
        known = users.get(claimed.name.decode("utf-8", "replace"))
        digest = self._digest(claimed, known or "")
        if known is not None and digest in self._right:
            return Verdict.RIGHT
        client = _network(client)
        if self._waiting[client] >= _WAITING_EACH or self._waiting.total() >= _WAITING_ALL:
            return Verdict.BUSY
        # One that nobody has takes as long, so that time does not tell which names there are.
        same = await self._compare(claimed.password, known or _decoy(users), client)
        if known is None or not same:
            return Verdict.WRONG
        self._remember(digest)
        return Verdict.RIGHT

    def close(self) -> None:
        """Drop what waits; the check that runs comes to its end by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _compare(self, password: bytes, known: str, client: str) -> bool:
        self._waiting[client] += 1
        loop = asyncio.get_running_loop()
        check = loop.run_in_executor(self._thread, _matches, password, known)
        check.add_done_callback(lambda _check: self._done(client))
        # Whoever hangs up leaves the check in the queue, and so counted.
        return await asyncio.shield(check)

    def _done(self, client: str) -> None:
        self._waiting[client] -= 1
        if not self._waiting[client]:
            del self._waiting[client]

    def _digest(self, claimed: Credentials, known: str) -> bytes:
        parts = (claimed.name, claimed.password, known.encode())
        message = b"".join(len(part).to_bytes(4) + part for part in parts)
        return hmac.digest(self._secret, message, hashlib.sha256)

    def _remember(self, digest: bytes) -> None:
        if len(self._right) >= _REMEMBERED:
            del self._right[next(iter(self._right))]
        self._right[digest] = None


def _matches(password: bytes, known: str) -> bool:
    import bcrypt  # noqa: PLC0415 only who has users needs it

    return bcrypt.checkpw(password[:_PASSWORD_BYTES], known.encode())


def _decoy(users: Mapping[str, str]) -> str:
    """Return a hash of no password, at the cost of the dearest that there is."""
    cost = max(known.split("$")[2] for known in users.values())
    return f"$2b${cost}${'.' * 53}"


def _network(client: str) -> str:
    with suppress(ValueError):
        if ipaddress.ip_address(client).version == 6:  # noqa: PLR2004
            return str(
                ipaddress.ip_network(f"{client.partition('%')[0]}/{_NETWORK_V6}", strict=False)
            )
    return client
