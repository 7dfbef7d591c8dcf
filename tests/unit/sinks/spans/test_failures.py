"""Collectors that refuse, hang or are something else: each failure has a cause and a way out."""

import socket
import ssl
import threading
import time

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as wire
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from support.certificates import Authority
from support.collectors import (
    answer,
    close,
    drip,
    drip_body,
    endless_body,
    forwarding,
    hang,
    misbehaving,
    reset,
    say,
)
from support.otlp import PROTOCOLS, receiving
from support.ports import free_port

from bridge.sinks.spans.endpoint import Endpoint
from bridge.sinks.spans.otlp import OtlpExporter
from bridge.sinks.spans.otlp.encoding import Accepted
from bridge.sinks.spans.otlp.errors import ExportError
from bridge.sinks.spans.otlp.grpc_failures import cause_of, is_refusal

GRPC, HTTP = PROTOCOLS
PROTOBUF, JSON = "application/x-protobuf", "application/json"
PARTIAL = wire.ExportTraceServiceResponse(
    partial_success=wire.ExportTracePartialSuccess(rejected_spans=2, error_message="too old")
).SerializeToString()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    """Whatever this machine has for proxies is not part of the tests."""
    for name in ("grpc_proxy", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def attempt(url, protocol, **changes):
    """Send an export without spans, and return what the endpoint says."""
    exporter = OtlpExporter(Endpoint(url, protocol, **{"timeout_seconds": 10.0, **changes}))
    try:
        return await exporter.export([])
    finally:
        await exporter.close()


async def failure(url, protocol, **changes):
    """Return the error of an export that fails."""
    with pytest.raises(ExportError) as caught:
        await attempt(url, protocol, **changes)
    assert url in str(caught.value)
    assert protocol in str(caught.value)
    return caught.value


BEHAVIORS = (
    (HTTP, reset, ("resets the connection", "--otlp-protocol grpc")),
    (HTTP, close, ("closes the connection without an answer", "--otlp-protocol grpc")),
    (HTTP, say(b"\x00\x01garbage\r\n\r\n"), ("not HTTP", "--otlp-protocol grpc")),
    (HTTP, answer("200 OK", b"<html>hi", "text/html"), ("text/html", "not OTLP", "<html>hi")),
    (HTTP, answer("200 OK", b"\xff\xff", PROTOBUF), ("not OTLP", "otlp_traces_endpoint")),
    (HTTP, answer("200 OK", b"[]", JSON), ("not OTLP", "otlp_traces_endpoint")),
    (HTTP, endless_body, ("not OTLP", "otlp_endpoint")),
    (
        HTTP,
        answer("302 Found", Location="https://o/v1?key=x"),
        ("https://o/v1;", "traces_endpoint"),
    ),
    (
        HTTP,
        answer("400 Bad Request", Status(message="bad id").SerializeToString(), PROTOBUF),
        ("bad id",),
    ),
    (HTTP, answer("401 Unauthorized"), ("401 Unauthorized", "otlp_headers")),
    (HTTP, answer("403 Forbidden"), ("403 Forbidden", "otlp_headers")),
    (
        HTTP,
        answer("404 Not Found", b"no page"),
        ("404 Not Found", "no page", "otlp_traces_endpoint"),
    ),
    (HTTP, answer("413 Content Too Large"), ("413", "limit")),
    (HTTP, answer("500 Oops"), ("500 Oops", "log of the endpoint")),
    (GRPC, reset, ("closes the connection", "--otlp-protocol http/protobuf")),
    (GRPC, close, ("closes the connection", "--otlp-protocol http/protobuf")),
    (GRPC, say(b"garbage\r\n\r\n"), ("does not speak gRPC", "--otlp-protocol http/protobuf")),
    (GRPC, answer("404 Not Found"), ("does not speak gRPC", "--otlp-protocol http/protobuf")),
)


@pytest.mark.parametrize(("protocol", "behave", "words"), BEHAVIORS)
async def test_a_collector_that_misbehaves_is_described(protocol, behave, words):
    """Cause and way out stand in one sentence that begins with the URL and the protocol."""
    async with misbehaving(behave) as address:
        error = await failure(f"http://{address}", protocol)

    assert all(word in str(error) for word in words), str(error)
    assert "key=x" not in str(error)


@pytest.mark.parametrize(
    ("protocol", "behave"), [(HTTP, hang), (HTTP, drip), (HTTP, drip_body), (GRPC, hang)]
)
async def test_a_collector_that_hangs_is_given_up(protocol, behave):
    """The timeout is for all of it: a byte now and then does not prolong it."""
    began = time.monotonic()
    async with misbehaving(behave) as address:
        error = await failure(f"http://{address}", protocol, timeout_seconds=0.2)

    assert "no answer within 0.2 s" in str(error)
    assert not error.is_refusal
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_nothing_listens(protocol):
    """Nobody is there: start it, or correct the address."""
    assert "start the collector" in str(await failure(f"http://127.0.0.1:{free_port()}", protocol))


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_unknown_name(protocol):
    """The name is at fault, and it stands in a setting."""
    error = await failure("http://collector.invalid:4000", protocol)
    assert "unknown" in str(error)
    assert "correct it in otlp_endpoint" in str(error)


async def test_dns_that_hangs_is_given_up(monkeypatch):
    """The timeout covers it, and its thread keeps no process alive."""
    never, threads = threading.Event(), []

    def hang_in_dns(*_):
        threads.append(threading.current_thread())
        never.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang_in_dns)
    error = await failure("http://collector.example:4000", HTTP, timeout_seconds=0.2)
    never.set()

    assert "no answer within 0.2 s" in str(error)
    assert [thread.daemon for thread in threads] == [True]


