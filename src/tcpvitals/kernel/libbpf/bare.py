"""What feature probes need: the kernel's own BTF, and programs and maps without an object file."""

from __future__ import annotations

import ctypes as c
import os
import struct
from typing import Final

from tcpvitals.kernel.libbpf.abi import (
    MapCreateOptions,
    ProgLoadOptions,
    checked,
    library,
    not_null,
)

# enum bpf_prog_type, bpf_attach_type, bpf_map_type and BTF kinds, of linux/bpf.h and linux/btf.h.
PROG_TYPE_TRACING: Final = 26
TRACE_RAW_TP: Final = 23
TRACE_FENTRY: Final = 24
TRACE_ITER: Final = 28
MAP_TYPE_SK_STORAGE: Final = 24
BTF_KIND_TYPEDEF: Final = 8
BTF_KIND_FUNC: Final = 12

_F_NO_PREALLOC: Final = 1
_STATS_RUN_TIME: Final = 0  # enum bpf_stats_type of linux/bpf.h
# The kernel demands BTF with an sk_storage map: a header, the one type int32, its name.
_INT_BTF: Final = struct.pack(
    "=HBBIIIII IIII 5s", 0xEB9F, 1, 0, 24, 0, 16, 16, 5, 1, 1 << 24, 4, 1 << 24 | 32, b"\0int\0"
)


class KernelBtf:
    """The running kernel's own type information; loading it takes some 20 ms."""

    def __init__(self) -> None:
        """Load it.

        Raises:
            OSError: the kernel has none.
        """
        self._pointer = not_null(library().btf__load_vmlinux_btf(), "kernel BTF")

    def close(self) -> None:
        """Free it."""
        library().btf__free(self._pointer)

    def find(self, name: str, kind: int) -> int | None:
        """The id of the type of that name and kind (`BTF_KIND_...`), None if there is none."""
        found = library().btf__find_by_name_kind(self._pointer, name.encode(), kind)
        return found if found > 0 else None


def enable_run_time_stats() -> int:
    """Have the kernel time every run of every BPF program, until the descriptor is closed.

    Raises:
        OSError: it will not; it takes CAP_SYS_ADMIN.
    """
    return checked(library().bpf_enable_stats(_STATS_RUN_TIME), "timing BPF programs")


def load_tracing(code: bytes, attach_type: int, target: int) -> int:
    """Load bare instructions as a tracing program on the BTF id `target`; returns its fd.

    Raises:
        OSError: the kernel refused.
    """
    options = ProgLoadOptions(
        c.sizeof(ProgLoadOptions), expected_attach_type=attach_type, attach_btf_id=target
    )
    fd = library().bpf_prog_load(
        PROG_TYPE_TRACING, b"tcpvitals_probe", b"Dual MIT/GPL", code, len(code) // 8, options
    )
    return checked(fd, "probe")


def attach_tracing(program_fd: int) -> int:
    """Attach what `load_tracing` loaded; returns the link's fd, closing which detaches.

    Raises:
        OSError: the kernel refused.
    """
    return checked(library().bpf_raw_tracepoint_open(None, program_fd), "probe")


def create_socket_storage() -> int:
    """An sk_storage map of one int, for trying it out; returns its fd.

    Raises:
        OSError: the kernel refused.
    """
    btf = checked(library().bpf_btf_load(_INT_BTF, len(_INT_BTF), None), "BTF")
    options = MapCreateOptions(
        c.sizeof(MapCreateOptions),
        btf_fd=btf,
        btf_key_type_id=1,
        btf_value_type_id=1,
        map_flags=_F_NO_PREALLOC,
    )
    try:
        fd = library().bpf_map_create(MAP_TYPE_SK_STORAGE, b"probe", 4, 4, 0, c.byref(options))
        return checked(fd, "sk_storage")
    finally:
        os.close(btf)
