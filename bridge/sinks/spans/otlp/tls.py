"""The certificates of a connection, checked before it is made."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from bridge.sinks.spans.endpoint import Endpoint
from bridge.sinks.spans.otlp.errors import ExportError, sentence


def context_of(endpoint: Endpoint) -> ssl.SSLContext:
    """Return what an endpoint is trusted by; raises ExportError, with the setting, for files that cannot be used."""
    with _explained(endpoint, "otlp_ca_file", "certificates in PEM"):
        context = ssl.create_default_context(cafile=endpoint.ca_file or None)
    if endpoint.client_cert_file:
        settings = "otlp_client_cert_file and otlp_client_key_file"
        with _explained(endpoint, settings, "a certificate and its own key in PEM"):
            context.load_cert_chain(endpoint.client_cert_file, endpoint.client_key_file or None)
    return context


@contextmanager
def _explained(endpoint: Endpoint, settings: str, expected: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        cause = f"what {settings} name is not {expected} ({error.reason or error})"
        raise ExportError(sentence(endpoint, None, cause, f"correct {settings}")) from error
    except OSError as error:
        cause = f"a file that {settings} name cannot be read ({error.strerror})"
        way_out = f"correct the name, or let user {os.geteuid()} read it"
        raise ExportError(sentence(endpoint, None, cause, way_out)) from error