@pytest.mark.parametrize(("protocol", "other"), [(GRPC, HTTP), (HTTP, GRPC)])
async def test_the_other_protocol_is_named(protocol, other):
    """An endpoint of the other protocol is the usual mistake: the flag that mends it is in the sentence."""
    with receiving(other) as receiver:
        error = await failure(receiver.url, protocol)

    assert f"--otlp-protocol {other}" in str(error)


@pytest.mark.parametrize(("protocol", "port", "flag"), [(GRPC, 4318, HTTP), (HTTP, 4317, GRPC)])
def test_the_usual_port_of_the_other_protocol_is_suspicious(protocol, port, flag):
    """Whatever the failure, the hint is there once."""
    assert f"--otlp-protocol {flag}" in Endpoint(f"http://h:{port}", protocol).port_hint
    assert Endpoint(f"http://h:{port}", flag).port_hint == ""
    assert Endpoint("http://h:9999", protocol).port_hint == ""


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_tls_against_plain_text(protocol):
    """Https where http is spoken."""
    async with misbehaving(answer("400 Bad Request")) as address:
        error = await failure(f"https://{address}", protocol)

    assert "does not speak TLS" in str(error)
    assert "write http://" in str(error)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_certificate_that_nobody_vouches_for(protocol, tmp_path):
    """The authority is given by a setting; with it the connection is made."""
    authority = Authority(tmp_path)
    files = authority.issue("collector")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with misbehaving(answer("418 Teapot"), tls=context) as address:
        refused = await failure(f"https://{address}", protocol)
        trusted = await failure(f"https://{address}", protocol, ca_file=str(authority.file))

    assert "certificate is not trusted" in str(refused)
    assert "set otlp_ca_file" in str(refused)
    assert "not trusted" not in str(trusted)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_server_that_asks_for_a_certificate(protocol, tmp_path):
    """Without one, or with one of another authority, the settings for it are named; a name that does not fit is too."""
    authority, other = Authority(tmp_path), Authority(tmp_path / "other", "other")
    server, client, foreign = (
        authority.issue("collector"),
        authority.issue("bridge"),
        other.issue("bridge"),
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.file))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(server.certificate, server.key)
    context.set_alpn_protocols(["h2", "http/1.1"])

    async def said(address, files=None, scheme="https"):
        pair = (
            {"client_cert_file": files.certificate, "client_key_file": files.key} if files else {}
        )
        changes = {name: str(path) for name, path in {"ca_file": authority.file, **pair}.items()}
        return str(await failure(f"{scheme}://{address}", protocol, **changes))

    async with misbehaving(answer("418 Teapot"), tls=context) as address:
        assert "set otlp_client_cert_file" in await said(address)
        assert "set otlp_client_cert_file" in await said(address, foreign)
        assert "otlp_client_cert_file" not in await said(address, client)
        assert "if it expects TLS, write https://" in await said(address, scheme="http")
        named = await said(address.replace("127.0.0.1", "localhost"), client)
        assert "use the host name that it was issued for" in named


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("content", ["", "nothing", None])
@pytest.mark.parametrize("setting", ["ca_file", "client_cert_file"])
async def test_files_that_are_no_certificates_are_named(protocol, content, setting, tmp_path):
    """A file that is missing, empty or something else is found before anything is connected."""
    path = tmp_path / "x.pem"
    if content is not None:
        path.write_text(content)
    error = await failure("https://127.0.0.1:1", protocol, **{setting: str(path)})

    assert f"otlp_{setting}" in str(error)
    assert "correct" in str(error)
    assert ("cannot be read (No such file" in str(error)) is (content is None)


