"""A ring buffer's reading end."""

from __future__ import annotations

import ctypes as c
from typing import TYPE_CHECKING, Final

from tcpvitals.kernel.libbpf.abi import RING_CALLBACK, checked, library, not_null

if TYPE_CHECKING:
    from tcpvitals.kernel.libbpf.objects import Map

_ENOUGH: Final = -1


class Ring:
    """The records of a ring buffer, in the order in which they were reserved."""

    def __init__(self, ring: Map) -> None:
        """Map a loaded ring buffer.

        Raises:
            OSError: the kernel refused.
        """
        self._records: list[bytes] = []
        self._most = 0
        # Kept here for as long as libbpf may call it.
        self._callback = RING_CALLBACK(self._take)
        pointer = library().ring_buffer__new(ring.fd, self._callback, None, None)
        self._pointer = not_null(pointer, ring.name)

    @property
    def fd(self) -> int:
        """Readable when there are records; owned by the ring."""
        return checked(library().ring_buffer__epoll_fd(self._pointer), "ring buffer")

    def _take(self, _context: int, record: int, size: int) -> int:
        self._records.append(c.string_at(record, size))
        return _ENOUGH if len(self._records) >= self._most else 0

    def consume(self, most: int) -> list[bytes]:
        """Take out what is there, at most so many records."""
        self._records, self._most = [], most
        result = library().ring_buffer__consume(self._pointer)
        if result != _ENOUGH:
            checked(result, "ring buffer")
        return self._records

    def close(self) -> None:
        """Unmap it."""
        library().ring_buffer__free(self._pointer)
