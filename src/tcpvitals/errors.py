"""Every way tcpvitals can fail, each with the exit code it ends the process with.

An error is one line: what is wrong and what to do about it.  `commands.main` is the only place
that prints it and turns it into a status.  README.md lists the codes, and a test compares.
"""

from __future__ import annotations


class TcpvitalsError(Exception):
    """The base of all errors a user can meet; its text is the line shown."""

    exit_code = 70  # EX_SOFTWARE of sysexits.h: a defect of ours


class UsageError(TcpvitalsError):
    """The command line asks for something that does not exist or contradicts itself."""

    exit_code = 2


class UnexplainedError(TcpvitalsError):
    """`--verify` found a difference from the kernel's counters that nothing explains."""

    exit_code = 3


class OutputError(TcpvitalsError):
    """Standard output could not be written, a full disk for instance."""

    exit_code = 4


class PrivilegeError(TcpvitalsError):
    """The process lacks CAP_BPF or CAP_PERFMON."""

    exit_code = 10


class KernelTooOldError(TcpvitalsError):
    """The kernel is older than 5.8, or not built with BPF."""

    exit_code = 11


class NoBtfError(TcpvitalsError):
    """The kernel does not describe its types (CONFIG_DEBUG_INFO_BTF)."""

    exit_code = 12


class LockdownError(TcpvitalsError):
    """The kernel is locked down so far that BPF may not be used for tracing."""

    exit_code = 13


class LibbpfError(TcpvitalsError):
    """libbpf is missing, or older than 1.1."""

    exit_code = 14


class VerifierError(TcpvitalsError):
    """The kernel refused one of our BPF programs."""

    exit_code = 15


class HookError(TcpvitalsError):
    """The hook asked for is not in this kernel or may not be used."""

    exit_code = 16


class ResourceError(TcpvitalsError):
    """The kernel would not give memory or file descriptors."""

    exit_code = 17


class ListenError(TcpvitalsError):
    """The address to serve on is taken or is not this host's."""

    exit_code = 18


class ProcError(TcpvitalsError):
    """The proc file system is not mounted on /proc."""

    exit_code = 19


class DecodeError(TcpvitalsError):
    """Bytes that the BPF object or its programs wrote do not have the form that they must have."""

    exit_code = 20
