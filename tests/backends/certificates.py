"""Certificates for servers of tests."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.backends.require import require_installed

if TYPE_CHECKING:
    from pathlib import Path


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate with its key, for a host of this name."""
    openssl = require_installed("openssl", "openssl")
    path = folder / f"{name}.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName={name}"),
            *("-keyout", path, "-out", f"{path}.crt"),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + (folder / f"{path.name}.crt").read_text())
    return path


def authority(folder: Path, name: str) -> Path:
    """The certificate of an authority; its key lies beside it."""
    public = folder / f"{name}.crt"
    _openssl(public, "-subj", f"/CN={name}", "-keyout", str(public.with_suffix(".key")))
    return public


def signed(folder: Path, by: Path, name: str, host: str = "IP:127.0.0.1") -> Path:
    """A certificate that an authority has signed, with its key in the same file."""
    path, key = folder / f"{name}.pem", folder / f"{name}.key"
    signer = ("-CA", str(by), "-CAkey", str(by.with_suffix(".key")), "-addext", f"subjectAltName={host}")
    # Without these it would be an authority, too.
    plain = ("-addext", "basicConstraints=critical,CA:FALSE")
    _openssl(path, "-subj", f"/CN={name}", *signer, *plain, "-keyout", str(key))
    path.write_text(key.read_text() + path.read_text())
    return path


def _openssl(path: Path, *more: str) -> None:
    openssl = require_installed("openssl", "openssl")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    subprocess.run([openssl, "req", "-x509", *curve, *more, "-out", str(path)], check=True, capture_output=True)
