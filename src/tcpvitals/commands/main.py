"""The entry point: finds the sub-command, runs it, and turns its end into an exit status.

The only place that prints an error.  Imports no more than the sub-command asked for needs.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import traceback
from typing import TYPE_CHECKING, Final, NoReturn, TextIO

from tcpvitals import __version__
from tcpvitals.commands.output import output_errors, write
from tcpvitals.errors import TcpvitalsError, UsageError
from tcpvitals.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS: Final = {
    "rtt": "round-trip times, as histograms",
    "retrans": "retransmissions: each as it happens, or totals, by cause",
    "states": "every step of every connection from one TCP state to the next",
    "serve": "an exporter for Prometheus, on port 2112",
    "check": "what this host supports, and what will be used",
}

_HELP: Final = """usage: tcpvitals COMMAND [OPTION...]

Round-trip time and retransmissions of every TCP connection on this host, live, exactly, and at a
cost nobody notices.

commands:
{commands}

tcpvitals COMMAND --help tells more; tcpvitals --version the version.
"""


class Parser(argparse.ArgumentParser):
    """Bad usage is an error like any other: one line, and a status of its own; so is lost help."""

    def print_help(self, file: object = None) -> None:  # noqa: ARG002 - argparse never gives one
        """Write the help to standard output."""
        write(self.format_help())

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Take -1 after an option for its value, though -4 and -6 are options themselves."""
        self._has_negative_number_optionals.clear()
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise a UsageError."""
        said = message.removeprefix("argument ")
        text = f"{printable(said)} (see {self.prog} --help)"
        raise UsageError(text)


def _help() -> str:
    lines = (f"  {name:<8} {what}" for name, what in _COMMANDS.items())
    return _HELP.format(commands="\n".join(lines))


def dispatch(arguments: Sequence[str]) -> int:
    """Run the command line, without the program's name; the exit status.

    Raises:
        TcpvitalsError: it failed, or there is no such command.
    """
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        write(_help())
        return 0 if arguments else UsageError.exit_code
    name, *rest = arguments
    if name in {"-V", "--version"}:
        write(f"tcpvitals {__version__}\n")
        return 0
    if name not in _COMMANDS:
        raise UsageError(_no_command(name))
    command = importlib.import_module(f"tcpvitals.commands.{name}")
    parser = Parser(
        prog=f"tcpvitals {name}",
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return int(command.main(parser, rest))


def _no_command(name: str) -> str:
    """Return what to say of a command that does not exist."""
    import difflib  # noqa: PLC0415 - 4 ms

    alike = difflib.get_close_matches(name.lower(), _COMMANDS, n=1)
    guess = f", did you mean {alike[0]}?" if alike else ";"
    return f"no command '{printable(name)}'{guess} there are {', '.join(_COMMANDS)}"


def run() -> NoReturn:
    """The installed program."""
    try:
        status = dispatch(sys.argv[1:])
        if sys.stdout is not None:
            with output_errors():
                sys.stdout.flush()
    except TcpvitalsError as error:
        status = _complain(str(error), error.exit_code)
    except BrokenPipeError:
        status = 0  # whoever read us has seen enough, as in `tcpvitals rtt | head`
    except KeyboardInterrupt:
        status = 130
    except OSError as error:
        status = _complain(f"{error.strerror or error}", TcpvitalsError.exit_code)
    except Exception:  # noqa: BLE001 - the user is to see a line, and we the traceback in a file
        status = _complain(_defect(), TcpvitalsError.exit_code)
    _leave(status)


def _complain(line: str, status: int) -> int:
    if sys.stderr is not None:
        try:
            sys.stderr.write(f"tcpvitals: {line}\n")
        except OSError:  # nowhere left to say it but the status
            _give_up(sys.stderr)
    return status


def _defect() -> str:
    text = traceback.format_exc()
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="tcpvitals-defect-", suffix=".txt", delete=False
        ) as file:
            file.write(text)
    except OSError:
        return f"a defect of tcpvitals: {text.splitlines()[-1]}"
    return f"a defect of tcpvitals: {text.splitlines()[-1]} (please report {file.name})"


def _leave(status: int) -> NoReturn:
    """End without the interpreter's own last flush, whose failure would print a traceback."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        _give_up(sys.stdout)
    raise SystemExit(status)


def _give_up(stream: TextIO) -> None:
    """Let what is still to be written vanish, so that the last flush finds somewhere to put it."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream.fileno())


if __name__ == "__main__":
    run()
