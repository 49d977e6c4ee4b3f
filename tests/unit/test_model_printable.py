"""Text from outside, made safe."""

from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpvitals.model.printable import printable

ANY_CHARACTER = st.characters(codec=None, categories=None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx: worker 10.0.0.1 ÄÖÜ 日本", "nginx: worker 10.0.0.1 ÄÖÜ 日本"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\nb\tc\x7f\x9b", r"a\x0ab\x09c\x7f\x9b"),
        ("\u202eevil\u2066\u200f\u200e", r"\u202eevil\u2066\u200f\u200e"),
        ("\ud800", r"\ud800"),
        ("\u2028", r"\u2028"),
        ("\U000e0041", r"\U000e0041"),
        (b"ok \xff\xc3\xa9", "ok \\xffé"),
        (b"\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("ok \udc80\udcff", r"ok \x80\xff"),
        ("\udc7f\udd00", r"\udc7f\udd00"),
        ("", ""),
    ],
)
def test_what_a_terminal_would_obey_is_written_as_an_escape(
    text: str | bytes, expected: str
) -> None:
    """What it would draw stays as it is."""
    assert printable(text) == expected


@settings(deadline=None)
@given(st.one_of(st.text(ANY_CHARACTER), st.binary()))
def test_nothing_but_what_is_drawn_comes_out(text: str | bytes) -> None:
    """No control, format or private character, no surrogate, no separator but the space."""
    shown = printable(text)

    assert {unicodedata.category(char)[0] for char in shown if char != " "} <= set("LMNPS")
    assert shown.encode().decode() == shown
    assert printable(shown) == shown


@given(st.binary())
def test_bytes_and_what_python_makes_of_them_are_shown_alike(name: bytes) -> None:
    assert printable(os.fsdecode(name)) == printable(name)
