"""The door to libbpf and, through it, to bpf(2): a small typed binding, and nothing but.

Owns every use of ctypes in the project.  What to load and why is decided elsewhere; here a failed
call is an `OSError` with the kernel's errno, and a missing library a `LibbpfError`.

Source: libbpf 1.0's public headers (bpf/libbpf.h, bpf/bpf.h, bpf/btf.h).
"""

from __future__ import annotations

import ctypes as c
import os
import struct
from functools import cache
from typing import TYPE_CHECKING, Final

from tcpvitals.errors import LibbpfError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

SONAME: Final = "libbpf.so.1"

# enum bpf_prog_type, bpf_attach_type, bpf_map_type and BTF kinds, of linux/bpf.h and linux/btf.h.
PROG_TYPE_TRACING: Final = 26
TRACE_RAW_TP: Final = 23
TRACE_FENTRY: Final = 24
TRACE_ITER: Final = 28
MAP_TYPE_SK_STORAGE: Final = 24
BTF_KIND_STRUCT: Final = 4
BTF_KIND_TYPEDEF: Final = 8
BTF_KIND_FUNC: Final = 12

_F_NO_PREALLOC: Final = 1
# The kernel demands BTF with an sk_storage map: a header, the one type int32, its name.
_INT_BTF: Final = struct.pack(
    "=HBBIIIII IIII 5s", 0xEB9F, 1, 0, 24, 0, 16, 16, 5, 1, 1 << 24, 4, 1 << 24 | 32, b"\0int\0"
)
_LOG_BYTES: Final = 1 << 20
_PRINT_BYTES: Final = 8192


class _OpenOptions(c.Structure):
    """As struct bpf_object_open_opts up to object_name."""

    _fields_ = (("sz", c.c_size_t), ("object_name", c.c_char_p))


class _MapCreateOptions(c.Structure):
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


class _ProgLoadOptions(c.Structure):
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


class _BtfType(c.Structure):
    """As struct btf_type; what follows it in memory depends on its kind."""

    _fields_ = (("name_off", c.c_uint32), ("info", c.c_uint32), ("size_or_type", c.c_uint32))


