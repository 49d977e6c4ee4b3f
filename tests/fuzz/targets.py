"""Everything that reads input from outside: options, files, headers, the kernel half's records."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import struct
import tempfile
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from trial import Target

from tcpvitals.commands.main import Parser
from tcpvitals.commands.serve_options import parse as parse_serve
from tcpvitals.errors import DecodeError
from tcpvitals.kernel.btf import Layouts
from tcpvitals.kernel.event_records import EventRecords
from tcpvitals.kernel.libbpf import Object
from tcpvitals.model.names import Names
from tcpvitals.sinks.eventjson import EventJsonSink
from tcpvitals.sinks.prometheus.negotiation import choose
from tcpvitals.sinks.retransmissions import RetransmissionsSink
from tcpvitals.sinks.states import StatesSink
from tcpvitals.sinks.web.hosts import allowed_hosts
from tcpvitals.sinks.web.listening import ListenAddress
from tcpvitals.sinks.web.pages import takes_gzip
from tcpvitals.sinks.web.tls import make_tls
from tcpvitals.sinks.web.webconfig import read_web_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tcpvitals.model.event import Event

_KIB: Final = 1024
# argparse takes time by the square of both, and only the user's own.
_MOST_WORDS, _LONGEST_WORD = 64, 6000
_OBJECT: Final = "tcpvitals.bpf.o"
_SIZE: Final = struct.Struct("<H")


# --- options -----------------------------------------------------------------------------

_WORDS: Final = {
    "rtt": (
        "--by raddr/24/48,role,service,netns -i 1 -d 5 -T --delta --top 3",
        "-b -m -e -a 10.0.0.0/8 -A 10.0.0.1 -p 80,443 -P 8080 -4 --netns blue --json",
        "-laddr-hist -sport=80 --sample network --max-groups 100 --idle 5 --attach fentry --all",
        "--by raddr --sort p99 --full",
    ),
    "retrans": (
        "-c -i 1 -d 2 --min-ratio 1.5% --delta --top 9 --sort ratio -w",
        "--by process,cgroup --verify --json -T -6 --raddr ::1/128",
        "--buffer 4096 --netns 4026531840",
    ),
    "states": (
        "-L 22,80-90 -D https --scope public,private --pid 1 -w -T -d 1 --buffer 64",
        "--json -4 --saddr 127.0.0.1",
    ),
    "serve": (
        "--listen [::1]:0 --by role,service --refresh 1 --buckets 0.001,0.1,1 --histograms rtt",
        "--allow-host a.example --allow-host [::1] --flow-ports full --max-flows 7 -q -d 1",
        "--user 7:8 --bpf-stats --insecure-listen --web.config.file=w.yml --attach tp_btf",
    ),
}


def _read_options(command: str) -> Callable[[bytes], object]:
    options = importlib.import_module(f"tcpvitals.commands.{command}_options")

    def read(data: bytes) -> None:
        words = [os.fsdecode(word[:_LONGEST_WORD]) for word in data.split(b"\0")[:_MOST_WORDS]]
        parser = Parser(prog=f"tcpvitals {command}", allow_abbrev=False)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):  # --help
            options.parse(parser, words)

    return read


def _options() -> Iterator[Target]:
    for command, lines in _WORDS.items():
        corpus = [line.replace(" ", "\0").encode() for line in lines]
        tokens = sorted({word for line in corpus for word in line.split(b"\0")})
        read = _read_options(command)
        yield Target(f"options of {command}", read, corpus, (*tokens, b"\0", b"="))


# --- files -------------------------------------------------------------------------------

_TOML: Final = (
    b"""# comment
