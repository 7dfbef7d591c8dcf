"""Where a request comes from, and whether over TLS: as its connection shows it, or as a trusted proxy says.

Only X-Forwarded-For and X-Forwarded-Proto are read. A proxy that writes one kind of header may pass on another as its
client made it up, so there can be only one; nearly all write this one, and not Forwarded (RFC 7239).
"""

from itertools import islice

from aiohttp import web

from bridge.web.trusted_proxies import TrustedProxies, plain_address

TRUSTED_PROXIES = web.AppKey("trusted_proxies", TrustedProxies)

FORWARDED_FOR, FORWARDED_PROTO = "X-Forwarded-For", "X-Forwarded-Proto"

MOST_HOPS = 16
"""Of longer lists, only those that came last are read."""


def client_address(request: web.Request) -> str:
    """Return the address that a request comes from, "" where there is none.

    Through trusted proxies, it is the last one in X-Forwarded-For that is not itself one of them.
    """
    return _origin(request)[0]


def is_secure(request: web.Request) -> bool:
    """Return whether a request comes over TLS, to this bridge or to a trusted proxy."""
    hops = _origin(request)[1]
    schemes = _last_entries(request, FORWARDED_PROTO) if hops else []
    if not schemes:
        return request.secure
    return schemes[min(hops, len(schemes)) - 1].lower() == "https"


def scheme_of(request: web.Request) -> str:
    """Return the scheme of the address that a request was sent to."""
    return "https" if is_secure(request) else "http"


def _origin(request: web.Request) -> tuple[str, int]:
    """Return the address of a request, and how many trusted proxies have passed it on."""
    remote, proxies = request.remote or "", request.app[TRUSTED_PROXIES]
    address = plain_address(remote) or remote
    if address not in proxies:
        return address, 0
    hops = 1
    for entry in _last_entries(request, FORWARDED_FOR):
        found = _address_in(entry)
        if not found:
            break
        address = found
        if address not in proxies:
            break
        hops += 1
    return address, hops


def _last_entries(request: web.Request, header: str) -> list[str]:
    """Return the entries of a list in a header, the last one first."""
    values = request.headers.getall(header, ())
    entries = (entry.strip() for value in reversed(values) for entry in reversed(value.split(",")))
    return list(islice(entries, MOST_HOPS))


def _address_in(entry: str) -> str:
    """Return the address in an entry, which may have a port; "" where there is none."""
    if entry.startswith("["):
        host = entry[1:].partition("]")[0]
    else:
        host = entry.partition(":")[0] if entry.count(":") == 1 else entry
    return plain_address(host)
