"""The door to libbpf and, through it, to bpf(2): a small typed binding, and nothing but.

Owns every use of ctypes in the project.  What to load and why is decided elsewhere; here a failed
call is an `OSError` with the kernel's errno, and a missing library a `LibbpfError`.  `abi` is the
library, `objects` what an object file holds, `ring` a ring buffer's reading end, `bare` what
feature probes need.
"""

from tcpvitals.kernel.libbpf.abi import version, warnings
from tcpvitals.kernel.libbpf.bare import (
    BTF_KIND_FUNC,
    BTF_KIND_TYPEDEF,
    TRACE_FENTRY,
    TRACE_ITER,
    TRACE_RAW_TP,
    KernelBtf,
    attach_tracing,
    create_socket_storage,
    enable_run_time_stats,
    load_tracing,
)
from tcpvitals.kernel.libbpf.objects import Link, Map, Object, Program
from tcpvitals.kernel.libbpf.ring import Ring

__all__ = [
    "BTF_KIND_FUNC",
    "BTF_KIND_TYPEDEF",
    "TRACE_FENTRY",
    "TRACE_ITER",
    "TRACE_RAW_TP",
    "KernelBtf",
    "Link",
    "Map",
    "Object",
    "Program",
    "Ring",
    "attach_tracing",
    "create_socket_storage",
    "enable_run_time_stats",
    "load_tracing",
    "version",
    "warnings",
]