@pytest.mark.parametrize("text", ["120", "Fri, 01 Jan 2100 00:00:00 GMT", "soon", "-5", ""])
async def test_retry_after_is_heard(text):
    """Seconds or a date, within reason; anything else is ignored."""
    async with misbehaving(answer("503 Service Unavailable", Retry_After=text)) as address:
        error = await failure(f"http://{address}", HTTP)

    assert error.retry_after_seconds == {"120": 120.0, "": 0.0}.get(
        text, 600.0 * text[:3].istitle()
    )
    assert not error.is_refusal


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        (b"", "text/plain", Accepted()),
        (b"", PROTOBUF, Accepted()),
        (PARTIAL, PROTOBUF, Accepted(2, "too old")),
        (b"{}", JSON, Accepted()),
        (
            b'{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}',
            JSON,
            Accepted(2, "too old"),
        ),
    ],
)
async def test_an_http_endpoint_accepts_in_whole_or_in_part(body, content_type, said):
    """Protobuf or JSON, with a partial success or without."""
    async with misbehaving(answer("200 OK", body, content_type)) as address:
        assert await attempt(f"http://{address}", HTTP) == said


class Servicer(service.TraceServiceServicer):
    """Answers as a test wants."""

    def __init__(self, code=None, response=None):
        self.code = code
        self.response = response

    async def Export(self, _request, context):  # noqa: N802 -- the name is the protocol's
        if self.code is not None:
            await context.abort(self.code, "its own words")
        return self.response


async def grpc_attempt(servicer):
    """Return what an export to a servicer ends with."""
    server = grpc.aio.server()
    if servicer is not None:
        service.add_TraceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        return await attempt(f"http://127.0.0.1:{port}", GRPC)
    except ExportError as error:
        return error
    finally:
        await server.stop(None)


@pytest.mark.parametrize(
    ("code", "words", "is_refusal"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "otlp_headers", False),
        (grpc.StatusCode.PERMISSION_DENIED, "otlp_headers", False),
        (grpc.StatusCode.UNAVAILABLE, "log of the endpoint", False),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "sent again later", False),
        (grpc.StatusCode.INVALID_ARGUMENT, "does not accept these spans", True),
        (grpc.StatusCode.DATA_LOSS, "DATA_LOSS", False),
    ],
)
async def test_a_grpc_refusal_is_described(code, words, is_refusal):
    """The code in words, what the endpoint says, and what to do."""
    error = await grpc_attempt(Servicer(code))

    assert words in str(error)
    assert '("its own words")' in str(error)
    assert error.is_refusal is is_refusal


