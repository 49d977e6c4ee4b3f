"""Makes text from outside (names, paths, options) safe to show and to store, in one way for all."""

from __future__ import annotations

# os.fsdecode() makes these of bytes that are not UTF-8.
_FIRST_FOREIGN_BYTE, _LAST_FOREIGN_BYTE = 0xDC80, 0xDCFF
_LAST_BYTE = 0xFF
_LAST_BASIC = 0xFFFF


def printable(text: str | bytes) -> str:
    r"""Return the text with everything that a terminal would not simply draw written as an escape.

    That is all of Unicode's "other" and "separator" categories but the space: control characters,
    the escape that starts a colour, marks that reverse the reading direction, surrogates, line
    separators.  They become `\xNN`, `\uNNNN` or `\UNNNNNNNN`.  A byte that is not UTF-8 becomes
    `\xNN`, be it a byte or what os.fsdecode() made of it.  The result can be encoded in UTF-8;
    applying it twice changes nothing more.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(ord(char)) for char in text)


def _escape(code: int) -> str:
    if _FIRST_FOREIGN_BYTE <= code <= _LAST_FOREIGN_BYTE:
        code &= _LAST_BYTE
    if code <= _LAST_BYTE:
        return f"\\x{code:02x}"
    if code <= _LAST_BASIC:
        return f"\\u{code:04x}"
    return f"\\U{code:08x}"
