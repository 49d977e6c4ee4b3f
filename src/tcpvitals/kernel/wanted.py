"""Which programs a request needs on a host: the fewer, the less there is to pay for.  Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcpvitals.kernel.plan import Attach

if TYPE_CHECKING:
    from tcpvitals.kernel.plan import Plan
    from tcpvitals.kernel.settings import Request

SAMPLERS: Final = {Attach.FENTRY: "rtt_fentry", Attach.TP_BTF: "rtt_tp_btf"}
NAMESPACES: Final = "visit_namespaces"
OPEN_FILES: Final = "visit_open_files"
STORAGES: Final = "visit_socket_storages"
SETTLE: Final = "settle_sockets"
SETTLE_BY_POINTER: Final = "settle_sockets_by_pointer"
SETTLE_HELD: Final = ("settle_own_namespace", "settle_open_files")
"""Every socket but those of other namespaces that no process holds; see settling.h."""


def wanted_programs(request: Request, plan: Plan) -> set[str]:
    """The programs this request needs: the fewer, the less there is to pay for."""
    wanted = set()
    if request.samples and plan.attach:
        wanted.add(SAMPLERS[plan.attach])
    if request.needs_socket:
        wanted.add("state_changed_by_call")
    if request.needs_role or request.needs_owner:
        wanted.add("state_changed_by_packet")
    if request.totals or request.namespaces or (request.needs_socket and not plan.socket_storage):
        wanted.add("socket_gone")
    if request.needs_role or request.needs_owner:
        wanted.add(OPEN_FILES)
    if request.namespaces:
        wanted.add(NAMESPACES)
    if request.totals or request.namespaces:
        wanted |= _settlers(plan)
    if request.counts_retransmissions:
        wanted.add("synack_retransmitted")
        wanted.add("retransmitted_or_failed" if plan.shows_errors else "retransmitted")
    return wanted


def _settlers(plan: Plan) -> set[str]:
    if not plan.socket_storage:
        return {SETTLE_BY_POINTER}
    return {*SETTLE_HELD} | ({SETTLE, STORAGES} if plan.storage_iterator else set())