listen = "127.0.0.1:0"
web.config.file = "web.yml"
allow-host = [
  "a.example", # one
  "b.example",
]
by = "role,raddr/24/48"
max-groups = 500
idle = 1.5
ipv4 = true
""",
    b"[web]\nconfig.file = 'w'\n",
    b'laddr = "10.0.0.0/8"\nlport = [80, 443]\nbuckets = [0.001, 1e0]\nuser = """7:8"""\n',
    b"max_groups = 0x1F\nrefresh = 0.5\nmax-flows = 1_000\nduration = 60\n",
)
_TOML_TOKENS: Final = (
    *rb"""[ ] [[ ]] { } = . , # " ' a. [a] a=1, {a=1} "a", 80, 0.5, \u0000 true -inf""".split(),
    *(b'"""', b"'''", b"\n", b"# ]\n", b"1979-05-27T07:32:00Z", b"ipv6 = true\n", b"netns = 1\n"),
)
_YAML: Final = (
    b"""tls_server_config:
  cert_file: a.crt
  key_file: a.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
http_server_config:
  http2: true
  headers:
    X-Frame-Options: deny
""",
    b"""basic_auth_users:
  alice: $2b$04$i68nSoTjI19W3Q0zdO1gAOuD/Ihs5taW/IzCBcQ2yopAufZtGI3wW
rate_limit:
  interval: 1m30s
  burst: 20
""",
    b"basic_auth_users: {}\nrate_limit: {interval: 0, burst: 1}\n",
)
_YAML_TOKENS: Final = (
    *b"{ } [ ] ~ &a *a !!int <<: ? | > --- ... null a, a:, .5ns 9h 1m curve_preferences:".split(),
    *(b": ", b"- ", b"  ", b"\n", b"\n- ", b"%YAML 1.1\n", b"a: &a [b]\n", b"b: *a\n", b"{a: "),
)


class _File:
    """A file that is written anew for each input."""

    def __init__(self, name: str) -> None:
        """Make a folder for it, which goes with the process."""
        self._folder = tempfile.TemporaryDirectory(prefix="tcpvitals-fuzz-")
        self.path = Path(self._folder.name, name)

    def write(self, data: bytes) -> None:
        self.path.write_bytes(data)


def _configuration() -> Target:
    file = _File("config.toml")

    def read(data: bytes) -> None:
        file.write(data)
        parser = Parser(prog="tcpvitals serve", allow_abbrev=False)
        parse_serve(parser, ["--config", str(file.path)])

    return Target("TOML configuration", read, _TOML, _TOML_TOKENS, 17 * _KIB)


def _web_configuration() -> Target:
    file = _File("web.yml")

    def read(data: bytes) -> None:
        file.write(data)
        config = read_web_config(file.path)
        if config.tls is not None:
            make_tls(config.tls)

    return Target("web configuration", read, _YAML, _YAML_TOKENS, 33 * _KIB)


# --- headers -----------------------------------------------------------------------------


def _host() -> Target:
    hosts = allowed_hosts(ListenAddress("127.0.0.1", 2112), ["a.example", "10.0.0.1"])

    def read(data: bytes) -> None:
        text = data.decode("latin-1")
        hosts.admit(text)
        allowed_hosts(ListenAddress("::", 1), [text])

    corpus = (b"localhost:2112", b"[::1]:80", b"127.0.0.1", b"a.example.", b"10.0.0.1:2112")
    return Target("Host", read, corpus, (b":", b"[", b"]", b".", b"::", b"%", b"@", b"/"))


def _accept() -> Target:
    def read(data: bytes) -> None:
        text = data.decode("latin-1")
        chosen = choose(text)
        assert chosen.content_type.isprintable()
        takes_gzip(text)

    corpus = (
        b"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.1",
        b"text/plain;version=0.0.4;q=0.2, text/html",
        b"gzip;\tq=0, identity;q=0.5, *",
    )
    tokens = (
        b";",
        b",",
        b"=",
        b"q=",
        b";q=0.1",
        b'"',
        b"*",
        b"gzip",
        b"version=1.0.0",
        b"text/plain",
    )
    return Target("Accept", read, corpus, tokens)


# --- what the kernel half wrote ----------------------------------------------------------


@cache
def _object_btf() -> bytes:
    """The BTF of the shipped object."""
    image = resources.files("tcpvitals").joinpath("bpf", _OBJECT).read_bytes()
    with Object(image, "fuzzed") as opened:
        return opened.btf()


def _type(name: int, kind: int, size_or_type: int, *tail: int, entries: int = 0) -> bytes:
    return struct.pack(f"<{3 + len(tail)}I", name, kind << 24 | entries, size_or_type, *tail)


