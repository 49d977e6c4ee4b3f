"""The pages: which answers are compressed."""

from __future__ import annotations

import pytest

from tcpvitals.sinks.web.pages import takes_gzip


@pytest.mark.parametrize(
    "header",
    [
        "gzip",
        "GZIP",
        "x-gzip",
        "*",
        "deflate, gzip",
        "deflate,\tgzip\t;\tq=0.001",
        "gzip;q=1.000",
        "*;q=0, gzip",
        "identity;q=1, gzip;q=0.5",
    ],
)
def test_gzip_is_taken_where_it_is_named_and_not_refused(header: str) -> None:
    assert takes_gzip(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "identity",
        "gzip2",
        "gzip;q=0",
        "gzip;\tq=0",
        "gzip\t;q=0",
        "gzip ; Q=0.000",
        "gzip;q=\t0",
        "gzip;q=0.0, *",
        "*, gzip;q=0",
        "*;\tq=0",
        "gzip;q=-1",
        "gzip;q=none",
    ],
)
def test_what_refuses_gzip_in_any_spelling_does_not_get_it(header: str) -> None:
    assert not takes_gzip(header)
