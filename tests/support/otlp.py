"""A real OTLP receiver, for both protocols, from opentelemetry-proto's own service definitions."""

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as wire
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service

PROTOCOLS = ("grpc", "http/protobuf")


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it arrived, in plain values."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    events: list[tuple[str, int, dict[str, Any]]]
    links: list[tuple[str, str, dict[str, Any]]]
    status: int
    message: str
    resource: dict[str, Any]
    scope: str
    flags: int


@dataclass
class Receiver:
    """What has arrived, and where it listens."""

    url: str = ""
    port: int = 0
    spans: list[ReceivedSpan] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def named(self, name: str) -> list[ReceivedSpan]:
        """Return the spans of one name, in order of arrival."""
        return [span for span in self.spans if span.name == name]

    def take(self, request: wire.ExportTraceServiceRequest, headers: dict[str, str]) -> None:
        """Keep what a request carries."""
        self.headers.append(headers)
        for group in request.resource_spans:
            resource = _plain(group.resource.attributes)
            for scope in group.scope_spans:
                self.spans += [_received(span, resource, scope.scope.name) for span in scope.spans]


@contextmanager
def receiving(protocol: str, *, port: int = 0, kept: Receiver | None = None):
    """Receive spans until the block is left; `kept` goes on where an earlier receiver stopped."""
    receiver = kept or Receiver()
    serve = _serving_grpc if protocol == "grpc" else _serving_http
    with serve(receiver, port) as bound:
        receiver.port = bound
        path = "" if protocol == "grpc" else "/v1/traces"
        receiver.url = f"http://127.0.0.1:{bound}{path}"
        yield receiver


@contextmanager
def _serving_grpc(receiver: Receiver, port: int):
    class Servicer(service.TraceServiceServicer):
        def Export(self, request, context):  # noqa: N802 -- the name is the protocol's
            receiver.take(request, dict(context.invocation_metadata()))
            return wire.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    service.add_TraceServiceServicer_to_server(Servicer(), server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield bound
    finally:
        server.stop(0).wait()


@contextmanager
def _serving_http(receiver: Receiver, port: int):
    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_right = (
                self.path == "/v1/traces"
                and self.headers["Content-Type"] == "application/x-protobuf"
            )
            if is_right:
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                named = {name.lower(): value for name, value in self.headers.items()}
                receiver.take(wire.ExportTraceServiceRequest.FromString(body), named)
            self.send_response(200 if is_right else 404)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Endpoint)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _received(span: Any, resource: dict[str, Any], scope: str) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_plain(span.attributes),
        events=[
            (event.name, event.time_unix_nano, _plain(event.attributes)) for event in span.events
        ],
        links=[
            (link.trace_id.hex(), link.span_id.hex(), _plain(link.attributes))
            for link in span.links
        ],
        status=span.status.code,
        message=span.status.message,
        resource=resource,
        scope=scope,
        flags=span.flags,
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}
