"""What is shown of one snapshot, and its text in each format: written when somebody asks, once."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from prometheus_client import exposition as classic
from prometheus_client.openmetrics import exposition as openmetrics

from tcpvitals.sinks.prometheus.text import chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from prometheus_client.core import Metric

    from tcpvitals.sinks.prometheus.table import Table

# Lines are much alike: more effort takes three times as long and saves little.
_EFFORT: Final = 1
_GZIP: Final = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True, eq=False)
class _Collected:
    """What the library can write: a Collector."""

    metrics: Sequence[Metric]

    def collect(self) -> Sequence[Metric]:
        return self.metrics


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """Our own tables, and what the library has to say of this process.

    A text is kept in the form that was asked for first, as a rule compressed, which is a twelfth;
    the other form is made of it.
    """

    tables: Sequence[Table]
    process: Sequence[Metric]
    _bodies: dict[tuple[bool, bool], bytes] = field(default_factory=dict)

    def metrics(self) -> Iterator[Metric]:
        """Return everything as objects of the library, in the order in which it is written."""
        yield from (table.metric() for table in self.tables)
        yield from self.process

    def body(self, *, in_openmetrics: bool, compressed: bool) -> bytes:
        """Return the text, or the same compressed as gzip."""
        key = (in_openmetrics, compressed)
        if key not in self._bodies:
            self._bodies[key] = self._made(in_openmetrics=in_openmetrics, compressed=compressed)
        return self._bodies[key]

    def _made(self, *, in_openmetrics: bool, compressed: bool) -> bytes:
        other_form = self._bodies.get((in_openmetrics, not compressed))
        if other_form is None:
            written = self._written(in_openmetrics=in_openmetrics)
            return _gzip(written) if compressed else b"".join(written)
        return _gzip([other_form]) if compressed else zlib.decompress(other_form, _GZIP)

    def _written(self, *, in_openmetrics: bool) -> Iterator[bytes]:
        for chunk in chunks(self.tables, openmetrics=in_openmetrics):
            yield chunk.encode()
        write = openmetrics.generate_latest if in_openmetrics else classic.generate_latest
        yield bytes(write(_Collected(self.process)))


def _gzip(chunks_of_text: Iterable[bytes]) -> bytes:
    # Unlike gzip.compress, this puts no time into it: the same text is the same bytes.
    compressor = zlib.compressobj(_EFFORT, zlib.DEFLATED, _GZIP)
    return b"".join((*map(compressor.compress, chunks_of_text), compressor.flush()))
