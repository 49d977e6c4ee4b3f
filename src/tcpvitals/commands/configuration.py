"""Options from a file (`--config`): TOML, every long option a key, written without its dashes.

Knows no option.  What a key means is what the parser makes of the option, and what the command
line says overrides the file.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from bisect import bisect_left
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from tcpvitals.errors import TcpvitalsError, UsageError
from tcpvitals.files import FileError, read_file
from tcpvitals.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Value: TypeAlias = object
"""What TOML has: text, numbers, truths, lists, dates; tables are no values here."""

# tomllib takes up to 2 us a byte.
_MOST_BYTES: Final = 16_384
# argparse takes time by the square of how often an option is repeated.
_MOST_VALUES: Final = 256
# Options about the command line itself, and nothing for a file.
_NOT_KEYS: Final = frozenset({"config", "help"})
_MANY_DIGITS: Final = re.compile(r"[0-9_]{600,}")
_EMPTY: Final = re.compile(r"[ \t\r]*(#|$)")
# What may end a list, a table or a long string that an earlier line began.
_MAY_COMPLETE: Final = re.compile(r"""[]}]|\"{3}|'{3}""")
# Letters parsed, some of them again and again, to find the line of a key: about 25 ms.
_MOST_PARSED: Final = 65_536
_MOST_DOTS: Final = 100
_COMMAS: Final = "[,...]"
_KINDS: Final = {bool: "true or false", list: "a list", dict: "a table"}


@dataclass(frozen=True, slots=True)
class Places:
    """Where the options stand that a file gave, by argparse's names for them."""

    keys: Mapping[str, str] = field(default_factory=dict)
    file: _File | None = None

    @contextmanager
    def blame(self, *names: str) -> Iterator[None]:
        """Put FILE:LINE and the key before an error of this block.

        Args:
            names: the options that the error may be about; the first that the file gave is named.
        """
        try:
            yield
        except TcpvitalsError as error:
            key = next((self.keys[name] for name in names if name in self.keys), None)
            if key is None or self.file is None:
                raise
            raise type(error)(self.file.complaint(str(error), key)) from error


