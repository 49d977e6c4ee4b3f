"""The library itself: found, its functions and structs declared, its warnings kept, errors raised.

Source: libbpf 1.1's public headers (bpf/libbpf.h, bpf/bpf.h, bpf/btf.h).
"""

from __future__ import annotations

import ctypes as c
import os
from functools import cache
from typing import Final

from tcpvitals.errors import LibbpfError

SONAME: Final = "libbpf.so.1"
_OLDEST: Final = (1, 1)

_PRINT_BYTES: Final = 8192


class OpenOptions(c.Structure):
    """As struct bpf_object_open_opts up to object_name."""

    _fields_ = (("sz", c.c_size_t), ("object_name", c.c_char_p))


class MapCreateOptions(c.Structure):
    """As struct bpf_map_create_opts up to map_flags."""

    _fields_ = (
        ("sz", c.c_size_t),
        ("btf_fd", c.c_uint32),
        ("btf_key_type_id", c.c_uint32),
        ("btf_value_type_id", c.c_uint32),
        ("btf_vmlinux_value_type_id", c.c_uint32),
        ("inner_map_fd", c.c_uint32),
        ("map_flags", c.c_uint32),
    )


class ProgLoadOptions(c.Structure):
    """As struct bpf_prog_load_opts up to attach_btf_id."""

    _fields_ = (
        ("sz", c.c_size_t),
        ("attempts", c.c_int),
        ("expected_attach_type", c.c_int),
        ("prog_btf_fd", c.c_uint32),
        ("prog_flags", c.c_uint32),
        ("prog_ifindex", c.c_uint32),
        ("kern_version", c.c_uint32),
        ("attach_btf_id", c.c_uint32),
    )


class IteratorOptions(c.Structure):
    """As struct bpf_iter_attach_opts."""

    _fields_ = (("sz", c.c_size_t), ("link_info", c.c_void_p), ("link_info_len", c.c_uint32))


class TestRunOptions(c.Structure):
    """As struct bpf_test_run_opts up to retval."""

    _fields_ = (
        ("sz", c.c_size_t),
        ("data_in", c.c_void_p),
        ("data_out", c.c_void_p),
        ("data_size_in", c.c_uint32),
        ("data_size_out", c.c_uint32),
        ("ctx_in", c.c_void_p),
        ("ctx_out", c.c_void_p),
        ("ctx_size_in", c.c_uint32),
        ("ctx_size_out", c.c_uint32),
        ("retval", c.c_uint32),
    )


_PRINT_CALLBACK = c.CFUNCTYPE(c.c_int, c.c_int, c.c_char_p, c.c_void_p)
# Context, record, its bytes; a negative result ends the consumption.
RING_CALLBACK = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_size_t)
_POINTER, _TEXT, _INT, _U32 = c.c_void_p, c.c_char_p, c.c_int, c.c_uint32
_BYTES = c.c_char_p

