"""malloc(3)'s settings.  Needs libc, not libbpf."""

from __future__ import annotations

import ctypes as c
from typing import Final

# malloc.h
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_BYTES: Final = 128 * 1024


def give_memory_back() -> None:
    """Have what is freed go back to the kernel, as malloc does at first, and ever after.

    As soon as a bigger block was freed, malloc keeps all of that size for the next one: for ever,
    in a process that works for some milliseconds every few seconds.  Other libraries than glibc
    have no such settings, and need none.
    """
    mallopt = getattr(c.CDLL(None), "mallopt", None)
    if mallopt:
        for setting in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
            mallopt(setting, _BYTES)
