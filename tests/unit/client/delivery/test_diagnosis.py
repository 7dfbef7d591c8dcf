"""What the SDK says where there is no connection: the cause, and the way out."""

import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
from support.certificates import Authority
from support.fake_bridge import FakeBridge
from support.waiting import until_true

from bridge.client import TrainingSession
from bridge.client.delivery.diagnosis import explain
from bridge.client.settings import Destination
from bridge.client.token_source import TokenSource
from bridge.proxies import Proxy
from bridge.wire import metrics_pb2_grpc as service

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
FAR = Destination("bridge.example:50051")
NEAR = Destination("127.0.0.1:50051")
PROXIED = Destination(
    "bridge.example:50051", proxy=Proxy("HTTPS_PROXY", "http://user:pw@proxy.example:3128")
)
CONNECT = "failed to connect to all addresses; last error: UNKNOWN: ipv4:192.0.2.1:50051: "


@pytest.fixture
def said(caplog):
    """Return a function that lets a session try an address, and returns what it has logged."""

    def attempt(address, **options):
        with caplog.at_level(logging.WARNING, "trainbridge"):
            session = TrainingSession(address, **options)
            try:
                until_true(lambda: "no connection" in caplog.text)
            finally:
                session.close(0)
        (sentence,) = (r.getMessage() for r in caplog.records if "no connection" in r.getMessage())
        assert "(the argument address)" in sentence
        assert sentence.endswith("Training goes on, and its messages are kept and sent later")
        return sentence

    return attempt


@contextmanager
def bridge_with(credentials):
    """Serve a bridge with these credentials; return its port."""
    server = grpc.server(ThreadPoolExecutor(2))
    service.add_MetricsServiceServicer_to_server(FakeBridge(), server)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


@contextmanager
def web_server(status):
    """Serve HTTP/1 that answers everything with this status; return host:port."""

    class Handler(BaseHTTPRequestHandler):
        """Answers GET and CONNECT."""

        protocol_version = "HTTP/1.1"

        def do_CONNECT(self):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_CONNECT  # noqa: N815 -- see above

        def log_message(self, *_):
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def authority(tmp_path):
    """Return an authority of the test's own."""
    return Authority(tmp_path / "own")


@pytest.fixture
def pair(authority):
    """Return certificate and key of a bridge."""
    files = authority.issue("bridge")
    return files.key.read_bytes(), files.certificate.read_bytes()


def test_nothing_listens(said):
    """On this machine a bridge can be started."""
    with closing(socket.create_server(("127.0.0.1", 0))) as unused:
        port = unused.getsockname()[1]

    assert "nothing listens there; start a bridge with `trainbridge serve`" in said(
        f"127.0.0.1:{port}"
    )


