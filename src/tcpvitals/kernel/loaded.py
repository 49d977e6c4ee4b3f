"""The kernel half of one request: opened, set, loaded, attached, read and closed.

Acts on a plan and decides nothing.  Links are held by file descriptor and nothing is pinned, so
that however this process ends, the kernel half ends with it.
"""

from __future__ import annotations

import errno
import struct
import tempfile
import time
from contextlib import ExitStack
from importlib import resources
from typing import TYPE_CHECKING, Final

import numpy as np

from tcpvitals.errors import HookError, PrivilegeError, ResourceError, VerifierError
from tcpvitals.kernel import libbpf
from tcpvitals.kernel.btf import Layouts
from tcpvitals.kernel.group_table import GroupTable, TableMaps
from tcpvitals.kernel.namespace_table import NamespaceTable
from tcpvitals.kernel.plan import NO_GROUPS
from tcpvitals.kernel.rtt_counters import RttCounters, Shape
from tcpvitals.kernel.settings import Telling, encode
from tcpvitals.kernel.settling import Settler
from tcpvitals.kernel.totals_counters import TotalsCounters
from tcpvitals.kernel.variables import Variables
from tcpvitals.kernel.verifier_log import first_meaningful_line
from tcpvitals.kernel.vitals_counters import FlowCounters, VitalsCounters
from tcpvitals.kernel.wanted import (
    NAMESPACES,
    OPEN_FILES,
    SAMPLERS,
    SETTLE,
    SETTLE_BY_POINTER,
    wanted_programs,
)
from tcpvitals.model.expectations import Missed
from tcpvitals.model.key import FlowPorts
from tcpvitals.model.vitals import ENDS, ProgramRuns

if TYPE_CHECKING:
    from typing import Self

    import numpy.typing as npt

    from tcpvitals.errors import TcpvitalsError
    from tcpvitals.kernel.plan import Plan
    from tcpvitals.kernel.settings import Request
    from tcpvitals.model.key import Grouping
    from tcpvitals.model.measurement import Unit
    from tcpvitals.model.rtt import Counters, Distribution
    from tcpvitals.model.totals import Totals, TotalsTable
    from tcpvitals.model.vitals import FlowsTable, VitalsTable, VitalsTotal

# Iterators do nothing until they are run.  Listeners and owners are noted first, then sockets are
# followed, and what counts comes last.
_ITERATORS: Final = (
    "visit_open_files",
    "visit_namespaces",
    "settle_sockets",
    "settle_sockets_by_pointer",
    "settle_own_namespace",
    "settle_open_files",
    "visit_socket_storages",
)
_ELEMENTS: Final = {SETTLE: "sockets", SETTLE_BY_POINTER: "sockets_by_pointer"}
_HOOKS: Final = (
    "socket_gone",
    "state_changed_by_call",
    "state_changed_by_packet",
    "synack_retransmitted",
    "retransmitted",
    "retransmitted_or_failed",
    *SAMPLERS.values(),
)
# struct bpf_prog_info of linux/bpf.h; kernels before 5.12 have no such field, and nothing to count.
_PROG_INFO_BYTES: Final = 232
_RECURSION_MISSES_AT: Final = 208
_RUNS_AT, _RUNS = 192, struct.Struct("<QQQ")  # run_time_ns, run_cnt, recursion_misses
_FLOW_TABLE: Final = ("flow_groups", "flow_places", "free_flows")
_NAMESPACE_TABLE: Final = ("namespace_groups", "namespace_places", "free_namespaces")
_NAMESPACE_COUNTERS: Final = ("namespace_counters", "namespace_held")
_PAGE: Final = 4096

_REMEDIES: Final = {
    errno.ENOMEM: "lower --max-groups",
    errno.E2BIG: "lower --max-groups",
    errno.ENFILE: "raise the limit of open files (fs.file-max)",
}