def _small_btf() -> bytes:
    """An int, an array, a struct, an enum, a variable, a section; each change hits one of them."""
    types = b"".join(
        (
            _type(1, 1, 4, 32),
            _type(0, 3, 0, 1, 1, 3),
            _type(5, 4, 16, 5, 1, 0, 1, 2, 32, entries=2),
            _type(7, 6, 4, 1, 0, 5, 9, entries=2),
            _type(9, 8, 3),
            _type(9, 14, 5, 1),
            _type(12, 15, 4, 6, 0, 4, entries=1),
        )
    )
    names = b"\0int\0s\0e\0var\0.bss\0"
    return (
        struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(names))
        + types
        + names
    )


def _read_btf(data: bytes) -> None:
    """Read all that it describes, whatever it is called."""
    layouts = Layouts(data)
    readers: dict[int, Callable[[str], object]] = {
        4: layouts.struct,
        6: layouts.enum,
        15: lambda section: layouts.variable_offset(section, "var"),
    }
    for kind, name in layouts._by_name:  # noqa: SLF001 - there is no other way to know
        with contextlib.suppress(DecodeError):
            readers.get(kind, str)(name)


def _read_object_btf(data: bytes) -> None:
    EventRecords(Layouts(data))


def _btf() -> Iterator[Target]:
    yield Target("BTF", _read_btf, (_small_btf(),))
    yield Target("BTF of the object", _read_object_btf, (_object_btf(),), (), 1 << 20)


def _record(layouts: Layouts, kind: str, struct_name: str) -> bytes:
    """One event of this kind, with its size before it."""
    record = np.zeros(1, layouts.struct(struct_name))
    record["event"]["kind"] = layouts.enum("event_kind")[kind]
    record["event"]["ends"]["family"] = 4
    record["event"]["owner"]["comm"][0, :5] = np.frombuffer(b"nginx", np.uint8)
    raw = record.tobytes()
    return _SIZE.pack(len(raw)) + raw


def _split(data: bytes) -> Iterator[bytes]:
    """The records, each with its size before it; the last may be cut off."""
    while len(data) >= _SIZE.size:
        (size,) = _SIZE.unpack_from(data)
        yield data[_SIZE.size : _SIZE.size + size]
        data = data[_SIZE.size + size :]


def _events() -> Target:
    layouts = Layouts(_object_btf())
    records = EventRecords(layouts)
    retransmission = _record(layouts, "EVENT_RETRANSMISSION", "retransmission")
    change = _record(layouts, "EVENT_STATE", "state_change")

    def read(data: bytes) -> None:
        _show(records.decode(list(_split(data))))

    corpus = (retransmission, change, retransmission + change + retransmission)
    return Target("events", read, corpus, (), 4 * _KIB)


def _show(events: Sequence[Event]) -> None:
    """Whatever is decoded can be shown, and as JSON that every parser takes."""
    text, lines = io.StringIO(), io.StringIO()
    comms = {os.fsdecode(event.owner.comm) for event in events}
    names = Names(
        {event.ends.netns: comm for event in events for comm in comms},
        {event.owner.cgroup_id: comm for event in events for comm in comms},
    )
    for sink in (
        RetransmissionsSink(stream=text, wall=_wall, size=lambda: (80, 24)),
        StatesSink(stream=text, wall=_wall, timestamp=True),
        EventJsonSink(stream=lines, wall=_wall),
    ):
        sink.show(events, names, {"events": 0})
    shown = lines.getvalue().splitlines()
    assert len(shown) == len(events)
    assert all(json.loads(line)["type"] in {"state", "retransmission"} for line in shown)
    assert (text.getvalue() + lines.getvalue()).replace("\n", "").isprintable()


def _wall(_boot_ns: int) -> datetime:
    return datetime(2026, 1, 2, tzinfo=UTC)


def all_targets() -> list[Target]:
    """Return them all, in the order of their names in CONTRIBUTING.md."""
    return [
        *_options(),
        _configuration(),
        _web_configuration(),
        _host(),
        _accept(),
        *_btf(),
        _events(),
    ]