def test_another_program(said):
    """Something that speaks first, in its own words."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def greet():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                connection.recv(1)

        thread = threading.Thread(target=greet)
        thread.start()
        sentence = said(f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()

    assert "another program than a bridge answers there" in sentence


def test_plain_text_to_a_bridge_with_tls(said, pair):
    """The way out is a scheme."""
    with bridge_with(grpc.ssl_server_credentials([pair])) as port:
        assert "put grpcs:// in front of the address" in said(f"127.0.0.1:{port}")


def test_a_stranger_signed_it(said, pair, tmp_path):
    """The authority is not that of the bridge."""
    stranger = Authority(tmp_path / "stranger", "stranger")
    with bridge_with(grpc.ssl_server_credentials([pair])) as port:
        sentence = said(f"127.0.0.1:{port}", ca_file=str(stranger.file))

    assert "signed by none of the authorities in ca_file" in sentence


def test_the_certificate_has_another_name(said, pair, authority):
    """It is for 127.0.0.1."""
    with bridge_with(grpc.ssl_server_credentials([pair])) as port:
        sentence = said(f"localhost:{port}", ca_file=str(authority.file))

    assert "certificate is for other names" in sentence


def test_a_client_certificate_is_asked_for(said, pair, authority):
    """Two settings name it."""
    asking = grpc.ssl_server_credentials([pair], authority.file.read_bytes(), True)
    with bridge_with(asking) as port:
        sentence = said(f"127.0.0.1:{port}", ca_file=str(authority.file))

    assert "give cert_file and key_file (TRAINBRIDGE_CERT_FILE, TRAINBRIDGE_KEY_FILE)" in sentence


@pytest.mark.parametrize(
    ("status", "words"), [(407, "asks for a user name"), (403, "the proxy answers 403")]
)
def test_a_proxy_that_does_not_connect(said, monkeypatch, status, words):
    """The variable and the proxy are named, not its password."""
    with web_server(status) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:pw@{proxy}")
        sentence = said("192.0.2.1:50051")

    assert words in sentence
    assert f"this went through the proxy http://{proxy} of HTTPS_PROXY" in sentence
    assert "put 192.0.2.1 into no_proxy" in sentence
    assert "pw" not in sentence


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY"])
def test_a_bridge_on_this_machine_is_reached_without_a_proxy(monkeypatch, variable):
    """Whatever the variables say."""
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    bridge = FakeBridge()
    server = grpc.server(ThreadPoolExecutor(4))
    service.add_MetricsServiceServicer_to_server(bridge, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        session = TrainingSession(f"localhost:{port}")
        session.log_batch(0.5, epoch=0, batch=0)
        assert session.close(60) == 0
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize(
    ("details", "words"),
    [
        (
            "Failed parsing HTTP/2 (Expected ...) (Trying to connect an http1.x server (HTTP status 400))",
            "if that is the bridge's HTTP port, give the gRPC port",
        ),
        (
            "Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:100000f7:WRONG_VERSION_NUMBER",
            "put grpc://",
        ),
        ("CERTIFICATE_VERIFY_FAILED: certificate has expired: OK", "has expired; have it renewed"),
        (
            "CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate: OK",
            "give the one that signed it as ca_file",
        ),
        (
            "Failed to connect to remote host: Connection refused",
            "listens on more than its own machine's",
        ),
        (
            "Failed to connect to remote host: No route to host",
            "the network has no way to that host",
        ),
        ("connect failed: Network is unreachable", "the network has no way to that host"),
        (
            "Failed to connect to remote host: Timeout occurred: FD Shutdown",
            "whether a firewall drops",
        ),
    ],
)
def test_what_grpc_says_of_a_connection(details, words):
    """In words of its own; what it means is said instead."""
    sentence = explain(UNAVAILABLE, CONNECT + details, FAR)

    assert words in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("code", "details", "destination", "words"),
    [
        (
            UNAVAILABLE,
            "errors resolving x:1: [field:hostname lookup error:address lookup failed]",
            FAR,
            "name of the host is unknown",
        ),
        (UNAVAILABLE, "DNS resolution failed for x:1", FAR, "name of the host is unknown"),
        (
            UNAVAILABLE,
            "Received http2 header with status: 503",
            FAR,
            "a proxy in front of the bridge answers 503",
        ),
        (
            grpc.StatusCode.UNIMPLEMENTED,
            "Received http2 header with status: 404",
            FAR,
            "answers 404",
        ),
        (
            grpc.StatusCode.UNAUTHENTICATED,
            "Received http2 header with status: 401",
            FAR,
            "asks for a token",
        ),
        (
            grpc.StatusCode.PERMISSION_DENIED,
            "no",
            Destination("b:1", token=TokenSource("x", "the argument token")),
            'does not let the token from the argument token stream this session: "no"; give a',
        ),
        (
            grpc.StatusCode.UNIMPLEMENTED,
            "Method not found!",
            FAR,
            "a gRPC server answers that is not a bridge",
        ),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", FAR, "nothing answers in time"),
        (
            UNAVAILABLE,
            f"{CONNECT}Connection refused",
            PROXIED,
            "nothing listens where the proxy should be",
        ),
        (
            UNAVAILABLE,
            f"{CONNECT}Connection refused",
            NEAR,
            "start a bridge with `trainbridge serve`",
        ),
        (UNAVAILABLE, f"{CONNECT}Connection refused", Destination("unix:/run/x"), "start a bridge"),
        (UNAVAILABLE, "Socket closed", FAR, "was cut and is made again"),
        (
            grpc.StatusCode.INTERNAL,
            "something else",
            FAR,
            "INTERNAL: something else; if that goes on",
        ),
    ],
)
def test_what_a_status_means(code, details, destination, words):
    """What nobody has explained is repeated as gRPC says it."""
    assert words in explain(code, details, destination)


def test_a_proxy_that_cannot_be_used_is_named():
    """GRPC knows only http:// proxies; the connection is made without it."""
    destination = Destination("bridge:1", proxy=Proxy("http_proxy", "socks5://proxy:1080"))

    sentence = explain(UNAVAILABLE, f"{CONNECT}Connection refused", destination)

    assert "socks5://proxy:1080 of http_proxy is not an http:// proxy and is not used" in sentence
    assert "check host and port" in sentence


def test_what_a_bridge_says_of_a_token_is_one_printable_line():
    """Whoever answers may not write lines of their own into the log of a run, nor repeat the token there."""
    destination = Destination("b:1", token=TokenSource("tb_planted", "the argument token"))

    sentence = explain(
        grpc.StatusCode.UNAUTHENTICATED,
        "no\n\x1b[2J2026 ERROR tb_planted\r" + "x" * 9000,
        destination,
    )

    assert sentence.isprintable()
    assert len(sentence) < 1000
    assert "tb_planted" not in sentence.replace("[token]", "")
