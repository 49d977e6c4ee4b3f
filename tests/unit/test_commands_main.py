"""The installed program from outside: exit statuses, one line of complaint, no traceback, ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tcpvitals import __version__
from tcpvitals.commands.main import dispatch
from tcpvitals.errors import UsageError

PROGRAM = (sys.executable, "-m", "tcpvitals")
COMMANDS = ("rtt", "retrans", "states", "check")
HELPS = [(name, "--help") for name in COMMANDS]
PRINTS = [("--help",), ("--version",), *HELPS, ("check",)]

# `run` with a `dispatch` of the test's own, as the installed program calls it.
INJECTED = """
import sys
from tcpvitals.commands import main
def dispatch(arguments):
    {body}
main.dispatch = dispatch
main.run()
"""


def run(
    *words: str, program: tuple[str, ...] = PROGRAM, **files: int
) -> subprocess.CompletedProcess[str]:
    """Run to the end; what is not redirected is captured."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | files
    return subprocess.run([*program, *words], check=False, text=True, **streams)  # type: ignore[no-any-return,call-overload]


def run_injected(body: str, **files: int) -> subprocess.CompletedProcess[str]:
    """Run the program with something else in place of its commands."""
    return run(program=(sys.executable, "-c", INJECTED.format(body=body)), **files)


def shell(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program as "$@" in a shell's script."""
    command = ["sh", "-c", script, "sh", *PROGRAM, *words]
    return subprocess.run(command, check=False, text=True, capture_output=True)


def one_line(text: str) -> str:
    """Return the complaint, which is a single line."""
    assert text.startswith("tcpvitals: ")
    assert text.count("\n") == 1
    assert text.endswith("\n")
    return text.removeprefix("tcpvitals: ").removesuffix("\n")


# --- which command -----------------------------------------------------------------------


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["help"]])
def test_help_names_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(words) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: tcpvitals COMMAND")
    folder = Path(__file__).parents[2] / "src/tcpvitals/commands"
    assert [name for name in COMMANDS if f"\n  {name} " not in shown] == []
    assert all((folder / f"{name}.py").exists() for name in COMMANDS)


def test_without_a_command_the_help_is_shown_and_the_status_is_that_of_bad_usage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert dispatch([]) == 2
    assert capsys.readouterr().out.startswith("usage: tcpvitals COMMAND")


@pytest.mark.parametrize("word", ["-V", "--version"])
def test_the_version_is_the_packages(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch([word]) == 0
    assert capsys.readouterr().out == f"tcpvitals {__version__}\n"


THERE_ARE = "there are rtt, retrans, states, serve, check"


@pytest.mark.parametrize("word", ["nosuch", "", "main", "rtt_options", "-x"])
def test_what_is_no_command_is_named_beside_those_that_are(word: str) -> None:
    with pytest.raises(UsageError) as raised:
        dispatch([word])
    assert str(raised.value) == f"no command '{word}'; {THERE_ARE}"


@pytest.mark.parametrize(
    ("word", "command"),
    [
        ("rrt", "rtt"),
        ("RTT", "rtt"),
        ("retran", "retrans"),
        ("server", "serve"),
        ("chekc", "check"),
    ],
)
def test_a_mistyped_command_is_not_run_but_corrected(word: str, command: str) -> None:
    with pytest.raises(UsageError) as raised:
        dispatch([word])
    assert str(raised.value) == f"no command '{word}', did you mean {command}? {THERE_ARE}"


def test_a_command_that_a_terminal_could_not_show_is_escaped() -> None:
    with pytest.raises(UsageError, match=r"no command '\\x1b\[31m'"):
        dispatch(["\x1b[31m"])


@pytest.mark.parametrize(
    ("command", "example", "option"),
    [
        ("rtt", "--by raddr/24 -i 1           each remote /24", "--max-groups"),
        ("retrans", "-c -d 60                 totals of each flow, after a minute", "--min-ratio"),
        ("states", "-L 22,80         of the local ports 22 and 80", "-w, --wide"),
    ],
)
def test_a_commands_help_is_its_docstring_with_its_options(
    command: str, example: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        dispatch([command, "--help"])
    assert raised.value.code == 0
    shown = capsys.readouterr().out
    assert f"\n  tcpvitals {command} {example}" in shown
    assert f"\n  {option} " in shown


# --- how it ends -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("nosuch",),
        ("rtt", "-i", "0"),
        ("retrans", "--delta"),
        ("states", "-i", "1"),
        ("check", "--nosuch"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    one_line(done.stderr)


@pytest.mark.parametrize("words", PRINTS)
def test_a_full_disk_is_an_error_of_its_own(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(*words, stdout=full.fileno())
    assert done.returncode == 4
    assert one_line(done.stderr) == "cannot write the output: No space left on device"


@pytest.mark.parametrize("words", [*PRINTS, *((name, "-d", "0.1") for name in COMMANDS[:3])])
def test_a_closed_standard_output_is_the_same_error(words: tuple[str, ...]) -> None:
    done = shell('"$@" >&-', *words)
    assert done.returncode == 4
    assert one_line(done.stderr) == "cannot write the output: standard output is closed"


@pytest.mark.parametrize("words", [words for words in PRINTS if words != ("check",)])
def test_a_reader_that_has_seen_enough_is_no_error(words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run(*words, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", ['"$@" 2>&-', '"$@" 2>/dev/full', '"$@" >&- 2>&-'])
def test_the_status_stands_even_if_nobody_can_be_told_why(script: str) -> None:
    done = shell(script, "nosuch")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def test_an_interrupt_before_anything_began_is_130_without_a_word() -> None:
    done = run_injected("raise KeyboardInterrupt")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_an_error_of_the_system_is_one_line_that_says_what() -> None:
    done = run_injected("raise OSError(5, 'reading counters: Input/output error')")
    assert done.returncode == 70
    assert one_line(done.stderr) == "reading counters: Input/output error"


def test_a_defect_is_one_line_that_names_a_file_with_the_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = run_injected("raise ZeroDivisionError('in the test')")
    assert (done.returncode, done.stdout) == (70, "")
    [kept] = tmp_path.iterdir()
    said = f"a defect of tcpvitals: ZeroDivisionError: in the test (please report {kept})"
    assert one_line(done.stderr) == said
    text = kept.read_text()
    assert text.startswith("Traceback (most recent call last):")
    assert "in dispatch" in text


def test_a_defect_where_no_file_can_be_written_is_still_one_line() -> None:
    done = run_injected(
        "main.tempfile.NamedTemporaryFile = lambda *_, **__: open('/nonexistent/file');"
        "raise ZeroDivisionError('in the test')"
    )
    assert done.returncode == 70
    assert one_line(done.stderr) == "a defect of tcpvitals: ZeroDivisionError: in the test"


def test_output_written_before_an_error_is_not_lost() -> None:
    done = run_injected("print('so far'); raise main.UsageError('no further')")
    assert (done.returncode, done.stdout) == (2, "so far\n")
    assert one_line(done.stderr) == "no further"


# --- what help costs ---------------------------------------------------------------------

SLOW = {"numpy", "ctypes", "tcpvitals.kernel.libbpf", "tcpvitals.sinks"}


@pytest.mark.parametrize("words", [["--help"], ["--version"], *map(list, HELPS[:3])])
def test_help_imports_nothing_that_takes_long(words: list[str]) -> None:
    code = (
        "import sys\nfrom tcpvitals.commands.main import dispatch\n"
        f"try:\n    dispatch({words})\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = run(program=(sys.executable, "-c", code))
    assert set(done.stderr.split()) & SLOW == set()
