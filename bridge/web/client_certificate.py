"""The names of the certificate that the client of a request has shown."""

from aiohttp import web

COMMON_NAME = "commonName"


def certificate_names(request: web.Request) -> tuple[str, ...]:
    """Return the URIs, the DNS names and the common name of a verified client certificate; () where none was shown."""
    transport = request.transport
    shown = (transport.get_extra_info("peercert") if transport is not None else None) or {}
    names = [*shown.get("subjectAltName", ())]
    names += (pair for part in shown.get("subject", ()) for pair in part)
    return tuple(
        name for kind in ("URI", "DNS", COMMON_NAME) for which, name in names if which == kind
    )