_PRINT_CALLBACK = c.CFUNCTYPE(c.c_int, c.c_int, c.c_char_p, c.c_void_p)
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
    "bpf_object__open_mem": (_POINTER, (_BYTES, c.c_size_t, c.POINTER(_OpenOptions))),
    "bpf_object__load": (_INT, (_POINTER,)),
    "bpf_object__close": (None, (_POINTER,)),
    "bpf_object__btf": (_POINTER, (_POINTER,)),
    "bpf_object__find_map_by_name": (_POINTER, (_POINTER, _TEXT)),
    "bpf_object__find_program_by_name": (_POINTER, (_POINTER, _TEXT)),
    "bpf_object__next_program": (_POINTER, (_POINTER, _POINTER)),
    "bpf_map__fd": (_INT, (_POINTER,)),
    "bpf_map__initial_value": (_POINTER, (_POINTER, c.POINTER(c.c_size_t))),
    "bpf_map__max_entries": (_U32, (_POINTER,)),
    "bpf_map__set_autocreate": (_INT, (_POINTER, c.c_bool)),
    "bpf_map__set_max_entries": (_INT, (_POINTER, _U32)),
    "bpf_map__value_size": (_U32, (_POINTER,)),
    "bpf_program__attach": (_POINTER, (_POINTER,)),
    "bpf_program__fd": (_INT, (_POINTER,)),
    "bpf_program__name": (_TEXT, (_POINTER,)),
    "bpf_program__set_autoload": (_INT, (_POINTER, c.c_bool)),
    "bpf_program__set_log_buf": (_INT, (_POINTER, _POINTER, c.c_size_t)),
    "bpf_link__fd": (_INT, (_POINTER,)),
    "bpf_link__destroy": (_INT, (_POINTER,)),
    "bpf_btf_load": (_INT, (_BYTES, c.c_size_t, _POINTER)),
    "bpf_iter_create": (_INT, (_INT,)),
    "bpf_map_create": (_INT, (_INT, _TEXT, _U32, _U32, _U32, c.POINTER(_MapCreateOptions))),
    "bpf_map_delete_elem": (_INT, (_INT, _BYTES)),
    "bpf_map_lookup_elem": (_INT, (_INT, _BYTES, _POINTER)),
    "bpf_map_update_elem": (_INT, (_INT, _BYTES, _BYTES, c.c_uint64)),
    "bpf_obj_get_info_by_fd": (_INT, (_INT, _POINTER, c.POINTER(_U32))),
    "bpf_prog_load": (
        _INT,
        (_INT, _TEXT, _TEXT, _BYTES, c.c_size_t, c.POINTER(_ProgLoadOptions)),
    ),
    "bpf_raw_tracepoint_open": (_INT, (_TEXT, _INT)),
    "btf__raw_data": (_POINTER, (_POINTER, c.POINTER(_U32))),
    "btf__free": (None, (_POINTER,)),
    "btf__find_by_name_kind": (_INT, (_POINTER, _TEXT, _U32)),
    "btf__load_vmlinux_btf": (_POINTER, ()),
    "btf__type_by_id": (c.POINTER(_BtfType), (_POINTER, _U32)),
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
        LibbpfError: there is none, or it is older than 1.0.
    """
    try:
        found = c.CDLL(SONAME, use_errno=True)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(found, name)
            function.restype, function.argtypes = result, arguments
    except OSError as error:
        message = f"{SONAME} is not installed: apt-get install libbpf1 ({error})"
        raise LibbpfError(message) from error
    except AttributeError as error:
        message = f"{SONAME} is too old, version 1.0 or later is needed ({error})"
        raise LibbpfError(message) from error
    found.libbpf_set_print(_print)
    return found


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
    return _checked(library().libbpf_num_possible_cpus(), "possible CPUs")


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")
    return result


def _pointer(result: int | None, what: str) -> int:
    if not result:
        code = c.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


class Map:
    """A map of an opened object; `fd` and the element calls work once that is loaded."""

    def __init__(self, pointer: int, name: str) -> None:
        """A map that `Object.map` found."""
        self._pointer = pointer
        self.name = name

    @property
    def fd(self) -> int:
        """The file descriptor, owned by the object."""
        return _checked(library().bpf_map__fd(self._pointer), self.name)

    @property
    def max_entries(self) -> int:
        """How many elements there may be."""
        return int(library().bpf_map__max_entries(self._pointer))

    @property
    def value_size(self) -> int:
        """Bytes of one value."""
        return int(library().bpf_map__value_size(self._pointer))

    def set_max_entries(self, entries: int) -> None:
        """Before loading: how many elements there may be."""
        _checked(library().bpf_map__set_max_entries(self._pointer, entries), self.name)

    def leave_out(self) -> None:
        """Before loading: do not create this map."""
        _checked(library().bpf_map__set_autocreate(self._pointer, False), self.name)  # noqa: FBT003 - libbpf's signature

    def initial_value(self) -> memoryview[int]:
        """Before loading: the bytes a global data section will hold, to be written to."""
        size = c.c_size_t()
        data = library().bpf_map__initial_value(self._pointer, c.byref(size))
        buffer = (c.c_uint8 * size.value).from_address(_pointer(data, self.name))
        return memoryview(buffer).cast("B")

    def update(self, key: bytes, value: bytes) -> None:
        """Set an element; a queue has the empty key and gets a push."""
        _checked(library().bpf_map_update_elem(self.fd, key or None, value, 0), self.name)

    def delete(self, key: bytes) -> bool:
        """Remove an element; False if there was none."""
        result = library().bpf_map_delete_elem(self.fd, key)
        if result == -2:  # noqa: PLR2004 - ENOENT
            return False
        _checked(result, self.name)
        return True

    def lookup_per_cpu(self, key: bytes) -> bytes:
        """All CPUs' values of an element of a per-CPU map, each padded to 8 bytes."""
        stride = (self.value_size + 7) // 8 * 8
        buffer = c.create_string_buffer(stride * possible_cpus())
        _checked(library().bpf_map_lookup_elem(self.fd, key, buffer), self.name)
        return buffer.raw


class Link:
    """An attached program; closing it detaches."""

    def __init__(self, pointer: int) -> None:
        """A link that `Program.attach` made."""
        self._pointer = pointer

    def run_iterator(self) -> bytes:
        """Run an attached iterator to its end, and return what it printed."""
        fd = _checked(library().bpf_iter_create(library().bpf_link__fd(self._pointer)), "iterator")
        try:
            return b"".join(_read_all(fd))
        finally:
            os.close(fd)

    def close(self) -> None:
        """Detach."""
        library().bpf_link__destroy(self._pointer)


def _read_all(fd: int) -> Iterator[bytes]:
    while chunk := os.read(fd, 1 << 16):
        yield chunk


class Program:
    """A program of an opened object."""

    def __init__(self, pointer: int) -> None:
        """A program that `Object` found."""
        self._pointer = pointer
        self.name: str = library().bpf_program__name(pointer).decode()
        self._log: c.Array[c.c_char] | None = None

    def choose(self, *, wanted: bool) -> None:
        """Before loading: load this one, or leave it out."""
        _checked(library().bpf_program__set_autoload(self._pointer, wanted), self.name)
        if wanted:
            self._log = c.create_string_buffer(_LOG_BYTES)
            library().bpf_program__set_log_buf(self._pointer, self._log, _LOG_BYTES)

    @property
    def verifier_log(self) -> str:
        """What the verifier said if it refused the program; empty if it did not."""
        return self._log.value.decode(errors="replace") if self._log else ""

    @property
    def fd(self) -> int:
        """The loaded program's file descriptor, owned by the object."""
        return _checked(library().bpf_program__fd(self._pointer), self.name)

    def attach(self) -> Link:
        """Attach to the hook that the program's section names."""
        return Link(_pointer(library().bpf_program__attach(self._pointer), self.name))

    def info(self, size: int) -> bytes:
        """The first `size` bytes of the kernel's struct bpf_prog_info, zeroes where it has none."""
        buffer = c.create_string_buffer(size)
        length = c.c_uint32(size)
        result = library().bpf_obj_get_info_by_fd(self.fd, buffer, c.byref(length))
        _checked(result, self.name)
        return buffer.raw