# name: (result, arguments).  Results of type int are negative errno values on failure, pointers are
# null with errno set.
_FUNCTIONS: Final = {
    "libbpf_version_string": (_TEXT, ()),
    "libbpf_major_version": (_U32, ()),
    "libbpf_minor_version": (_U32, ()),
    "libbpf_set_print": (_POINTER, (_PRINT_CALLBACK,)),
    "libbpf_num_possible_cpus": (_INT, ()),
    "bpf_object__open_mem": (_POINTER, (_BYTES, c.c_size_t, c.POINTER(OpenOptions))),
    "bpf_object__load": (_INT, (_POINTER,)),
    "bpf_object__close": (None, (_POINTER,)),
    "bpf_object__btf": (_POINTER, (_POINTER,)),
    "bpf_object__find_map_by_name": (_POINTER, (_POINTER, _TEXT)),
    "bpf_object__find_program_by_name": (_POINTER, (_POINTER, _TEXT)),
    "bpf_object__next_program": (_POINTER, (_POINTER, _POINTER)),
    "bpf_map__fd": (_INT, (_POINTER,)),
    "bpf_map__initial_value": (_POINTER, (_POINTER, c.POINTER(c.c_size_t))),
    "bpf_map__key_size": (_U32, (_POINTER,)),
    "bpf_map__max_entries": (_U32, (_POINTER,)),
    "bpf_map__set_autocreate": (_INT, (_POINTER, c.c_bool)),
    "bpf_map__set_max_entries": (_INT, (_POINTER, _U32)),
    "bpf_map__value_size": (_U32, (_POINTER,)),
    "bpf_program__attach": (_POINTER, (_POINTER,)),
    "bpf_program__attach_iter": (_POINTER, (_POINTER, c.POINTER(IteratorOptions))),
    "bpf_program__fd": (_INT, (_POINTER,)),
    "bpf_program__name": (_TEXT, (_POINTER,)),
    "bpf_program__set_autoload": (_INT, (_POINTER, c.c_bool)),
    "bpf_program__set_log_buf": (_INT, (_POINTER, _POINTER, c.c_size_t)),
    "bpf_link__fd": (_INT, (_POINTER,)),
    "bpf_link__destroy": (_INT, (_POINTER,)),
    "bpf_btf_load": (_INT, (_BYTES, c.c_size_t, _POINTER)),
    "bpf_enable_stats": (_INT, (_INT,)),
    "bpf_iter_create": (_INT, (_INT,)),
    "bpf_map_create": (_INT, (_INT, _TEXT, _U32, _U32, _U32, c.POINTER(MapCreateOptions))),
    "bpf_map_delete_elem": (_INT, (_INT, _BYTES)),
    "bpf_map_get_next_key": (_INT, (_INT, _BYTES, _POINTER)),
    "bpf_map_lookup_elem": (_INT, (_INT, _BYTES, _POINTER)),
    "bpf_map_update_elem": (_INT, (_INT, _BYTES, _BYTES, c.c_uint64)),
    "bpf_obj_get_info_by_fd": (_INT, (_INT, _POINTER, c.POINTER(_U32))),
    "bpf_prog_load": (
        _INT,
        (_INT, _TEXT, _TEXT, _BYTES, c.c_size_t, c.POINTER(ProgLoadOptions)),
    ),
    "bpf_prog_test_run_opts": (_INT, (_INT, c.POINTER(TestRunOptions))),
    "bpf_raw_tracepoint_open": (_INT, (_TEXT, _INT)),
    "btf__raw_data": (_POINTER, (_POINTER, c.POINTER(_U32))),
    "btf__free": (None, (_POINTER,)),
    "btf__find_by_name_kind": (_INT, (_POINTER, _TEXT, _U32)),
    "btf__load_vmlinux_btf": (_POINTER, ()),
    "ring_buffer__new": (_POINTER, (_INT, RING_CALLBACK, _POINTER, _POINTER)),
    "ring_buffer__consume": (_INT, (_POINTER,)),
    "ring_buffer__epoll_fd": (_INT, (_POINTER,)),
    "ring_buffer__free": (None, (_POINTER,)),
}

_warnings: list[str] = []


def _keep_warning(level: int, template: bytes, arguments: int) -> int:
    """Libbpf prints to stderr by default, in the middle of our output: keep it for the error."""
    if level == 0:
        buffer = c.create_string_buffer(_PRINT_BYTES)
        _libc().vsnprintf(buffer, c.c_size_t(_PRINT_BYTES), template, c.c_void_p(arguments))
        _warnings.append(buffer.value.decode(errors="replace").rstrip("\n"))
    return 0


# Kept here for as long as libbpf may call it.
_print = _PRINT_CALLBACK(_keep_warning)


@cache
def _libc() -> c.CDLL:
    return c.CDLL(None, use_errno=True)


@cache
def library() -> c.CDLL:
    """Libbpf, its functions declared.

    Raises:
        LibbpfError: there is none, or it is older than 1.1.
    """
    try:
        found = c.CDLL(SONAME, use_errno=True)
    except OSError as error:
        message = f"cannot be opened ({error})"
        raise LibbpfError(message) from error
    try:
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(found, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError as error:
        message = f"too old ({error})"
        raise LibbpfError(message) from error
    _demand(int(found.libbpf_major_version()), int(found.libbpf_minor_version()))
    found.libbpf_set_print(_print)
    return found


def _demand(*version: int) -> None:
    """1.0 has all functions, but nobody has shown that it loads our objects."""
    if version < _OLDEST:
        message = f"too old ({'.'.join(map(str, version))})"
        raise LibbpfError(message)


def version() -> str:
    """The version of the library found, "1.1" for instance."""
    return f"{library().libbpf_major_version()}.{library().libbpf_minor_version()}"


def warnings() -> tuple[str, ...]:
    """What libbpf had to say since the last call, a line each."""
    said = tuple(_warnings)
    _warnings.clear()
    return said


def possible_cpus() -> int:
    """How many CPUs the kernel keeps per-CPU data for."""
    return checked(library().libbpf_num_possible_cpus(), "possible CPUs")


def checked(result: int, what: str) -> int:
    """The result of a call that returns a negative errno value when it fails, as an OSError."""
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")
    return result


def not_null(result: int | None, what: str) -> int:
    """The pointer that a call returned; an OSError with the errno it left, if that is null."""
    if not result:
        code = c.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result
