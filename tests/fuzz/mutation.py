"""Inputs made of good ones by small changes; the same seed makes the same inputs.  Pure."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_MOST_CHANGES: Final = 6
_LONGEST_PIECE: Final = 64
_REPEATS: Final = (2, 3, 17, 300, 5000)
# Ends of ranges of 8, 16, 32 and 64 bits, and numbers beside powers of two.
_NUMBERS: Final = (
    0,
    1,
    3,
    4,
    7,
    8,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0xFFFFFFFF,
)
_ELEMENT: Final = re.compile(rb"[^,;\n\0]{0,63}[,;\n\0]")
_WRITTEN_NUMBER: Final = re.compile(rb"[0-9]+")
_WRITTEN_NUMBERS: Final = (
    *(
        b"-1",
        b"0",
        b"4300",
        b"65536",
        b"1e309",
        b"nan",
        b"inf",
        b"1_0",
        b"0x10",
        b"+7",
        b"\xd9\xa1",
    ),
    *(b"9" * 5001, b"0" * 5001, b"0x" + b"f" * 5001, b"1." + b"9" * 5001, b"18446744073709551616"),
)
_ANYWHERE: Final = (
    *_WRITTEN_NUMBERS,
    *(
        b"\0",
        b"\xff",
        b"\xc3",
        b"\n",
        b"\r\n",
        b"\t",
        b" ",
        b"",
        b'"',
        b"'",
        b"\\",
        b"%",
        b"\x1b[31m",
    ),
    *("\u202e".encode(), "\u2028".encode(), "\ud800".encode("utf-8", "surrogatepass")),
)


def mutations(
    seed: int, corpus: Sequence[bytes], tokens: Sequence[bytes], most_bytes: int
) -> Iterator[bytes]:
    """Make inputs without end: the good ones first, then changed ones.

    Args:
        seed: chooses the changes.
        corpus: good inputs.
        tokens: words of the input's language, put anywhere.
        most_bytes: what is longer is cut.
    """
    yield from corpus
    dice = random.Random(seed)  # noqa: S311 - the same inputs again is the point
    words = (*tokens, *_ANYWHERE, *(data[:_LONGEST_PIECE] for data in corpus))
    while True:
        data = dice.choice(corpus)
        for _ in range(dice.randint(1, _MOST_CHANGES)):
            data = dice.choice(_CHANGES)(dice, data, words)[:most_bytes]
        yield data


def _piece(dice: random.Random, data: bytes) -> tuple[int, int]:
    """Both ends of a piece, which may be empty; half of them are elements of lists, or lines."""
    found = list(_ELEMENT.finditer(data)) if dice.random() < 0.5 else []
    if found:
        return dice.choice(found).span()
    start = dice.randint(0, len(data))
    return start, min(len(data), start + dice.randint(0, _LONGEST_PIECE))


def _flip(dice: random.Random, data: bytes, _words: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]


def _overwrite(dice: random.Random, data: bytes, _words: Sequence[bytes]) -> bytes:
    """Put a number of 1, 2, 4 or 8 bytes over what is there."""
    size = dice.choice((1, 2, 4, 8))
    at = dice.randint(0, max(0, len(data) - size))
    at -= at % size if dice.random() < 0.5 else 0  # half of them aligned
    number = dice.choice(_NUMBERS) & (1 << 8 * size) - 1
    return data[:at] + number.to_bytes(size, "little") + data[at + size :]


def _insert(dice: random.Random, data: bytes, words: Sequence[bytes]) -> bytes:
    """Put a word in, as a rule once."""
    at = dice.randint(0, len(data))
    return data[:at] + dice.choice(words) * dice.choice((1, 1, 1, 1, 1, *_REPEATS)) + data[at:]


def _replace(dice: random.Random, data: bytes, words: Sequence[bytes]) -> bytes:
    start, end = _piece(dice, data)
    return data[:start] + dice.choice(words) + data[end:]


def _number(dice: random.Random, data: bytes, _words: Sequence[bytes]) -> bytes:
    """Replace a number that is written in digits."""
    found = list(_WRITTEN_NUMBER.finditer(data))
    if not found:
        return data
    chosen = dice.choice(found)
    return data[: chosen.start()] + dice.choice(_WRITTEN_NUMBERS) + data[chosen.end() :]


def _remove(dice: random.Random, data: bytes, _words: Sequence[bytes]) -> bytes:
    start, end = _piece(dice, data)
    return data[:start] + data[end:]


def _repeat(dice: random.Random, data: bytes, _words: Sequence[bytes]) -> bytes:
    start, end = _piece(dice, data)
    return data[:start] + data[start:end] * dice.choice(_REPEATS) + data[end:]


def _cut(dice: random.Random, data: bytes, _words: Sequence[bytes]) -> bytes:
    return data[: dice.randint(0, len(data))]


_CHANGES: Final[tuple[Callable[[random.Random, bytes, Sequence[bytes]], bytes], ...]] = (
    *(_flip, _overwrite, _insert, _replace, _number, _remove, _repeat, _cut),
)
