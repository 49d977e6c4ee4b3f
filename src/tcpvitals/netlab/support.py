"""Whether this kernel has netem, asked of the kernel itself."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from tcpvitals.netlab.errors import NetlabError
from tcpvitals.netlab.namespace import open_namespace


@dataclass(frozen=True)
class Answer:
    """What the kernel said: yes (True), no (False), or could not tell (None), and its words."""

    yes: bool | None
    reason: str


@functools.cache
def netem_support() -> Answer:
    """Say whether sch_netem is here, by using it in a namespace made for that.

    Asked once in a process's life: a module that the kernel can load is loaded by asking.
    """
    try:
        with open_namespace(lifetime_s=60) as namespace:
            added = namespace.run(
                ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "limit", "10"], check=False
            )
    except NetlabError as error:
        return Answer(None, str(error))
    words = added.stderr.strip()
    if added.returncode == 0:
        return Answer(yes=True, reason="tc added a netem qdisc")
    # iproute2 passes on the kernel's words, which changed case over time.
    return Answer(False if "qdisc kind is unknown" in words.lower() else None, words)
