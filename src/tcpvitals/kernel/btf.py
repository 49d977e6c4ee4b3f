"""Record layouts, read from the BTF inside the object that writes the records.

Pure: bytes in, numpy dtypes out.  Nothing declares a layout twice, so nothing can drift.

Source: Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tcpvitals.kernel.decoding import decoding

if TYPE_CHECKING:
    from collections.abc import Iterator

_WHAT: Final = "the BTF of the BPF object"
_MAGIC_VERSION: Final = (0xEB9F, 1)
_HEADER: Final = struct.Struct("<HBBIIIII")
_TYPE: Final = struct.Struct("<III")
_MEMBER: Final = struct.Struct("<III")

_INT, _ARRAY, _STRUCT, _UNION, _ENUM = 1, 3, 4, 5, 6
_FWD, _TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _FUNC_PROTO = 7, 8, 9, 10, 11, 13
_VAR, _DATASEC, _DECL_TAG, _ENUM64 = 14, 15, 17, 19
_NAMES: Final = {_STRUCT: "struct", _ENUM: "enum", _DATASEC: "section"}
_BITS: Final = 8
_TRANSPARENT: Final = {_TYPEDEF, _VOLATILE, _CONST, _RESTRICT}
# Bytes that follow a type's three words: fixed, and for each of its `vlen` entries.
_TAIL: Final = {
    _INT: (4, 0),
    _ARRAY: (12, 0),
    _STRUCT: (0, 12),
    _UNION: (0, 12),
    _ENUM: (0, 8),
    _FUNC_PROTO: (0, 8),
    _VAR: (4, 0),
    _DATASEC: (0, 12),
    _DECL_TAG: (4, 0),
    _ENUM64: (0, 12),
}


@dataclass(frozen=True, slots=True)
class _Type:
    name: str
    kind: int
    entries: int
    size_or_type: int
    tail: bytes


class Layouts:
    """The structs, enums and sections that one object's BTF describes."""

    def __init__(self, raw: bytes) -> None:
        """Read the `raw` contents of a .BTF section, little-endian.

        Raises:
            DecodeError: they are malformed.
        """
        with decoding(_WHAT):
            self._names, types = _sections(raw)
            self._types = [_Type("void", 0, 0, 0, b""), *self._parse(types)]
        self._by_name = {(kind.kind, kind.name): kind for kind in self._types}

    def _name(self, offset: int) -> str:
        return self._names[offset : self._names.index(b"\0", offset)].decode()

    def _parse(self, types: bytes) -> Iterator[_Type]:
        at = 0
        while at < len(types):
            name, info, size = _TYPE.unpack_from(types, at)
            kind, entries = info >> 24 & 0x1F, info & 0xFFFF
            fixed, each = _TAIL.get(kind, (0, 0))
            end = at + _TYPE.size + fixed + each * entries
            if end > len(types):
                message = f"type {name} is cut off"
                raise ValueError(message)
            yield _Type(self._name(name), kind, entries, size, types[at + _TYPE.size : end])
            at = end

    def struct(self, name: str) -> np.dtype[np.void]:
        """The dtype of `struct name`, as big as in C, its fields at the same offsets.

        Raises:
            DecodeError: the object has no such struct, or a malformed one.
        """
        with decoding(_WHAT):
            return self._struct_dtype(self._named(_STRUCT, name))

    def enum(self, name: str) -> dict[str, int]:
        """The enumerators of `enum name`, unsigned.

        Raises:
            DecodeError: the object has no such enum, or a malformed one.
        """
        with decoding(_WHAT):
            found = self._named(_ENUM, name)
            return {self._name(at): value for at, value in struct.iter_unpack("<II", found.tail)}

    def variable_offset(self, section: str, variable: str) -> int:
        """Where in the data section `section` the global `variable` lies, in bytes.

        Raises:
            DecodeError: the object has no such section or variable, or a malformed one.
        """
        with decoding(_WHAT):
            found = self._named(_DATASEC, section)
            for type_id, offset, _ in struct.iter_unpack("<III", found.tail):
                if self._types[type_id].name == variable:
                    return int(offset)
            message = f"no variable {variable} in {section}"
            raise LookupError(message)

    def _named(self, kind: int, name: str) -> _Type:
        found = self._by_name.get((kind, name))
        if found is None:
            message = f"no {_NAMES[kind]} {name}"
            raise LookupError(message)
        return found

    def _struct_dtype(self, found: _Type) -> np.dtype[np.void]:
        members = [
            (self._name(name), self._dtype(type_id), _whole_bytes(bits))
            for name, type_id, bits in struct.iter_unpack("<III", found.tail)
        ]
        return np.dtype(
            {
                "names": [name for name, _, _ in members],
                "formats": [kind for _, kind, _ in members],
                "offsets": [offset for _, _, offset in members],
                "itemsize": found.size_or_type,
            }
        )

    def _dtype(self, type_id: int) -> np.dtype[np.generic]:
        found = self._types[type_id]
        if found.kind in _TRANSPARENT:
            return self._dtype(found.size_or_type)
        if found.kind == _ARRAY:
            element, _, length = struct.unpack("<III", found.tail)
            return np.dtype((self._dtype(element), (length,)))
        if found.kind == _STRUCT:
            return self._struct_dtype(found)
        if found.kind in (_INT, _ENUM):
            return np.dtype(f"<u{found.size_or_type}")
        message = f"BTF kind {found.kind} ({found.name}) in a record"
        raise TypeError(message)


def _sections(raw: bytes) -> tuple[bytes, bytes]:
    """The names and the types."""
    magic, version, _, header, types_at, types_size, names_at, names_size = _HEADER.unpack_from(raw)
    if (magic, version) != _MAGIC_VERSION:
        message = f"magic {magic:#x} and version {version} are not BTF's"
        raise ValueError(message)
    types_at, names_at = header + types_at, header + names_at
    if max(types_at + types_size, names_at + names_size) > len(raw):
        message = "it is cut off"
        raise ValueError(message)
    return raw[names_at : names_at + names_size], raw[types_at : types_at + types_size]


def _whole_bytes(bits: int) -> int:
    if bits % _BITS:
        message = "a bit-field in a record"
        raise ValueError(message)
    return bits // _BITS
