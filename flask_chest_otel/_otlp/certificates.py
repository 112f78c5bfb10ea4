"""TLS settings for both protocols, from the certificate files that OpenTelemetry's variables name."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask_chest_otel._otlp.client import OtlpEndpoint

__all__ = ["context_for"]


def context_for(address: OtlpEndpoint) -> ssl.SSLContext:
    """Return the TLS context for an address.

    The files are read with each call, as certificates are renewed while the process runs.

    Raises:
        OSError: A file cannot be used; the message names the files and the reason.
    """
    own, known = address.client_certificate, address.certificate
    try:
        context = ssl.create_default_context(cafile=known)
        if own is not None:
            # Without a function for the password, OpenSSL asks for it on the terminal and waits.
            context.load_cert_chain(*own, password=_no_password)
    except OSError as error:
        # OpenSSL's message does not name the file.
        files = ", ".join(filter(None, [known, *(own or ())]))
        raise OSError(f"certificates {files} cannot be used: {error}") from error
    return context


def _no_password() -> str:
    raise OSError("the key has a password: type the path of one without, which only the application's user can read")
