"""What `rtt`, `retrans` and `states` have in common: what bad options, hosts and outputs do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from test_commands_madeup import MadeUpRtt, MadeUpSockets, Step, made_up_host
from test_kernel_madeup import host, no
from test_sink_madeup_events import CHANGED, RESENT

from tcpvitals.commands.main import dispatch
from tcpvitals.errors import HookError, OutputError, PrivilegeError, TcpvitalsError
from tcpvitals.kernel import probe
from tcpvitals.kernel.facts import Question

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = pytest.mark.parametrize(
    "words", [("rtt",), ("retrans", "-c", "-i", "0.01"), ("retrans",), ("states",)]
)


@pytest.fixture(autouse=True)
def _made_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let something of every kind happen, and then a signal end it."""
    with made_up_host(monkeypatch):
        end = {1: signal.SIGINT}
        MadeUpRtt.signals = MadeUpSockets.signals = end
        MadeUpSockets.script = Step((RESENT, CHANGED)), Step(signal=signal.SIGINT)
        yield


def opened() -> list[MadeUpRtt | MadeUpSockets]:
    """Return the sources that a command used."""
    return [*MadeUpRtt.opened, *MadeUpSockets.opened]


# --- options -----------------------------------------------------------------------------

LOADS_NOTHING = """
import sys
from tcpvitals.commands.main import dispatch
from tcpvitals.errors import UsageError
try:
    dispatch(sys.argv[1:])
except UsageError:
    loaded = {"numpy", "ctypes", "tcpvitals.kernel.libbpf", "tcpvitals.kernel.probe"}
    print(sorted(loaded & set(sys.modules)))
"""


@pytest.mark.parametrize(
    "words",
    [
        ("rtt", "-i", "0"),
        ("rtt", "-4", "-6"),
        ("rtt", "--by", "nosuch"),
        ("rtt", "--netns", "no_such_name"),
        ("retrans", "--delta"),
        ("retrans", "--by", "nosuch"),
        ("retrans", "--netns", "no_such_name"),
        ("states", "--buffer", "3"),
        ("states", "--netns", "no_such_name"),
    ],
)
def test_nothing_is_loaded_for_bad_options(words: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", LOADS_NOTHING, *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@COMMANDS
def test_a_namespace_becomes_its_inode(words: tuple[str, ...]) -> None:
    inode = Path("/proc/self/ns/net").stat().st_ino
    assert dispatch([*words, "--netns", "/proc/self/ns/net"]) == 0
    assert [one.request.selection.netns_inode for one in opened()] == [inode]


# --- the host ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "lacks", "error"),
    [
        (("rtt",), Question.PRIVILEGES, PrivilegeError),
        (("rtt", "--attach", "fentry"), Question.FENTRY, HookError),
        (("retrans", "-c"), Question.PRIVILEGES, PrivilegeError),
        (("retrans", "-c"), Question.SYNACK, HookError),
        (("retrans",), Question.PRIVILEGES, PrivilegeError),
        (("retrans",), Question.SYNACK, HookError),
        (("states",), Question.PRIVILEGES, PrivilegeError),
    ],
)
def test_what_the_host_lacks_ends_it_before_anything_is_loaded_or_printed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    lacks: Question,
    error: type[TcpvitalsError],
) -> None:
    monkeypatch.setattr(probe, "collect_facts", lambda: host((lacks, no(lacks))))
    with pytest.raises(error):
        dispatch(words)
    assert opened() == []
    assert capsys.readouterr().out == ""


# --- the output --------------------------------------------------------------------------


@COMMANDS
def test_a_full_disk_ends_it_with_an_error_of_its_own(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    full = Path("/dev/full").open("w")  # noqa: SIM115 - closing it would fail as writing does
    monkeypatch.setattr(sys, "stdout", full)
    with pytest.raises(OutputError) as raised:
        dispatch(words)
    assert raised.value.exit_code == 4
    assert str(raised.value) == "cannot write the output: No space left on device"
    assert [one.closed for one in opened()] == [True]
    with pytest.raises(OSError, match="No space left on device"):
        full.close()


@COMMANDS
@pytest.mark.parametrize("how", [(), ("--json",)])
def test_a_reader_that_leaves_ends_it_quietly(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], how: tuple[str, ...]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    pipe = open(writer, "w")  # noqa: SIM115, PTH123 - a descriptor, and closing it would fail
    monkeypatch.setattr(sys, "stdout", pipe)
    with pytest.raises(BrokenPipeError):
        dispatch([*words, *how])
    assert [one.closed for one in opened()] == [True]
    with pytest.raises(BrokenPipeError):
        pipe.close()


@COMMANDS
def test_a_closed_standard_output_is_found_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OutputError, match="standard output is closed"):
        dispatch(words)
    assert opened() == []
