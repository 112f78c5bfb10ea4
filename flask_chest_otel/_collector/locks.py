"""Checks the TLS certificate, key and bearer token of the collector's receiver, or whether it is open to everybody."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from flask_chest_otel._collector.requests import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["lock_problems"]

SHORTEST = 16
"""Length from which a token cannot be guessed, characters."""


def lock_problems(environ: Mapping[str, str], *, secure: bool) -> Iterator[str]:
    """Yield a sentence for each problem.

    Args:
        environ: The environment that the collector will have.
        secure: Whether the configuration has ``secure.yaml``.
    """
    host = environ.get("CHEST_OTLP_HOST", "")
    if secure:
        yield from _tokens(environ.get("CHEST_OTLP_TOKEN", ""), environ.get("CHEST_OTLP_TOKEN_FILE", ""))
        yield from _certificate(environ.get("CHEST_TLS_CERT", ""), environ.get("CHEST_TLS_KEY", ""))
    elif host and not is_loopback(host):
        yield (
            f"CHEST_OTLP_HOST={host} lets everybody who reaches this address send data, unencrypted. Add --secure, or "
            "type: unset CHEST_OTLP_HOST"
        )


def _tokens(token: str, path: str) -> Iterator[str]:
    where, tokens = "CHEST_OTLP_TOKEN", [token] if token else []
    if path:
        where = f"CHEST_OTLP_TOKEN_FILE={path}"
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except OSError:
            yield f"secure: {where} cannot be read. Type the path of a file with one token per line."
            return
        # Words after the token are a comment.
        tokens = [line.split()[0] for line in lines if line.strip()]
        if not tokens:
            yield f"secure: {where} holds no token: nobody could come in. Write one per line."
    for one in tokens:
        if len(one) < SHORTEST:
            yield (
                f"secure: {where} has a token of {len(one)} characters: it can be guessed. Make one: "
                "openssl rand -hex 32"
            )


def _certificate(certificate: str, key: str) -> Iterator[str]:
    for variable, path in (("CHEST_TLS_CERT", certificate), ("CHEST_TLS_KEY", key)):
        if path and not os.access(path, os.R_OK):
            yield f"secure: {variable}={path} cannot be read. Type the path of a PEM file, and let this user read it."
            return
    if not certificate or not key:
        return
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        server.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        why = "belongs to another certificate" if "MISMATCH" in str(error) else f"cannot be used: {error}"
        yield f"secure: CHEST_TLS_KEY={key} {why}. Type the path of the key that was made with {certificate}."
        return
    said = _handshake(server, certificate)
    if said:
        yield f"secure: CHEST_TLS_CERT={certificate}: {said}. Applications will refuse it: renew it."


def _handshake(server: ssl.SSLContext, certificate: str) -> str:
    """Do a TLS handshake in memory, and return the client's complaint about the certificate; ``""`` where it has none.

    The client trusts the certificate itself, so complaints are about its dates and its use.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return str(error.verify_message)
            except ssl.SSLError as error:
                return str(error.reason)
    return ""
