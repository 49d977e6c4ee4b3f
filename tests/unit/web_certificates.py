"""Certificates made with the openssl command, each valid for a day."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, in files."""

    file: Path
    key: Path


def make_certificate(
    folder: Path, name: str, san: str, signed_by: Certificate | None = None
) -> Certificate:
    """Make a certificate for `san` (as DNS:localhost), signed by itself or by another."""
    made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={san}"]
    if signed_by is not None:
        subject += ["-CA", str(signed_by.file), "-CAkey", str(signed_by.key)]
        subject += ["-addext", "basicConstraints=CA:FALSE"]
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    files = ["-keyout", str(made.key), "-out", str(made.file), "-days", "1"]
    command = ["openssl", "req", "-x509", "-sha256", *new_key, *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    return made


def client_context(
    trusted: Certificate, own: Certificate | None = None, version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """Return what a client needs that trusts one certificate, and may have one of its own."""
    context = ssl.create_default_context(cafile=str(trusted.file))
    if own is not None:
        context.load_cert_chain(own.file, own.key)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context
