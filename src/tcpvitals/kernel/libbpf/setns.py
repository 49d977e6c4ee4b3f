"""setns(2): `os.setns` came with Python 3.12 only.  Needs libc, not libbpf."""

from __future__ import annotations

import ctypes as c
import os
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_CLONE_NEWNET: Final = 0x40000000  # linux/sched.h


@cache
def _setns() -> Callable[[int, int], int]:
    function = c.CDLL(None, use_errno=True).setns
    function.argtypes = (c.c_int, c.c_int)
    return function


def join_network_namespace(fd: int) -> None:
    """Move the calling thread, and no other, into the network namespace that `fd` is open on.

    Raises:
        OSError: that is no network namespace, or this process may not (CAP_SYS_ADMIN).
    """
    if _setns()(fd, _CLONE_NEWNET):
        code = c.get_errno()
        raise OSError(code, f"joining a network namespace: {os.strerror(code)}")
