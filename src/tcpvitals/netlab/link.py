"""A link: a client's and a server's network namespace, and a wire between them that can be bad.

Addresses are the same in every link, as no two links meet.  Neighbours are permanent and addresses
are not probed for duplicates, so that loss hits the traffic and never ARP or neighbour discovery.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from tcpvitals.netlab.errors import NetlabError
from tcpvitals.netlab.impairment import (
    CLEAN,
    Engine,
    Impairment,
    choose_engine,
    netem_arguments,
    nft_ruleset,
)
from tcpvitals.netlab.namespace import Namespace, open_namespace
from tcpvitals.netlab.support import netem_support

if TYPE_CHECKING:
    from collections.abc import Iterator

Side = Literal["client", "server"]


@dataclass(frozen=True)
class _End:
    """What one end of a link is called."""

    ipv4: str
    ipv6: str
    mac: str


_ENDS: dict[Side, _End] = {
    "client": _End("10.0.0.1", "fd00::1", "02:00:00:00:00:01"),
    "server": _End("10.0.0.2", "fd00::2", "02:00:00:00:00:02"),
}
_OTHER: dict[Side, Side] = {"client": "server", "server": "client"}

CLIENT_IPV4, CLIENT_IPV6 = _ENDS["client"].ipv4, _ENDS["client"].ipv6
SERVER_IPV4, SERVER_IPV6 = _ENDS["server"].ipv4, _ENDS["server"].ipv6

_QUEUE = 10_000  # packets; longer than any window a test opens, so that only a wish loses packets


class _Wire(Protocol):
    """The devices between two namespaces, one in each, and what makes them bad."""

    device: str
    has_neighbours: bool

    def impair(self, to_server: Impairment, to_client: Impairment) -> None: ...

    def close(self) -> None: ...


class Link:
    """Two joined network namespaces.  Made by `open_link`.

    Attributes:
        client: the namespace with the addresses CLIENT_IPV4 and CLIENT_IPV6.
        server: the namespace with the addresses SERVER_IPV4 and SERVER_IPV6.
        engine: what makes the wire bad.
        device: what the wire's device is called, in both namespaces.
    """

    def __init__(self, client: Namespace, server: Namespace, engine: Engine, wire: _Wire) -> None:
        """Describe a link whose wire is in place."""
        self.client = client
        self.server = server
        self.engine: Engine = engine
        self.device = wire.device
        self._wire = wire

    def impair(self, to_server: Impairment, to_client: Impairment | None = None) -> None:
        """Make the wire as bad as this from now on; without `to_client`, the same both ways.

        Packets under way keep what they were given.

        Raises:
            ValueError: this link's engine cannot do it.
            NetlabError: the kernel refused.
        """
        self._wire.impair(to_server, to_server if to_client is None else to_client)

    def add_prefix(self, side: Side, prefix: str) -> None:
        """Make every address of an IPv4 or IPv6 prefix a local address of one side.

        Programs on that side may bind to any of them, and the other side has a route.  It takes no
        memory per address: one namespace can play a hundred thousand peers.

        Raises:
            ValueError: not a prefix, such as 10.64.0.0/12 or fd64::/64.
            NetlabError: the kernel refused, as it does for a prefix that is already there.
        """
        version = ipaddress.ip_network(prefix).version
        owner = self.client if side == "client" else self.server
        other = self.server if side == "client" else self.client
        ip = ["ip", f"-{version}", "route", "add"]
        if version == 6:  # noqa: PLR2004 the protocol's number
            # Unlike IPv4, bind() looks for an address, which a local route is not.
            owner.set_sysctl("net.ipv6.ip_nonlocal_bind", 1)
        owner.run([*ip, "local", prefix, "dev", "lo"])
        gateway = _ENDS[side].ipv4 if version == 4 else _ENDS[side].ipv6  # noqa: PLR2004 likewise
        other.run([*ip, prefix, "via", gateway, "dev", self.device])


@contextlib.contextmanager
def open_link(  # noqa: PLR0913 a wire has this many properties; all but the first two by name
    to_server: Impairment = CLEAN,
    to_client: Impairment | None = None,
    *,
    engine: Engine | None = None,
    segmentation_offload: bool = True,
    seed: int = 1,
    lifetime_s: float = 600,
) -> Iterator[Link]:
    """Join two new namespaces by a wire of MTU 1500, and remove it all at the end.

    Args:
        to_server: what happens to packets from the client to the server.
        to_client: what happens in the other direction; the same if not given.
        engine: what makes the wire bad; if not given, netem where the kernel has it, else nft if
            only loss is asked for, else the relay.
        segmentation_offload: whether the kernel may hand over many segments as one packet, which a
            lossy wire then drops as one.  The relay never does.
        seed: what the relay's random decisions start from; netem and nft have none to give.
        lifetime_s: when the namespaces and the relay end by themselves, in seconds.

    Raises:
        NetlabError: not root, a tool is missing, or the kernel refused.
        ValueError: the engine asked for cannot do what is asked.
    """
    if to_client is None:
        to_client = to_server
    if engine is None:
        engine = choose_engine((to_server, to_client), netem=netem_support().yes is True)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(open_namespace(lifetime_s=lifetime_s))
        server = stack.enter_context(open_namespace(lifetime_s=lifetime_s))
        wire: _Wire
        if engine == "relay":
            wire = _RelayWire(client, server, seed, lifetime_s)
        else:
            wire = _VethWire(client, server, engine, segmentation_offload=segmentation_offload)
        stack.callback(wire.close)
        _configure(client, "client", wire)
        _configure(server, "server", wire)
        wire.impair(to_server, to_client)
        yield Link(client, server, engine, wire)


def _configure(namespace: Namespace, side: Side, wire: _Wire) -> None:
    """Give one end of the wire its addresses and, where it has them, its neighbour."""
    here, there = _ENDS[side], _ENDS[_OTHER[side]]
    device = f"dev {wire.device}"
    batch = [
        f"link set {device} mtu 1500 txqueuelen {_QUEUE} addrgenmode none",
        f"address add {here.ipv4}/24 {device}",
        f"address add {here.ipv6}/64 {device} nodad",
        f"link set {device} up",
    ]
    if wire.has_neighbours:
        batch += [
            f"neighbour replace {address} lladdr {there.mac} {device} nud permanent"
            for address in (there.ipv4, there.ipv6)
        ]
    namespace.run(["ip", "-batch", "-"], stdin="\n".join(batch) + "\n")


class _VethWire:
    """A veth pair, made bad by netem where packets leave or by nft where they arrive."""

    device = "veth0"
    has_neighbours = True

    def __init__(
        self, client: Namespace, server: Namespace, engine: Engine, *, segmentation_offload: bool
    ) -> None:
        self._client = client
        self._server = server
        self._engine = engine
        self._bad: set[Namespace] = set()
        near, far = _ENDS["client"].mac, _ENDS["server"].mac
        pair = f"link add {self.device} address {near} type veth"
        pair += f" peer name {self.device} address {far} netns {server.pid}"
        client.run(["ip", *pair.split()])
        if not segmentation_offload:
            for namespace in (client, server):
                namespace.run(["ip", "link", "set", self.device, "gso_max_segs", "1"])

    def impair(self, to_server: Impairment, to_client: Impairment) -> None:
        """Tell the kernel; a wire that was never bad is left alone."""
        if self._engine == "netem":
            ends = {self._client: to_server, self._server: to_client}
        else:
            ends = {self._server: to_server, self._client: to_client}
        for namespace, impairment in ends.items():
            if impairment != CLEAN or namespace in self._bad:
                self._bad.add(namespace)
                self._impair_at(namespace, impairment)

    def _impair_at(self, namespace: Namespace, impairment: Impairment) -> None:
        if self._engine == "nft":
            namespace.run(["nft", "-f", "-"], stdin=nft_ruleset(impairment, self.device))
        else:
            root = ["tc", "qdisc", "replace", "dev", self.device, "root"]
            namespace.run([*root, *netem_arguments(impairment)])

    def close(self) -> None:
        """Leave the pair to the kernel: it goes with either namespace."""


class _RelayWire:
    """A TUN device in each namespace, and the process that forwards between them."""

    device = "tun0"
    has_neighbours = False

    def __init__(self, client: Namespace, server: Namespace, seed: int, lifetime_s: float) -> None:
        far = "tun1"  # until it is moved out of the client's namespace
        relay = [sys.executable, "-m", "tcpvitals.netlab.relay", self.device, far]
        relay += ["--seed", str(seed), "--lifetime-s", str(lifetime_s)]
        self._process = client.popen(relay, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._expect("ready")
        client.run(["ip", "link", "set", far, "netns", str(server.pid)])
        server.run(["ip", "link", "set", far, "name", self.device])

    def impair(self, to_server: Impairment, to_client: Impairment) -> None:
        """Tell the relay, and wait until it has heard."""
        wanted = {"to_server": asdict(to_server), "to_client": asdict(to_client)}
        if self._process.stdin:
            print(json.dumps(wanted), file=self._process.stdin, flush=True)
        self._expect("done")

    def _expect(self, word: str) -> None:
        answer = self._process.stdout.readline() if self._process.stdout else ""
        if answer.strip() != word:
            message = f"the relay between two TUN devices ended: {answer.strip() or 'no answer'}"
            raise NetlabError(message)

    def close(self) -> None:
        """End the relay; both devices go with it."""
        self._process.kill()
        self._process.communicate()
