"""The proxy between the bridge and an endpoint."""

from collections.abc import Sequence

from bridge.proxies import Proxy, proxy_for
from bridge.sinks.spans.endpoint import Endpoint
from bridge.sinks.spans.otlp.errors import ExportError, sentence


def proxy_of(endpoint: Endpoint, variables: Sequence[str]) -> Proxy | None:
    """Return the proxy that these variables name for an endpoint; raises ExportError for one that cannot be used."""
    proxy = proxy_for(endpoint.host, endpoint.port, variables=variables)
    if proxy is not None and not proxy.is_usable:
        cause, way_out = (
            "a proxy must be http://HOST:PORT",
            f"set {proxy.variable} to an HTTP proxy",
        )
        raise ExportError(sentence(endpoint, proxy, cause, way_out))
    return proxy
