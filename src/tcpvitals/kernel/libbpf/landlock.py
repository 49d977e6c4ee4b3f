"""Landlock (5.13 on): the calling thread, and what it starts, gives up writing and connecting.

Documentation/userspace-api/landlock.rst.  The numbers of its calls are the same everywhere.  Needs
libc, not libbpf.
"""

from __future__ import annotations

import ctypes as c
import os
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
# linux/landlock.h
_VERSION_FLAG: Final = 1
_RULE_PATH_BENEATH: Final = 1
_WRITE_FILE: Final = 1 << 1
_TRUNCATE: Final = 1 << 14
# Executing, writing, and what makes or removes entries of folders; not reading (bits 2 and 3).
_CHANGES: Final = 0b1_1111_1111_0011
# By the version that brought them: linking from folder to folder, truncating.
_LATER_CHANGES: Final = ((2, 1 << 13), (3, _TRUNCATE))
_NET_SINCE: Final = 4
_BIND_AND_CONNECT: Final = 0b11


class _Ruleset(c.Structure):
    """As struct landlock_ruleset_attr of version 4."""

    _fields_ = (("handled_fs", c.c_uint64), ("handled_net", c.c_uint64))


class _PathBeneath(c.Structure):
    """As struct landlock_path_beneath_attr."""

    _pack_ = 1
    _fields_ = (("allowed", c.c_uint64), ("parent", c.c_int32))


def version() -> int:
    """Return the version of Landlock here.

    Raises:
        OSError: the kernel has none, or it is off or not allowed.
    """
    return _call(_CREATE_RULESET, None, 0, _VERSION_FLAG)


def forbid_changes() -> None:
    """Open no file to write but /dev/null, make, remove and execute none; no TCP bind or connect.

    Files and sockets that are open already are not affected.  Needs no_new_privs.

    Raises:
        OSError: the kernel cannot do it; nothing has changed.
    """
    here = version()
    changes = _CHANGES | sum(bit for since, bit in _LATER_CHANGES if here >= since)
    wanted = _Ruleset(changes, _BIND_AND_CONNECT if here >= _NET_SINCE else 0)
    size = c.sizeof(wanted) if here >= _NET_SINCE else c.sizeof(c.c_uint64)
    rules = _call(_CREATE_RULESET, c.byref(wanted), size, 0)
    try:
        _allow_null(rules, changes & (_WRITE_FILE | _TRUNCATE))
        _call(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _allow_null(rules: int, allowed: int) -> None:
    null = os.open(os.devnull, os.O_PATH | os.O_CLOEXEC)
    try:
        beneath = _PathBeneath(allowed, null)
        _call(_ADD_RULE, rules, _RULE_PATH_BENEATH, c.byref(beneath), 0)
    finally:
        os.close(null)


def _call(number: int, *arguments: object) -> int:
    libc = c.CDLL(None, use_errno=True)
    libc.syscall.restype = c.c_long
    words = [c.c_long(word) if isinstance(word, int) else word for word in arguments]
    result = int(libc.syscall(c.c_long(number), *words))
    if result < 0:
        code = c.get_errno()
        raise OSError(code, os.strerror(code))
    return result
