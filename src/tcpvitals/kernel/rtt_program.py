"""The RTT programs: opened, set, loaded, attached, read and closed.

Acts on a plan and decides nothing.  Links are held by file descriptor and nothing is pinned, so
that however this process ends, the kernel half ends with it.
"""

from __future__ import annotations

import errno
import struct
import tempfile
from contextlib import ExitStack
from importlib import resources
from typing import TYPE_CHECKING, Final

import numpy as np

from tcpvitals.errors import HookError, PrivilegeError, ResourceError, VerifierError
from tcpvitals.kernel import libbpf
from tcpvitals.kernel.btf import Layouts
from tcpvitals.kernel.group_table import GroupTable, TableMaps, TableShape
from tcpvitals.kernel.plan import Attach
from tcpvitals.kernel.settings import encode
from tcpvitals.kernel.verifier_log import first_meaningful_line

if TYPE_CHECKING:
    from typing import Self

    from tcpvitals.errors import TcpvitalsError
    from tcpvitals.kernel.group_table import Reading
    from tcpvitals.kernel.plan import Plan
    from tcpvitals.kernel.settings import RttRequest

_HOOKS: Final = {Attach.FENTRY: "rtt_fentry", Attach.TP_BTF: "rtt_tp_btf"}
# struct bpf_prog_info of linux/bpf.h; kernels before 5.12 have no such field, and nothing to count.
_PROG_INFO_BYTES: Final = 232
_RECURSION_MISSES_AT: Final = 208

_REMEDIES: Final = {
    errno.ENOMEM: "lower --max-groups",
    errno.E2BIG: "lower --max-groups",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the limit of open files (fs.file-max)",
}


class RttProgram:
    """The loaded and attached programs of one request."""

    def __init__(self, request: RttRequest, plan: Plan, idle_limit_ns: int) -> None:
        """Load for a request on the terms of a plan, and attach.

        Raises:
            TcpvitalsError: the kernel refused; nothing is left behind.
        """
        self._request, self._plan = request, plan
        image = resources.files("tcpvitals").joinpath("bpf", plan.object_name).read_bytes()
        with ExitStack() as undo:
            self._object = undo.enter_context(libbpf.Object(image, "tcpvitals_rtt"))
            self._layouts = Layouts(self._object.btf())
            self._choose_programs()
            self._set_up_maps()
            self._load()
            self._table = self._make_table(idle_limit_ns)
            self._attach(undo)
            self._close = undo.pop_all().close

    def __enter__(self) -> Self:
        """Itself, detached at the end of the block."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Detach and unload."""
        self._close()

    def read(self, now_ns: int) -> Reading:
        """All groups' counters at this moment (boot time)."""
        return self._table.read(now_ns)

    def losses(self) -> dict[str, int]:
        """Samples not counted, by reason: `recursion`, and the fields of struct losses.

        Recursion: the kernel skipped the hook's program because it would have interrupted itself.
        """
        info = self._object.programs[self._hook].info(_PROG_INFO_BYTES)
        recursion = struct.unpack_from("<Q", info, _RECURSION_MISSES_AT)[0]
        record = self._layouts.struct("losses")
        values = np.frombuffer(self._object.map("losses").lookup_per_cpu(bytes(4)), record)
        return {"recursion": recursion} | {
            name: int(values[name].sum()) for name in record.names or ()
        }

    @property
    def groups_limit(self) -> int:
        """How many groups there may be."""
        return self._table.limit

    # --- before loading ------------------------------------------------------------------

    @property
    def _hook(self) -> str:
        return _HOOKS[self._plan.attach]

    def _wanted(self) -> set[str]:
        """The programs this request needs: the fewer, the less there is to pay for."""
        wanted = {self._hook}
        if self._request.needs_socket:
            wanted.add("role_by_state")
        if self._request.needs_socket and not self._plan.socket_storage:
            wanted.add("socket_gone")
        if self._request.needs_role:
            wanted.add("find_listeners")
        return wanted

    def _choose_programs(self) -> None:
        for name, program in self._object.programs.items():
            program.choose(wanted=name in self._wanted())

    def _set_up_maps(self) -> None:
        plan, slots = self._plan, self._plan.slots
        unused = "sockets_by_pointer" if plan.socket_storage else "sockets"
        self._object.map(unused).leave_out()
        for name, entries in (
            ("groups", slots),
            ("counters", plan.counter_records),
            ("group_places", slots),
            ("free_slots", slots),
        ):
            self._object.map(name).set_max_entries(entries)
        settings = encode(self._layouts, self._request, plan)
        at = self._layouts.variable_offset(".rodata", "settings")
        self._object.map(".rodata").initial_value()[at : at + len(settings)] = settings

    # --- loading and attaching -----------------------------------------------------------

    def _load(self) -> None:
        libbpf.warnings()
        try:
            self._object.load()
        except OSError as error:
            raise _load_error(error, self._object) from error

    def _make_table(self, idle_limit_ns: int) -> GroupTable:
        maps = TableMaps(
            *(self._object.map(n) for n in ("groups", "counters", "group_places", "free_slots"))
        )
        plan = self._plan
        shape = TableShape(plan.slots, plan.shards, plan.sharded_slots)
        try:
            return GroupTable(
                self._layouts,
                maps,
                shape,
                self._request.grouping,
                self._request.measurement.unit,
                idle_limit_ns,
            )
        except OSError as error:
            message = f"cannot map the counters: {error.strerror}; lower --max-groups"
            raise ResourceError(message) from error

    def _attach(self, undo: ExitStack) -> None:
        """Listeners first, then those that watch sockets come and go, and the hook itself last."""
        wanted = self._wanted()
        for name in ("find_listeners", "socket_gone", "role_by_state", self._hook):
            if name not in wanted:
                continue
            try:
                link = self._object.programs[name].attach()
                undo.callback(link.close)
                if name == "find_listeners":
                    link.run_iterator()
            except OSError as error:
                message = f"cannot attach {name}: {error.strerror}; see tcpvitals check"
                raise HookError(message) from error


def _load_error(error: OSError, opened: libbpf.Object) -> TcpvitalsError:
    """The error behind a failed load: a program refused, no memory, or no permission."""
    refused = opened.refused()
    if refused:
        line = first_meaningful_line(refused.verifier_log)
        path = _keep(refused.name, refused.verifier_log)
        message = f"the kernel refused program {refused.name}: {line} (whole log: {path})"
        return VerifierError(message)
    if error.errno in _REMEDIES:
        return ResourceError(f"no room in the kernel: {error.strerror}; {_REMEDIES[error.errno]}")
    said = next(iter(libbpf.warnings()), error.strerror or "").partition("\n")[0]
    if error.errno in (errno.EPERM, errno.EACCES):
        return PrivilegeError(f"the kernel would not load: {said}; see tcpvitals check")
    return VerifierError(f"the kernel would not load: {said}")


def _keep(name: str, log: str) -> str:
    """Write the verifier's whole log to a file of its own; where, or why not."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix=f"tcpvitals-{name}-", suffix=".log", delete=False
        ) as file:
            file.write(log)
    except OSError as error:
        return f"could not be kept: {error.strerror}"
    return file.name
