"""How a BridgeClient knows a bridge over TLS, and is known; with certificates and a real server."""

import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.certificates import Authority

from bridge.cli.arguments import default_url, own_context
from bridge.client import BridgeClient
from bridge.client.query import NoBridgeError

VARIABLES = ("CA_FILE", "CERT_FILE", "KEY_FILE", "URL", "HTTP_ADDRESS", "HTTP_TLS_CERT_FILE")


class ShowName(BaseHTTPRequestHandler):
    """Answers with the common name of the client's certificate."""

    def do_GET(self):
        shown = self.connection.getpeercert() or {"subject": ()}
        names = [value for part in shown["subject"] for _, value in part]
        self.send_response(200)
        self.end_headers()
        self.wfile.write("".join(names).encode())

    def log_message(self, *_arguments):
        pass


class Quiet(ThreadingHTTPServer):
    """Says nothing about clients that do not trust it."""

    def handle_error(self, _request, _client):
        pass


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(f"TRAINBRIDGE_{name}", raising=False)


@pytest.fixture
def authority(tmp_path):
    """Return an authority of the test's own."""
    return Authority(tmp_path / "certificates")


@contextmanager
def serving(files, clients):
    """Serve over TLS, and return the URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(clients.file)
    context.verify_mode = ssl.CERT_OPTIONAL
    server = Quiet(("127.0.0.1", 0), ShowName)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def url(authority):
    """Return the URL of a server with a certificate of the authority."""
    with serving(authority.issue("bridge"), authority) as url:
        yield url


def test_an_unknown_authority_is_named_with_the_way_out(url):
    """Nothing is sent to a server that nobody vouches for."""
    with pytest.raises(NoBridgeError, match=r"ca_file \(--ca-file, TRAINBRIDGE_CA_FILE\)"):
        BridgeClient(url).get("/")


def test_an_authority_vouches_for_the_bridge(url, authority, monkeypatch):
    """As an argument, or in the variable that the SDK reads, too."""
    assert BridgeClient(url, ca_file=authority.file).get("/") == b""
    monkeypatch.setenv("TRAINBRIDGE_CA_FILE", str(authority.file))
    assert BridgeClient(url).get("/") == b""


def test_the_certificate_itself_may_vouch_for_the_bridge(authority):
    """As over gRPC: whoever has that certificate needs no authority, and one of another bridge is of no use."""
    own, other = authority.issue("bridge"), authority.issue("other")
    with serving(own, authority) as url:
        assert BridgeClient(url, ca_file=own.certificate).get("/") == b""
        with pytest.raises(NoBridgeError, match="not trusted"):
            BridgeClient(url, ca_file=other.certificate).get("/")


def test_an_argument_is_the_only_authority(url, authority, tmp_path, monkeypatch):
    """Whoever names one means that one; the variable adds to those of the system."""
    other = Authority(tmp_path / "other", "other")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with pytest.raises(NoBridgeError, match="not trusted"):
        BridgeClient(url, ca_file=other.file).get("/")
    monkeypatch.setenv("TRAINBRIDGE_CA_FILE", str(other.file))
    assert BridgeClient(url).get("/") == b""


def test_another_host_name_is_not_a_matter_of_authorities(authority):
    """The error says what the certificate lacks."""
    with serving(authority.issue("bridge", host="192.0.2.1"), authority) as url:
        client = BridgeClient(url, ca_file=authority.file)
        with pytest.raises(NoBridgeError, match="not issued for this host"):
            client.get("/")


def test_a_client_certificate_is_shown(url, authority, monkeypatch):
    """As arguments, or in variables; it is read again when it was renewed."""
    files = authority.issue("alice", into="client")
    given = {"ca_file": authority.file, "cert_file": files.certificate, "key_file": files.key}
    client = BridgeClient(url, **given)
    assert client.get("/") == b"alice"

    authority.issue("bob", into="client")
    assert client.get("/") == b"bob"

    files.key.write_text("no key")
    assert client.get("/") == b"bob"
    authority.issue("carol", into="client")
    for name, path in given.items():
        monkeypatch.setenv(f"TRAINBRIDGE_{name.upper()}", str(path))
    assert BridgeClient(url).get("/") == b"carol"


def test_an_ssl_context_is_used_as_it_is(url, authority):
    """For whoever knows better."""
    context = ssl.create_default_context(cafile=str(authority.file))
    assert BridgeClient(url, ssl_context=context).get("/") == b""
    with pytest.raises(ValueError, match="ca_file: it would not be used"):
        BridgeClient(url, ssl_context=context, ca_file=authority.file)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"ca_file": "none.pem"}, OSError, "the argument ca_file"),
        ({"ca_file": __file__}, ValueError, "holds no certificates in PEM format"),
        ({"cert_file": __file__}, ValueError, "give key_file too"),
    ],
)
def test_files_that_cannot_be_used_are_said_at_once(changes, error, said):
    """With the argument that they come from."""
    with pytest.raises(error, match=said):
        BridgeClient("https://bridge.example.org", **changes)


def test_files_without_tls_are_refused(authority, monkeypatch):
    """http:// would not use them; variables are for the SDK, too, and do no harm."""
    with pytest.raises(ValueError, match="give https://"):
        BridgeClient("http://127.0.0.1:1", ca_file=authority.file)
    monkeypatch.setenv("TRAINBRIDGE_CA_FILE", "none.pem")
    BridgeClient("http://127.0.0.1:1")


def test_a_command_in_the_bridge_s_own_container_knows_it(authority, tmp_path, monkeypatch):
    """By the certificate that the bridge has, whatever name that was issued for; and no other."""
    files = authority.issue("bridge", host="192.0.2.1")
    other = Authority(tmp_path / "other", "other").issue("other", host="192.0.2.1")
    with serving(files, authority) as url:
        monkeypatch.setenv("TRAINBRIDGE_HTTP_ADDRESS", url.removeprefix("https://"))
        monkeypatch.setenv("TRAINBRIDGE_HTTP_TLS_CERT_FILE", str(files.certificate))
        assert default_url() == url
        assert BridgeClient(url, ssl_context=own_context()).get("/") == b""

        monkeypatch.setenv("TRAINBRIDGE_HTTP_TLS_CERT_FILE", str(other.certificate))
        with pytest.raises(NoBridgeError, match="not trusted"):
            BridgeClient(url, ssl_context=own_context()).get("/")

        monkeypatch.setenv("TRAINBRIDGE_URL", url)
        assert own_context() is None
