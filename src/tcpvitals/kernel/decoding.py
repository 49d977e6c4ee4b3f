"""The one error of everything in this room that decodes bytes."""

from __future__ import annotations

import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tcpvitals.errors import DecodeError
from tcpvitals.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

# What `struct`, `bytes.decode`, numpy and lookups raise for bytes that are malformed.
_MALFORMED: Final = (
    struct.error,
    LookupError,
    ValueError,
    TypeError,
    OverflowError,
    RecursionError,
    MemoryError,
)


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Decode in this block.

    Args:
        what: the bytes, as the error names them.

    Raises:
        DecodeError: they are malformed.
    """
    try:
        yield
    except _MALFORMED as error:
        why = printable(str(error) or type(error).__name__)
        message = f"cannot decode {what}: {why}; install tcpvitals again"
        raise DecodeError(message) from error