def parse(
    parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> tuple[argparse.Namespace, Places]:
    """Read the command line, and under it the file that its `--config` names.

    Raises:
        UsageError: one of them is wrong; FILE:LINE if it is the file.
    """
    given = _given(parser, arguments)
    if "config" not in given:
        return parser.parse_args(arguments), Places()
    file = _File(str(given["config"]), parser)
    under = [option for option in file.options() if option.dest not in given]
    words = [word for option in under for word in option.words]
    places = Places({option.dest: option.key for option in under}, file)
    return parser.parse_args([*words, *arguments]), places


def keys(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Every key that there is in a file; `_` does for `-`, too."""
    return {
        spelled.removeprefix("--"): action
        for spelled, action in parser._option_string_actions.items()  # noqa: SLF001 - there is no other way to know
        if spelled.startswith("--") and spelled.removeprefix("--") not in _NOT_KEYS
    }


def _given(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> dict[str, object]:
    """What was said, without any defaults."""
    actions = parser._actions  # noqa: SLF001 - as above
    nothing = argparse.Namespace(**{action.dest: None for action in actions})
    found = vars(parser.parse_args(arguments, nothing))
    return {dest: value for dest, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class _Option:
    """One key of the file: what argparse calls it, and the words of a command line that it is."""

    dest: str
    key: str
    words: list[str]


class _File:
    """One file, read as the words of a command line."""

    def __init__(self, name: str, parser: argparse.ArgumentParser) -> None:
        """Read it; what it says is looked at later."""
        self._name, self._parser = name, parser
        self._actions = keys(parser)
        self._text = self._read()

    def options(self) -> list[_Option]:
        """Every option it gives.

        Raises:
            UsageError: a key or a value is wrong.
        """
        found: dict[argparse.Action, str] = {}
        options: list[_Option] = []
        for key, value in _flat(self._parsed(self._text)):
            action = self._action(key)
            if action in found:
                self._refuse(f"the same as {printable(found[action])}", key)
            found[action] = key
            options.append(_Option(action.dest, key, self._words(key, action, value)))
        self._check_together(options)
        return options

    def complaint(self, said: str, key: str) -> str:
        """Return one line: the file, the line of the key, the key, and what is wrong with it."""
        line = self._line(key)
        place = self._name if line is None else f"{self._name}:{line}"
        return printable(f"{place}: {key}: {said}")

    def _read(self) -> str:
        try:
            data = read_file(self._name, _MOST_BYTES)
        except FileError as error:
            self._refuse(f"cannot be read: {error}")
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            self._refuse("not UTF-8", line=line)

    def _parsed(self, text: str) -> dict[str, Value]:
        for at, row in enumerate(text.split("\n"), 1):
            if row.partition("=")[0].count(".") > _MOST_DOTS:  # tomllib would take minutes
                self._refuse("a key of too many parts", line=at)
        try:
            return tomllib.loads(text)
        except RecursionError:
            self._refuse("nested too deeply")
        except tomllib.TOMLDecodeError as error:
            said, _, where = str(error).partition(" (at ")
            line = re.match(r"line (\d+)", where)
            last = text.rstrip("\n").count("\n") + 1
            number = int(line[1]) if line else last if where else None
            self._refuse(f"not TOML: {said}", line=number)
        except ValueError:  # what int() does not take
            before = _MANY_DIGITS.split(text)[0]
            self._refuse("a number of too many digits", line=before.count("\n") + 1)

    def _action(self, key: str) -> argparse.Action:
        name = key.replace("_", "-")
        if name == "config":
            self._refuse("a file cannot name another", key)
        if name not in self._actions:
            self._refuse("no such option (see docs/commands.md)", key)
        return self._actions[name]

    def _words(self, key: str, action: argparse.Action, value: Value) -> list[str]:
        """What would be written on the command line; nothing for a flag that is false."""
        spelled = f"--{key.replace('_', '-')}"
        if action.nargs == 0:
            if not isinstance(value, bool):
                self._refuse("true or false, without quotes", key)
            return [spelled] if value else []
        texts = self._texts(key, action, value)
        words = [f"{spelled}={text}" for text in texts]
        self._check(key, words)
        return words

    def _texts(self, key: str, action: argparse.Action, value: Value) -> list[str]:
        if not isinstance(value, list):
            return [self._text_of(key, value)]
        if len(value) > _MOST_VALUES:
            self._refuse(f"more than {_MOST_VALUES} values", key)
        texts = [self._text_of(key, one) for one in value]
        if _COMMAS in str(action.metavar):
            return [",".join(texts)]
        if not isinstance(action, argparse._AppendAction):  # noqa: SLF001 - it has no public name
            self._refuse("takes one value, not a list", key)
        return texts

    def _text_of(self, key: str, value: Value) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self._refuse(f"takes text or a number, not {_KINDS.get(type(value), 'a date')}", key)
        try:
            return str(value)
        except ValueError:  # thousands of digits, written in hexadecimal
            return self._refuse("too large a number", key)

    def _check_together(self, options: Sequence[_Option]) -> None:
        """Have the first option refused that contradicts one before it."""

        def words(end: int) -> list[str]:
            return [word for option in options[:end] for word in option.words]

        def is_at_fault(end: int) -> bool:
            return self._fault(words(end)) is not None

        if is_at_fault(len(options)):
            end = bisect_left(range(len(options)), x=True, key=is_at_fault)
            self._check(options[end - 1].key, words(end))

    def _check(self, key: str, words: Sequence[str]) -> None:
        fault = self._fault(words)
        if fault is not None:
            self._refuse(fault, key)

    def _fault(self, words: Sequence[str]) -> str | None:
        """Have the parser look at some words alone, so that it is known whose fault it is."""
        try:
            self._parser.parse_args(words)
        except UsageError as error:
            said = str(error).removesuffix(f" (see {self._parser.prog} --help)")
            return re.sub(r"^-[^:]*: ", "", said)
        return None

    def _refuse(self, said: str, key: str | None = None, line: int | None = None) -> NoReturn:
        if key is not None:
            raise UsageError(self.complaint(said, key))
        place = self._name if line is None else f"{self._name}:{line}"
        raise UsageError(printable(f"{place}: {said}"))

    def _line(self, key: str) -> int | None:
        return next((line for line, found in _statements(self._text) if key in found), None)


def _flat(table: Mapping[str, Value]) -> Iterator[tuple[str, Value]]:
    """Keys with dots in them, which TOML takes apart, put together again."""
    waiting = [iter(table.items())]
    names: list[str] = []
    while waiting:
        found = next(waiting[-1], None)
        if found is None:
            waiting.pop()
            del names[-1:]
            continue
        name, value = found
        if isinstance(value, dict) and value:
            waiting.append(iter(value.items()))
            names.append(name)
        else:
            yield ".".join([*names, name]), value


def _statements(text: str) -> Iterator[tuple[int, set[str]]]:
    """The line on which each statement of a good file begins, and the keys it gives a value.

    A statement is complete with the first line with which it can be parsed: half a string or half
    a list never can.  Ends early where that takes too long to find out.
    """
    heading, statement, first, left = "", "", 1, _MOST_PARSED
    for number, line in enumerate(text.split("\n"), 1):
        if not statement and _EMPTY.match(line):
            first = number + 1
            continue
        statement += f"{line}\n"
        if number > first and not _MAY_COMPLETE.search(line):
            continue
        left -= len(heading) + len(statement)
        if left < 0:
            return
        try:
            table = tomllib.loads(heading + statement)
        except ValueError:
            continue
        yield first, {key for key, _ in _flat(table)}
        if statement.lstrip().startswith("["):
            heading = statement
        statement, first = "", number + 1
