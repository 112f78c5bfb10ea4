"""The files of certificates that the standard variables name, as both protocols use them."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask_chest_otel._otlp.client import OtlpEndpoint

__all__ = ["context_for"]


def context_for(address: OtlpEndpoint) -> ssl.SSLContext:
    """What TLS to an address begins with; the files are read each time, as they are renewed while we run.

    Raises:
        OSError: A file cannot be used; the message says which, and why.
    """
    own, known = address.client_certificate, address.certificate
    try:
        context = ssl.create_default_context(cafile=known)
        if own is not None:
            # Without that, OpenSSL asks the terminal for the password of an encrypted key, and waits.
            context.load_cert_chain(*own, password=_no_password)
    except OSError as error:
        # It does not say itself which file it is about.
        files = ", ".join(filter(None, [known, *(own or ())]))
        raise OSError(f"certificates {files} cannot be used: {error}") from error
    return context


def _no_password() -> str:
    raise OSError("the key has a password: type the path of one without, which only the application's user can read")