class Object:
    """A BPF object file: opened, then adjusted, then loaded, then closed."""

    def __init__(self, image: bytes, name: str) -> None:
        """Open the object in `image`, an ELF file's bytes.

        Raises:
            LibbpfError: there is no libbpf to do it.
            OSError: the image is not a BPF object.
        """
        options = _OpenOptions(c.sizeof(_OpenOptions), name.encode())
        pointer = library().bpf_object__open_mem(image, len(image), c.byref(options))
        self._pointer = _pointer(pointer, name)
        self.name = name
        self.programs = {program.name: program for program in self._programs()}

    def __enter__(self) -> Self:
        """Itself, to be closed at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _programs(self) -> Iterator[Program]:
        pointer = None
        while pointer := library().bpf_object__next_program(self._pointer, pointer):
            yield Program(pointer)

    def map(self, name: str) -> Map:
        """The map of that name, which must exist."""
        pointer = library().bpf_object__find_map_by_name(self._pointer, name.encode())
        return Map(_pointer(pointer, name), name)

    def btf(self) -> bytes:
        """The object's type information, in the kernel's BTF format."""
        size = c.c_uint32()
        btf = _pointer(library().bpf_object__btf(self._pointer), self.name)
        return c.string_at(library().btf__raw_data(btf, c.byref(size)), size.value)

    def load(self) -> None:
        """Create the maps and load the programs that were not left out.

        Raises:
            OSError: the kernel refused; `refused` tells which program, if it was one.
        """
        _checked(library().bpf_object__load(self._pointer), self.name)

    def refused(self) -> Program | None:
        """After a failed load: the program that the verifier had something against."""
        return next((p for p in self.programs.values() if p.verifier_log), None)

    def close(self) -> None:
        """Unload everything; links must be closed before."""
        library().bpf_object__close(self._pointer)


class KernelBtf:
    """The running kernel's own type information; loading it takes some 20 ms."""

    def __init__(self) -> None:
        """Load it.

        Raises:
            OSError: the kernel has none.
        """
        self._pointer = _pointer(library().btf__load_vmlinux_btf(), "kernel BTF")

    def close(self) -> None:
        """Free it."""
        library().btf__free(self._pointer)

    def find(self, name: str, kind: int) -> int | None:
        """The id of the type of that name and kind (`BTF_KIND_...`), None if there is none."""
        found = library().btf__find_by_name_kind(self._pointer, name.encode(), kind)
        return found if found > 0 else None

    def size_of(self, type_id: int) -> int:
        """Bytes of the struct with that id."""
        return int(library().btf__type_by_id(self._pointer, type_id).contents.size_or_type)


def load_tracing(code: bytes, attach_type: int, target: int) -> int:
    """Load bare instructions as a tracing program on the BTF id `target`; returns its fd.

    Raises:
        OSError: the kernel refused.
    """
    options = _ProgLoadOptions(
        c.sizeof(_ProgLoadOptions), expected_attach_type=attach_type, attach_btf_id=target
    )
    fd = library().bpf_prog_load(
        PROG_TYPE_TRACING, b"tcpvitals_probe", b"Dual MIT/GPL", code, len(code) // 8, options
    )
    return _checked(fd, "probe")


def attach_tracing(program_fd: int) -> int:
    """Attach what `load_tracing` loaded; returns the link's fd, closing which detaches.

    Raises:
        OSError: the kernel refused.
    """
    return _checked(library().bpf_raw_tracepoint_open(None, program_fd), "probe")


def create_socket_storage() -> int:
    """An sk_storage map of one int, for trying it out; returns its fd.

    Raises:
        OSError: the kernel refused.
    """
    btf = _checked(library().bpf_btf_load(_INT_BTF, len(_INT_BTF), None), "BTF")
    options = _MapCreateOptions(
        c.sizeof(_MapCreateOptions),
        btf_fd=btf,
        btf_key_type_id=1,
        btf_value_type_id=1,
        map_flags=_F_NO_PREALLOC,
    )
    try:
        fd = library().bpf_map_create(MAP_TYPE_SK_STORAGE, b"probe", 4, 4, 0, c.byref(options))
        return _checked(fd, "sk_storage")
    finally:
        os.close(btf)
