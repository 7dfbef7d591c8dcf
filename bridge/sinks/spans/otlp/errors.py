"""Why an export failed, in the words that an operator reads."""

from bridge.errors import StorageError
from bridge.proxies import Proxy
from bridge.sinks.spans.endpoint import Endpoint

CauseAndWayOut = tuple[str, str]

TEXT_LIMIT = 300
"""Characters shown of what an endpoint says."""


class ExportError(StorageError):
    """The endpoint has not accepted an export; the text has the cause and the way out."""

    def __init__(
        self, message: str, *, retry_after_seconds: float = 0.0, is_refusal: bool = False
    ) -> None:
        """Raise for an export that is retried, after `retry_after_seconds` where the endpoint asks for that."""
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.is_refusal = is_refusal
        """The endpoint has answered: the spans themselves may be the reason."""


def sentence(endpoint: Endpoint, proxy: Proxy | None, cause: str, way_out: str) -> str:
    """Return the sentence about a failure: where, through what, why, and what to do."""
    way = f" through {proxy}" if proxy else ""
    hints = [way_out]
    if endpoint.port_hint and "otlp_protocol" not in way_out:
        hints.append(endpoint.port_hint)
    if proxy:
        hints.append(f"if no proxy is meant, add {endpoint.host} to no_proxy")
    return f"{endpoint.url} by {endpoint.protocol}{way}: {cause}: {'; '.join(filter(None, hints))}"


def closed_way_out(endpoint: Endpoint) -> str:
    """Return what to do where an endpoint ends a connection without a word."""
    other = "http/protobuf" if endpoint.protocol == "grpc" else "grpc"
    tls = (
        "if it asks for a certificate, set otlp_client_cert_file and otlp_client_key_file"
        if endpoint.is_tls
        else "if it expects TLS, write https://"
    )
    return (
        f"check host and port of otlp_endpoint; if it is an endpoint for {other}, set otlp_protocol"
        f" (--otlp-protocol {other}); {tls}"
    )


def quoted(text: str) -> str:
    """Return what an endpoint says, printable and not too long, to follow on a sentence; "" for nothing."""
    words = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    if not words:
        return ""
    return f' ("{words[:TEXT_LIMIT]}{"..." if len(words) > TEXT_LIMIT else ""}")'
