"""A BPF object and its parts: maps, programs, links, each a thin handle on libbpf's own."""

from __future__ import annotations

import ctypes as c
import errno
import mmap
import os
from typing import TYPE_CHECKING, Final

from tcpvitals.kernel.libbpf.abi import (
    IteratorOptions,
    OpenOptions,
    TestRunOptions,
    checked,
    library,
    not_null,
    possible_cpus,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

_LOG_BYTES: Final = 1 << 20


class Map:
    """A map of an opened object; `fd` and the element calls work once that is loaded."""

    def __init__(self, pointer: int, name: str) -> None:
        """A map that `Object.map` found."""
        self._pointer = pointer
        self.name = name

    @property
    def fd(self) -> int:
        """The file descriptor, owned by the object."""
        return checked(library().bpf_map__fd(self._pointer), self.name)

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
        checked(library().bpf_map__set_max_entries(self._pointer, entries), self.name)

    def leave_out(self) -> None:
        """Before loading: do not create this map."""
        checked(library().bpf_map__set_autocreate(self._pointer, False), self.name)  # noqa: FBT003 - libbpf's signature

    def initial_value(self) -> memoryview[int]:
        """Before loading: the bytes a global data section will hold, to be written to."""
        size = c.c_size_t()
        data = library().bpf_map__initial_value(self._pointer, c.byref(size))
        buffer = (c.c_uint8 * size.value).from_address(not_null(data, self.name))
        return memoryview(buffer).cast("B")

    def keys(self) -> Iterator[bytes]:
        """All keys; one that is removed meanwhile may bring others twice."""
        key, size = None, int(library().bpf_map__key_size(self._pointer))
        while True:
            following = c.create_string_buffer(size)
            result = library().bpf_map_get_next_key(self.fd, key, following)
            if result == -errno.ENOENT:
                return
            checked(result, self.name)
            key = following.raw
            yield key

    def lookup(self, key: bytes) -> bytes | None:
        """The value of an element; None if there is none."""
        buffer = c.create_string_buffer(self.value_size)
        result = library().bpf_map_lookup_elem(self.fd, key, buffer)
        if result == -errno.ENOENT:
            return None
        checked(result, self.name)
        return buffer.raw

    def update(self, key: bytes, value: bytes) -> None:
        """Set an element; a queue has the empty key and gets a push."""
        checked(library().bpf_map_update_elem(self.fd, key or None, value, 0), self.name)

    def delete(self, key: bytes) -> bool:
        """Remove an element; False if there was none."""
        result = library().bpf_map_delete_elem(self.fd, key)
        if result == -errno.ENOENT:
            return False
        checked(result, self.name)
        return True

    def lookup_per_cpu(self, key: bytes) -> bytes:
        """All CPUs' values of an element of a per-CPU map, each padded to 8 bytes."""
        stride = (self.value_size + 7) // 8 * 8
        buffer = c.create_string_buffer(stride * possible_cpus())
        checked(library().bpf_map_lookup_elem(self.fd, key, buffer), self.name)
        return buffer.raw


class Link:
    """An attached program; closing it detaches."""

    def __init__(self, pointer: int) -> None:
        """A link that `Program.attach` made."""
        self._pointer = pointer

    def run_iterator(self) -> bytes:
        """Run an attached iterator to its end, and return what it printed."""
        fd = checked(library().bpf_iter_create(library().bpf_link__fd(self._pointer)), "iterator")
        try:
            return b"".join(_read_all(fd))
        finally:
            os.close(fd)

    def close(self) -> None:
        """Detach; a second time does nothing."""
        library().bpf_link__destroy(self._pointer)
        self._pointer = 0


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
        checked(library().bpf_program__set_autoload(self._pointer, wanted), self.name)
        if wanted:
            # Pages that nobody writes to are never there, and a log is written when all is lost.
            self._log = (c.c_char * _LOG_BYTES).from_buffer(mmap.mmap(-1, _LOG_BYTES))
            library().bpf_program__set_log_buf(self._pointer, self._log, _LOG_BYTES)

    @property
    def verifier_log(self) -> str:
        """What the verifier said if it refused the program; empty if it did not."""
        return self._log.value.decode(errors="replace") if self._log else ""

    @property
    def fd(self) -> int:
        """The loaded program's file descriptor, owned by the object."""
        return checked(library().bpf_program__fd(self._pointer), self.name)

    def attach(self) -> Link:
        """Attach to the hook that the program's section names."""
        return Link(not_null(library().bpf_program__attach(self._pointer), self.name))

    def attach_to_map(self, elements: Map) -> Link:
        """Attach an iterator over a map's elements."""
        # union bpf_iter_link_info of linux/bpf.h, whose map is its first member.
        info = c.c_uint32(elements.fd)
        options = IteratorOptions(c.sizeof(IteratorOptions), c.addressof(info), c.sizeof(info))
        link = library().bpf_program__attach_iter(self._pointer, c.byref(options))
        return Link(not_null(link, self.name))

    def test_run(self, context: bytes) -> int:
        """Run a raw tracepoint's program once, on these arguments; what it returned."""
        buffer = c.create_string_buffer(context, len(context))
        options = TestRunOptions(
            c.sizeof(TestRunOptions), ctx_in=c.addressof(buffer), ctx_size_in=len(context)
        )
        checked(library().bpf_prog_test_run_opts(self.fd, c.byref(options)), self.name)
        return int(options.retval)

    def info(self, size: int) -> bytes:
        """The first `size` bytes of the kernel's struct bpf_prog_info, zeroes where it has none."""
        buffer = c.create_string_buffer(size)
        length = c.c_uint32(size)
        result = library().bpf_obj_get_info_by_fd(self.fd, buffer, c.byref(length))
        checked(result, self.name)
        return buffer.raw


class Object:
    """A BPF object file: opened, then adjusted, then loaded, then closed."""

    def __init__(self, image: bytes, name: str) -> None:
        """Open the object in `image`, an ELF file's bytes.

        Raises:
            LibbpfError: there is no libbpf to do it.
            OSError: the image is not a BPF object.
        """
        options = OpenOptions(c.sizeof(OpenOptions), name.encode())
        pointer = library().bpf_object__open_mem(image, len(image), c.byref(options))
        self._pointer = not_null(pointer, name)
        self.name = name
        self.programs = {program.name: program for program in self._programs()}

    def __enter__(self) -> Self:
        """Itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close."""
        self.close()

    def _programs(self) -> Iterator[Program]:
        pointer = None
        while pointer := library().bpf_object__next_program(self._pointer, pointer):
            yield Program(pointer)

    def map(self, name: str) -> Map:
        """The map of that name, which must exist."""
        pointer = library().bpf_object__find_map_by_name(self._pointer, name.encode())
        return Map(not_null(pointer, name), name)

    def btf(self) -> bytes:
        """The object's type information, in the kernel's BTF format."""
        size = c.c_uint32()
        btf = not_null(library().bpf_object__btf(self._pointer), self.name)
        return c.string_at(library().btf__raw_data(btf, c.byref(size)), size.value)

    def load(self) -> None:
        """Create the maps and load the programs that were not left out.

        Raises:
            OSError: the kernel refused; `refused` tells which program, if it was one.
        """
        checked(library().bpf_object__load(self._pointer), self.name)

    def refused(self) -> Program | None:
        """After a failed load: the program that the verifier had something against."""
        return next((p for p in self.programs.values() if p.verifier_log), None)

    def close(self) -> None:
        """Unload everything; links must be closed before."""
        library().bpf_object__close(self._pointer)
