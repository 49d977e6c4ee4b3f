"""Standard output, and what it can show."""

from __future__ import annotations

import codecs
import os
import pty
import subprocess
import sys

import pytest

ENCODING = "from tcpvitals.commands.output import escaping_output as o; print(o().encoding)"
C, UTF8 = "C", "C.UTF-8"


def on_a_terminal(locale: dict[str, str]) -> str:
    """Return the encoding of standard output on a terminal with this locale."""
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name[:2] not in {"LC", "LA"}}
    command = [sys.executable, "-c", ENCODING]
    with os.fdopen(ours, "rb") as terminal:
        subprocess.run(command, check=True, stdout=theirs, env=kept | locale)
        found = terminal.readline().decode().strip()
        os.close(theirs)
    return found


@pytest.mark.parametrize(
    ("locale", "encoding"),
    [
        ({"LC_ALL": C}, "ascii"),
        ({"LC_ALL": "POSIX", "LANG": UTF8}, "ascii"),
        ({"LANG": C}, "ascii"),
        ({}, "utf-8"),
        ({"LANG": UTF8}, "utf-8"),
        ({"LC_ALL": UTF8, "LANG": C}, "utf-8"),
        ({"PYTHONIOENCODING": "iso-8859-1"}, "iso-8859-1"),
    ],
)
def test_a_terminal_of_the_locale_c_gets_ascii_if_that_was_asked_for(
    locale: dict[str, str], encoding: str
) -> None:
    assert codecs.lookup(on_a_terminal(locale)).name == codecs.lookup(encoding).name


def test_a_pipe_has_the_encoding_that_it_has() -> None:
    command = [sys.executable, "-c", ENCODING]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={"LC_ALL": C})
    assert done.stdout == "utf-8\n"
