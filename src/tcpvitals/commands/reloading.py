"""What SIGHUP can change while everything stays attached, and what it cannot.  Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tcpvitals.commands.serve_options import ServeOptions
    from tcpvitals.model.selection import Selection

CHANGEABLE: Final[Mapping[str, str]] = {
    "allow_hosts": "--allow-host",
    "idle_s": "--idle",
    "refresh_s": "--refresh",
    "buckets": "--buckets",
    "max_flows": "--max-flows",
    "quiet": "--quiet",
    "web_config_file": "--web.config.file",
}
"""Options by field.  A web configuration can be another, but none where there was one, or one where
there was none, changes who may ask, and how, behind everybody's back."""

FIXED: Final[Mapping[str, str]] = {
    "config": "--config",
    "listen": "--listen",
    "insecure_listen": "--insecure-listen",
    "grouping": "--by",
    "netns": "--netns",
    "max_groups": "--max-groups",
    "histograms": "--histograms",
    "flow_ports": "--flow-ports",
    "attach": "--attach",
    "user": "--user",
    "bpf_stats": "--bpf-stats",
    "duration_s": "--duration",
}
"""Fixed when programs are loaded, or given away with the privileges."""

FIXED_FILTERS: Final[Mapping[str, str]] = {
    "laddr": "--laddr",
    "raddr": "--raddr",
    "lports": "--lport",
    "rports": "--rport",
    "scopes": "--scope",
    "pid": "--pid",
}


@dataclass(frozen=True, slots=True)
class Reload:
    """The options from now on; those that are new, and those that would take a restart."""

    applied: ServeOptions
    changed: tuple[str, ...]
    refused: tuple[str, ...]


def changes(old: ServeOptions, new: ServeOptions) -> Reload:
    """Compare the options that are in force with those that were read now."""
    different = {field.name for field in fields(old) if _differ(old, new, field.name)}
    able = [name for name in CHANGEABLE if name in different and _is_able(old, new, name)]
    unable = [name for name in CHANGEABLE if name in different and name not in able]
    return Reload(
        applied=replace(old, places=new.places, **{name: getattr(new, name) for name in able}),
        changed=tuple(CHANGEABLE[name] for name in able),
        refused=(
            *(CHANGEABLE[name] for name in unable),
            *(option for name, option in FIXED.items() if name in different),
            *_filters(old.selection, new.selection),
        ),
    )


def _differ(old: ServeOptions, new: ServeOptions, name: str) -> bool:
    return bool(getattr(old, name) != getattr(new, name))


def _is_able(old: ServeOptions, new: ServeOptions, name: str) -> bool:
    if name != "web_config_file":
        return True
    return old.web_config_file is not None and new.web_config_file is not None


def _filters(old: Selection, new: Selection) -> tuple[str, ...]:
    names = [
        option for name, option in FIXED_FILTERS.items() if getattr(old, name) != getattr(new, name)
    ]
    if old.family != new.family:
        names.append(f"--ipv{new.family or old.family}")
    return tuple(names)
