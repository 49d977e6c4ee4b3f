"""The user to run as, as it is written on the command line.  Reads, and becomes nobody."""

from __future__ import annotations

import grp
import pwd
from dataclasses import dataclass
from typing import Final

from tcpvitals.errors import UsageError
from tcpvitals.model.numbers import whole_number
from tcpvitals.model.printable import printable

# The last one of 32 bits means "leave it as it is".
_LAST_ID: Final = (1 << 32) - 2


@dataclass(frozen=True, slots=True)
class User:
    """A user, and the one group that comes with it."""

    uid: int
    gid: int


def find_user(text: str) -> User:
    """Read NAME, UID, or either with :GROUP, which is a name or a number, too.

    Without a group it is the user's own, which a bare UID that nobody knows does not have.

    Raises:
        UsageError: there is no such user or group.
    """
    name, colon, group = text.partition(":")
    entry = _user_entry(name)
    uid = entry.pw_uid if entry else _number(name)
    if uid is None:
        message = f"no user '{printable(name)}': give a name, a number, or UID:GID"
        raise UsageError(message)
    if colon:
        return User(uid, _find_group(group))
    if entry is None:
        message = f"user {uid} has no entry that tells its group: give {uid}:GID"
        raise UsageError(message)
    return User(uid, entry.pw_gid)


def _user_entry(name: str) -> pwd.struct_passwd | None:
    uid = _number(name)
    try:
        return pwd.getpwnam(name) if uid is None else pwd.getpwuid(uid)
    except (KeyError, ValueError):  # ValueError: a null byte, or no UTF-8
        return None


def _find_group(name: str) -> int:
    gid = _number(name)
    if gid is not None:
        return gid
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        message = f"no group '{printable(name)}': give a name or a number"
        raise UsageError(message) from None


def _number(text: str) -> int | None:
    """The id if that is one; a name may not be all digits."""
    return whole_number(text, 0, _LAST_ID)
