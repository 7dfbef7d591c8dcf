"""Headers that tell browsers what a response may do, and who may frame it."""

from urllib.parse import urlsplit

from aiohttp import web

from bridge.web.dependencies import DEPENDENCIES, AppDependencies
from bridge.web.links import public_url

TLS_ALONE = "max-age=31536000"
"""What Strict-Transport-Security says: for a year, a browser is to use nothing but TLS with this name (RFC 6797)."""


def is_public_name(request: web.Request) -> bool:
    """Return whether a request names the host of an https:// public URL without a port.

    Browsers apply Strict-Transport-Security to every port of a name, so that it would shut out whatever else is served
    in plain text there, such as Grafana beside a bridge: only a name that is the bridge's own may have it.
    """
    public = urlsplit(public_url(request.app[DEPENDENCIES]))
    return public.scheme == "https" and public.port is None and request.host == public.netloc


def security_headers(deps: AppDependencies) -> dict[str, str]:
    """Return the headers that tell browsers what every response may do."""
    policy = (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; "
        f"frame-ancestors {_frame_ancestors(deps)}"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        # With no-referrer, browsers would send "Origin: null" with our own forms.
        "Referrer-Policy": "same-origin",
        "Server": "trainbridge",
    }


def _frame_ancestors(deps: AppDependencies) -> str:
    if "'none'" in deps.frame_ancestors:
        return "'none'"
    grafana = urlsplit(deps.grafana_url)
    origin = (f"{grafana.scheme}://{grafana.netloc}",) if grafana.netloc else ()
    return " ".join(dict.fromkeys(("'self'", *origin, *deps.frame_ancestors)))