def test_a_message_that_is_too_large_is_a_refusal():
    """It has the code of an overload, and is sent again in smaller groups."""
    code, details = grpc.StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max (9 vs. 5)"

    assert is_refusal(code, details)
    cause, way_out = cause_of(code, details, Endpoint("http://h"), is_proxied=False)
    assert "too large" in cause
    assert "raise the endpoint's limit" in way_out


async def test_a_grpc_server_of_something_else_is_described():
    """A gRPC server that has no service for spans."""
    assert "no service for spans" in str(await grpc_attempt(None))


async def test_a_grpc_endpoint_accepts_in_part():
    """The partial success is the same as over HTTP."""
    response = wire.ExportTraceServiceResponse.FromString(PARTIAL)
    assert await grpc_attempt(Servicer(response=response)) == Accepted(2, "too old")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_proxy_is_named_with_its_variable(monkeypatch, protocol, scheme):
    """Its address and variable stand in the sentence, its password does not; no_proxy is the way around it."""
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv(f"{scheme}_proxy", f"http://me:hunter2@{address}")
    error = await failure(f"{scheme}://collector.example:4000", protocol)

    assert f"through the proxy http://{address} of {scheme}_proxy" in str(error)
    assert "the proxy cannot be reached" in str(error)
    assert "add collector.example to no_proxy" in str(error)
    assert "hunter2" not in str(error)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_proxy_that_lets_nothing_pass_is_described(monkeypatch, protocol):
    """It is the proxy that has to be asked."""
    async with misbehaving(answer("403 Forbidden")) as address:
        monkeypatch.setenv("https_proxy", f"http://{address}")
        error = await failure("https://collector.example:4000", protocol)

    assert "check whether the proxy" in str(error)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_proxy_of_socks_is_refused(monkeypatch, protocol):
    """Neither transport can use it, and says so at once."""
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1080")

    assert "set http_proxy to an HTTP proxy" in str(await failure("http://c.example:1", protocol))


@pytest.mark.parametrize(
    ("protocol", "line"),
    [
        (HTTP, "POST http://collector.example:4000/v1/traces HTTP/1.1"),
        (GRPC, "CONNECT collector.example:4000 HTTP/1.1"),
    ],
)
async def test_spans_go_through_a_proxy(monkeypatch, protocol, line):
    """The proxy resolves the name; what no_proxy exempts is tried directly."""
    requests = []
    with receiving(protocol) as receiver:
        async with misbehaving(forwarding(f"127.0.0.1:{receiver.port}", requests)) as address:
            monkeypatch.setenv("HTTP_PROXY", f"http://me:pw@{address}")
            url = "http://collector.example:4000" + ("/v1/traces" if protocol == HTTP else "")
            assert await attempt(url, protocol) == Accepted()
            monkeypatch.setenv("NO_PROXY", "example")
            assert "unknown" in str(await failure(url, protocol))

    assert requests == [line]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_what_an_endpoint_says_cannot_drive_a_terminal(protocol):
    """Its words are shown on one line, without control characters."""
    async with misbehaving(answer("500 Oops", b"a\x1b[2Jb\r\nc\x00\xff")) as address:
        error = await failure(f"http://{address}", protocol)

    assert str(error).isprintable()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_this_machine_is_reached_without_a_proxy(monkeypatch, protocol):
    """A proxy for the world outside is not asked for what runs beside the bridge."""
    for name in ("http_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    with receiving(protocol) as receiver:
        assert await attempt(receiver.url, protocol) == Accepted()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_endpoint_that_returns_is_found_at_once(protocol):
    """After a failure the next attempt connects anew, without gRPC's own pauses of up to two minutes."""
    port = free_port()
    url = f"http://127.0.0.1:{port}" + ("" if protocol == GRPC else "/v1/traces")
    exporter = OtlpExporter(Endpoint(url, protocol))
    for _ in range(5):
        with pytest.raises(ExportError):
            await exporter.export([])
    with receiving(protocol, port=port):
        assert await exporter.export([]) == Accepted()
    await exporter.close()
