"""The server's certificate and its key, checked before anything starts. Light: it loads no server."""

from __future__ import annotations

import ssl

from app.places import read_regular
from app.settings import Settings
from app.shared.listener import CannotServe

PROTOCOLS = ["http/1.1"]  # offered to clients that ask (ALPN)


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """What connections are secured with; None where they are not. Raises CannotServe."""
    if settings.tls_certificate is None:
        if settings.tls_key is not None:
            raise CannotServe("ENCODERY_TLS_KEY needs a certificate: set ENCODERY_TLS_CERTIFICATE.")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # TLS 1.2 and 1.3
    context.set_alpn_protocols(PROTOCOLS)
    load(context, settings)
    return context


def load(context: ssl.SSLContext, settings: Settings) -> None:
    """Use the files as they are now, for connections that come from now on. Raises CannotServe."""
    certificate, key = settings.tls_certificate, settings.tls_key
    assert certificate is not None
    for name, file in (("CERTIFICATE", certificate), ("KEY", key)):
        try:
            if file is not None:
                read_regular(file)
        except OSError as error:
            raise CannotServe(f"ENCODERY_TLS_{name}={file}: {error.strerror}.") from None
    try:
        context.load_cert_chain(certificate, key, password=_has_none)
    except ssl.SSLError as error:
        raise CannotServe(
            f"ENCODERY_TLS_CERTIFICATE={certificate}: {_REASONS.get(error.reason, _UNREADABLE)}."
        ) from None


def _has_none() -> str:
    """Stand for a person who would be asked for the key's password."""
    raise CannotServe(
        "The key of ENCODERY_TLS_KEY has a password; give it without one, in a file of mode 600."
    )


_UNREADABLE = "there is no certificate in PEM in it, or no private key in that of ENCODERY_TLS_KEY"
_REASONS = {"KEY_VALUES_MISMATCH": "the key of ENCODERY_TLS_KEY is that of another certificate"}
