"""Headers that tell browsers what a response may do, and who may frame it."""

from urllib.parse import urlsplit

from bridge.web.dependencies import AppDependencies


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
