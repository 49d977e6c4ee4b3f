"""YAML read as nodes that know their line, so that whatever is wrong can be pointed at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

import yaml

from tcpvitals.errors import UsageError
from tcpvitals.files import FileError, read_file
from tcpvitals.model.numbers import whole_number
from tcpvitals.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_MOST_BYTES: Final = 32_768
_LARGEST: Final = 999_999_999
_SHOWN: Final = 80  # letters of a bad value
_TAG: Final = "tag:yaml.org,2002:"
_TRUE: Final = ("true", "yes", "on")


class Value:
    """A node of the file, and what may be read of it."""

    def __init__(self, file: Path, node: yaml.Node | None) -> None:
        """Wrap a node; None is the file that says nothing."""
        self._file = file
        self._node = node

    @property
    def where(self) -> str:
        """FILE:LINE."""
        line = self._node.start_mark.line + 1 if self._node is not None else 1
        return f"{printable(str(self._file))}:{line}"

    def refuse(self, message: str) -> NoReturn:
        """Raise a UsageError that begins with the place."""
        message = f"{self.where}: {message}"
        raise UsageError(message)

    @property
    def is_given(self) -> bool:
        """Whether there is anything but null."""
        return self._node is not None and self._node.tag != f"{_TAG}null"

    def text(self) -> str:
        """Return a scalar as it is written; nothing at all is ""."""
        if not self.is_given:
            return ""
        if not isinstance(self._node, yaml.ScalarNode):
            self.refuse("a single value is expected here")
        return str(self._node.value)

    def flag(self) -> bool:
        """Return true or false."""
        if not isinstance(self._node, yaml.ScalarNode) or self._node.tag != f"{_TAG}bool":
            self.refuse("must be true or false")
        return str(self._node.value).lower() in _TRUE

    def integer(self) -> int:
        """Return a whole number."""
        text = self.text()
        number = whole_number(text, 0, _LARGEST)
        if number is None:
            self.refuse(f"{printable(text[:_SHOWN])} is not a whole number up to {_LARGEST}")
        return number

    def items(self) -> list[Value]:
        """Return a list's elements."""
        if not self.is_given:
            return []
        if not isinstance(self._node, yaml.SequenceNode):
            self.refuse("a list is expected here")
        return [Value(self._file, node) for node in self._node.value]

    def entries(self) -> dict[str, Value]:
        """Return a mapping; one key twice is an error."""
        found: dict[str, Value] = {}
        for key, value in self._pairs():
            if key.text() in found:
                key.refuse(f"{printable(key.text())} is there twice")
            found[key.text()] = value
        return found

    def fields(self, known: Collection[str]) -> dict[str, Value]:
        """Return a mapping that has no other keys than those `known`; null ones are left out."""
        for key, _ in self._pairs():
            if key.text() not in known:
                names = ", ".join(sorted(known))
                key.refuse(f"unknown key {printable(key.text())}; known here: {names}")
        return {key: value for key, value in self.entries().items() if value.is_given}

    def _pairs(self) -> list[tuple[Value, Value]]:
        if not self.is_given:
            return []
        if not isinstance(self._node, yaml.MappingNode):
            self.refuse("a mapping (key: value) is expected here")
        return [
            (Value(self._file, key), Value(self._file, value)) for key, value in self._node.value
        ]


def read_yaml(file: Path) -> Value:
    """Read a file's one document.

    Raises:
        UsageError: it cannot be read, or is not YAML.
    """
    try:
        return Value(file, yaml.compose(read_file(file, _MOST_BYTES), Loader=yaml.CSafeLoader))
    except FileError as error:
        message = f"cannot read {printable(str(file))}: {error}"
        raise UsageError(message) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        message = f"{printable(str(file))}:{line}: {printable(error.problem or 'is not YAML')}"
        raise UsageError(message) from error
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        message = f"{printable(str(file))}: is not YAML: {printable(str(error).splitlines()[0])}"
        raise UsageError(message) from error
