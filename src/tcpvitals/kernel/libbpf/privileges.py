"""Capabilities of the calling thread: capset(2) and prctl(2).  Needs libc, not libbpf.

All of this is the calling thread's alone; threads it starts later begin as it is then.
"""

from __future__ import annotations

import ctypes as c
import errno
import os
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

# linux/capability.h: two sets of 32 each.
_VERSION_3: Final = 0x20080522
_SETS: Final = 2
_SET_BITS: Final = 32
# linux/prctl.h
_PR_SET_KEEPCAPS: Final = 8
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4


class _Header(c.Structure):
    """As struct __user_cap_header_struct."""

    _fields_ = (("version", c.c_uint32), ("pid", c.c_int))


class _Data(c.Structure):
    """As struct __user_cap_data_struct."""

    _fields_ = (("effective", c.c_uint32), ("permitted", c.c_uint32), ("inheritable", c.c_uint32))


@cache
def _libc() -> c.CDLL:
    libc = c.CDLL(None, use_errno=True)
    libc.prctl.argtypes = (c.c_int, *(c.c_ulong,) * 4)
    return libc


def set_capabilities(keep: Collection[int]) -> None:
    """Have these effective and permitted, no others, and none inheritable and so none ambient.

    Raises:
        OSError: one of them is not permitted now.
    """
    mask = sum(1 << number for number in keep)
    data = (_Data * _SETS)()
    for at in range(_SETS):
        data[at].effective = data[at].permitted = mask >> _SET_BITS * at & 0xFFFF_FFFF
    _check(_libc().capset(c.byref(_Header(_VERSION_3, 0)), data), "capabilities")


def empty_bounding_set() -> None:
    """No program that is started from here on gains a capability; needs CAP_SETPCAP.

    Raises:
        OSError: this process may not.
    """
    for number in range(_SETS * _SET_BITS):
        if _libc().prctl(_PR_CAPBSET_DROP, number, 0, 0, 0):
            if c.get_errno() == errno.EINVAL:
                return  # the kernel has no more
            _check(-1, "bounding set")


def clear_ambient_set() -> None:
    """No program that is started from here on is given a capability.

    Raises:
        OSError: the kernel refused.
    """
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, "ambient set")


def keep_over_user_change(*, wanted: bool) -> None:
    """Whether what is permitted stays so when the user is root no longer; effective is nothing.

    Raises:
        OSError: it is locked.
    """
    _prctl(_PR_SET_KEEPCAPS, int(wanted), "keeping capabilities")


def forbid_new_privileges() -> None:
    """No setuid program gives us anything, for ever.

    Raises:
        OSError: the kernel refused.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, "no_new_privs")


def _prctl(option: int, argument: int, what: str) -> None:
    _check(_libc().prctl(option, argument, 0, 0, 0), what)


def _check(result: int, what: str) -> None:
    if result:
        code = c.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