class Loaded:
    """The loaded and attached programs of one request."""

    def __init__(self, request: Request, plan: Plan) -> None:
        """Load for a request on the terms of a plan; nothing is attached yet.

        Raises:
            TcpvitalsError: the kernel refused; nothing is left behind.
        """
        self._request, self._plan = request, plan
        self._wanted = wanted_programs(request, plan)
        self._links: dict[str, libbpf.Link] = {}
        image = resources.files("tcpvitals").joinpath("bpf", plan.object_name).read_bytes()
        with ExitStack() as undo:
            self._object = undo.enter_context(libbpf.Object(image, "tcpvitals"))
            self.layouts = Layouts(self._object.btf())
            self._choose_programs()
            self._set_up_maps()
            self._load()
            self.variables = Variables(self.layouts, self.map(".bss").fd)
            self._settler = Settler(plan, self.variables, self._run)
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        """Itself, detached at the end of the block."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Detach and unload."""
        self._undo.close()

    # --- what was loaded -----------------------------------------------------------------

    def rtt_table(self, unit: Unit, idle_limit_ns: int) -> GroupTable[Counters, Distribution]:
        """The groups with their histograms; made before `attach`, and no other table with it."""
        shape = Shape(self._plan.slots, self._plan.shards, self._plan.sharded_slots)
        try:
            with_context = self._request.counts_context
            counters = RttCounters(
                self.layouts, self.map("counters"), shape, unit, with_context=with_context
            )
            return GroupTable(*self._table_parts(), counters, idle_limit_ns)
        except OSError as error:
            raise _cannot_map(error) from error

    def totals_table(self, idle_limit_ns: int) -> GroupTable[TotalsTable, Totals]:
        """The groups with their totals; made before `attach`, and no other table with it."""
        try:
            counters = TotalsCounters(self.layouts, self.map("retrans_counters"), self._plan.slots)
            return GroupTable(*self._table_parts(), counters, idle_limit_ns)
        except OSError as error:
            raise _cannot_map(error) from error

    def vitals_table(
        self, idle_limit_ns: int
    ) -> tuple[GroupTable[VitalsTable, VitalsTotal], VitalsCounters]:
        """The groups with all they count, and their counters; made before `attach`."""
        shape = Shape(self._plan.slots, self._plan.shards, self._plan.sharded_slots)
        maps = self.map("counters"), self.map("retrans_counters"), self.map("live")
        try:
            counters = VitalsCounters(
                self.layouts, maps, shape, self._request.samples, self._histogram_records()
            )
            return GroupTable(*self._table_parts(), counters, idle_limit_ns), counters
        except OSError as error:
            raise _cannot_map(error) from error

    def flows_table(self, idle_limit_ns: int) -> tuple[GroupTable[FlowsTable, int], FlowCounters]:
        """The flows that retransmitted, and their counters; made before `attach`."""
        slots = self._request.flows_limit + NO_GROUPS
        maps = TableMaps(*(self.map(name) for name in _FLOW_TABLE))
        try:
            counters = FlowCounters(self.map("flow_segments"), slots)
            table: GroupTable[FlowsTable, int] = GroupTable(
                self.layouts, maps, slots, ENDS, counters, idle_limit_ns
            )
        except OSError as error:
            raise _cannot_map(error) from error
        return table, counters

    def namespaces_table(self) -> NamespaceTable:
        """The network namespaces and their totals; made before `attach`."""
        maps = TableMaps(*(self.map(name) for name in _NAMESPACE_TABLE))
        counters, held = (self.map(name) for name in _NAMESPACE_COUNTERS)
        slots = self._request.namespaces_limit + NO_GROUPS
        try:
            return NamespaceTable(self.layouts, maps, counters, held, slots)
        except OSError as error:
            raise _cannot_map(error) from error

    def _table_parts(self) -> tuple[Layouts, TableMaps, int, Grouping]:
        maps = TableMaps(*(self.map(name) for name in ("groups", "group_places", "free_slots")))
        return self.layouts, maps, self._plan.slots, self._request.grouping

    def _histogram_records(self) -> int:
        return self._plan.histogram_records(self.layouts.struct("rtt_counters").itemsize)

    def map(self, name: str) -> libbpf.Map:
        """A map of the object."""
        return self._object.map(name)

    def losses(self) -> dict[str, int]:
        """What was not counted, by reason: `recursion`, and the fields of struct losses.

        Recursion: the kernel skipped a program because it would have interrupted itself.
        Socket ends: those that no program saw.  Socket begins: what was retransmitted before a
        program saw the connection, if that may have been before we began.
        """
        record = self.layouts.struct("losses")
        values = np.frombuffer(self.map("losses").lookup_per_cpu(bytes(4)), record)
        fields = {name: int(values[name].sum()) for name in record.names or ()}
        settler = self._settler
        lives = {"socket_ends": settler.ends_unseen, "socket_begins": settler.left_out[0]}
        return {"recursion": self._recursion(), **fields, **lives}

    def missed(self) -> Missed:
        """What was not seen, as far as it may make our totals differ from the kernel's."""
        settler = self._settler
        segments, timeouts = settler.left_out
        return Missed(
            self._recursion(), settler.ends_unseen, settler.closes_unseen, segments, timeouts
        )

    def _recursion(self) -> int:
        """Of the programs that count, or follow what is counted.

        What interrupts a system call's program is a packet, with which it has nothing to do, unless
        it may also be another task.
        """
        counting = self._wanted.intersection(_HOOKS)
        if not self._plan.preemptible:
            counting -= {"state_changed_by_call"}
        if not self._request.needs_owner:
            # Costs a role: that of the port will do.
            counting -= {"state_changed_by_call", "state_changed_by_packet"}
        infos = (self._object.programs[name].info(_PROG_INFO_BYTES) for name in counting)
        return sum(struct.unpack_from("<Q", info, _RECURSION_MISSES_AT)[0] for info in infos)

    # --- iterators -----------------------------------------------------------------------

    def settle(self) -> None:
        """Bring the totals of live sockets up to date, in every network namespace."""
        self._settler.settle()

    @property
    def is_unsure(self) -> bool:
        """Whether another settling may find more sockets whose end was not seen."""
        return self._settler.is_unsure

    def settle_and_mark(self) -> None:
        """The same, and mark each network namespace that a socket holds."""
        mark = self.variables.number("mark_namespaces")
        mark[0] = 1
        try:
            self.settle()
        finally:
            mark[0] = 0

    def visit_open_files(self) -> None:
        """Note who listens, and whose each socket is."""
        self.variables.number("pass")[0] += 1
        self._run(OPEN_FILES)

    def visit_namespaces(self) -> npt.NDArray[np.void]:
        """The network namespace of every process: records of struct netns_task."""
        return np.frombuffer(self._run(NAMESPACES), self.layouts.struct("netns_task"))

    def programs(self) -> tuple[ProgramRuns, ...]:
        """What the kernel says of each program that is attached to a hook."""
        infos = {name: self._object.programs[name].info(_PROG_INFO_BYTES) for name in self._hooks()}
        found = ((name, *_RUNS.unpack_from(info, _RUNS_AT)) for name, info in infos.items())
        return tuple(ProgramRuns(name, runs, ns, skipped) for name, ns, runs, skipped in found)

    def _hooks(self) -> list[str]:
        return [name for name in _HOOKS if name in self._wanted]

    def accepted(self) -> int:
        """How many sockets were accepted so far, modulo 2**32: their owner is only inherited."""
        return int(self.variables.number("accepted")[0])

    def _run(self, name: str) -> bytes:
        try:
            return self._links[name].run_iterator()
        except OSError as error:
            message = f"cannot run {name}: {error.strerror}"
            raise ResourceError(message) from error

    # --- before loading ------------------------------------------------------------------

    def _choose_programs(self) -> None:
        for name, program in self._object.programs.items():
            program.choose(wanted=name in self._wanted)

    def _set_up_maps(self) -> None:
        plan, request = self._plan, self._request
        unused = ["sockets_by_pointer" if plan.socket_storage else "sockets"]
        if not request.telling:
            unused.append("events")
        for name in unused:
            self.map(name).leave_out()
        totals = plan.slots if request.counts_retransmissions else 1
        if not request.counts_retransmissions:
            self.map("handshakes").set_max_entries(1)
        flows = request.flows_limit + NO_GROUPS if request.flows is not FlowPorts.OFF else 1
        namespaces = request.namespaces_limit + NO_GROUPS if request.namespaces else 1
        if Telling.RETRANSMISSIONS not in request.telling:
            self.map("attempts").set_max_entries(1)  # a megabyte that nobody would look at
        for name, entries in (
            ("groups", plan.slots),
            ("counters", self._counter_records()),
            ("retrans_counters", totals),
            ("group_places", plan.slots),
            ("free_slots", plan.slots),
            ("live", plan.slots if request.vitals else 1),
            *((name, flows) for name in (*_FLOW_TABLE, "flow_segments")),
            *((name, namespaces) for name in (*_NAMESPACE_TABLE, *_NAMESPACE_COUNTERS)),
            ("events", request.ring_bytes if request.telling else _PAGE),
        ):
            self.map(name).set_max_entries(entries)
        settings = encode(self.layouts, request, plan)
        at = self.layouts.variable_offset(".rodata", "settings")
        self.map(".rodata").initial_value()[at : at + len(settings)] = settings

    def _counter_records(self) -> int:
        if self._request.vitals:
            return len(self._request.vitals) * self._histogram_records()
        return self._plan.counter_records if self._request.measurement else 1

    # --- loading and attaching -----------------------------------------------------------

    def _load(self) -> None:
        libbpf.warnings()
        try:
            self._object.load()
        except OSError as error:
            raise _load_error(error, self._object) from error

    def attach(self) -> None:
        """Attach what was loaded; the tables must be there.

        Raises:
            HookError: the kernel refused.
        """
        self.attach_iterators()
        self.attach_hooks()

    def attach_iterators(self) -> None:
        """Attach what does nothing until it is run."""
        for name in _ITERATORS:
            if name in self._wanted:
                self._attach(name)

    def attach_hooks(self) -> None:
        """Note who listens and whose each socket is; then begin to count."""
        if OPEN_FILES in self._wanted:
            self.visit_open_files()
        for name in self._hooks():
            self._attach(name)
        # Rounded up: what began in this second may be older than we are.
        now_s = int(time.clock_gettime(time.CLOCK_BOOTTIME))
        self.variables.number("counting_since_s")[0] = now_s + 1

    def _attach(self, name: str) -> None:
        program = self._object.programs[name]
        try:
            if name in _ELEMENTS:
                link = program.attach_to_map(self.map(_ELEMENTS[name]))
            else:
                link = program.attach()
        except OSError as error:
            message = f"cannot attach {name}: {error.strerror}; see tcpvitals check"
            raise HookError(message) from error
        self._undo.callback(link.close)
        self._links[name] = link


def _cannot_map(error: OSError) -> TcpvitalsError:
    return ResourceError(f"cannot map the counters: {error.strerror}; lower --max-groups")


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
