"""What strangers send over HTTP, byte by byte, to a real bridge that asks for tokens: one answer each, and nothing more."""

import re
import socket

import pytest
from support.access import Granted, write_tokens
from support.bridges import running_bridge

SECONDS = 60
"""Which only a failure takes."""

VIEWER = Granted(("view", "control", "metrics"))

SECRET = b"GET /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""A second request, hidden in the body of a first one."""

LENGTHS_IN_DOUBT = {
    "both lengths": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECRET,
    "two lengths": b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(SECRET) + SECRET,
    "a list of lengths": b"Content-Length: 0, %d\r\n\r\n" % len(SECRET) + SECRET,
    "a signed length": b"Content-Length: +0\r\n\r\n" + SECRET,
    "a negative length": b"Content-Length: -1\r\n\r\n" + SECRET,
    "a length in hex": b"Content-Length: 0x10\r\n\r\n" + SECRET,
    "a length with a space": b"Content-Length: 1 0\r\n\r\n" + SECRET,
    "a length of a foreign digit": "Content-Length: \u0661\r\n\r\n".encode() + SECRET,
    "a space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SECRET,
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SECRET,
    "chunked that is not last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SECRET,
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + SECRET,
    "a tab in the coding": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + SECRET,
    "a folded header": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SECRET,
    "a chunk of a negative size": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + SECRET,
    "a chunk of a size that overflows": b"Transfer-Encoding: chunked\r\n\r\n"
    + b"f" * 17
    + b"\r\n\r\n"
    + SECRET,
    "a chunk that ends in a bare line feed": b"Transfer-Encoding: chunked\r\n\r\n0\n\n" + SECRET,
    "a carriage return in a header": b"X: a\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECRET,
    "a null in a header": b"X: a\x00b\r\n\r\n" + SECRET,
    "a header without a name": b": x\r\n\r\n" + SECRET,
}
"""What follows the request line and the host: bodies whose end two programs could see in two places."""


@pytest.fixture(scope="module")
def bridge(tmp_path_factory):
    """Run a bridge that asks for tokens."""
    folder = tmp_path_factory.mktemp("attacked")
    tokens = write_tokens(folder / "tokens.yaml", (VIEWER,))
    flags = ("--tokens-file", str(tokens), "--http-request-seconds", "2")
    with running_bridge(folder / "state", *flags) as running:
        yield running


def answers(bridge, sent, *, finish=False):
    """Send bytes over a connection of its own; return all that comes back until the bridge closes it or goes on waiting."""
    host, _, port = bridge.http.rpartition(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        connection.sendall(sent)
        if finish:
            connection.shutdown(socket.SHUT_WR)
        try:
            while part := connection.recv(65536):
                received += part
        except ConnectionResetError:
            pass
    return received


def statuses(received):
    """Return the status of each answer."""
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("case", LENGTHS_IN_DOUBT)
def test_a_body_whose_length_is_in_doubt_hides_no_request(bridge, case, method):
    """There is at most one answer to it, an error, and then the connection is closed: what follows is never served."""
    path = "/api/v1/sessions/x/commands" if method == "POST" else "/healthz"
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n".encode()
    found = statuses(answers(bridge, head + LENGTHS_IN_DOUBT[case]))
    hidden = [status for status in found[1:] if status != 400]
    assert not hidden, found
    first = (
        found[0] if found else 400
    )  # an answer may be lost where the rest is not read before the end
    assert first in (400, 401, 403, 404, 415, 501) or (first == 200 and len(found) <= 2), found


def test_what_follows_a_refused_request_is_a_request_of_its_own(bridge):
    """Two requests, one without and one with a token: the first is refused, the second served, and their bodies do not mix."""
    body = b'{"type": "PAUSE_TRAINING"}'
    first = (
        b"POST /api/v1/sessions/x/commands HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    ) + body
    second = (
        f"GET /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {VIEWER.token}\r\n"
        "Connection: close\r\n\r\n"
    ).encode()
    received = answers(bridge, first + second)
    assert statuses(received) == [401, 200]
    assert received.count(b'"sessions":[]') == 1


OVERSIZE = {
    "a long path": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a long query": b"GET /?query=" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "a long header name": b"GET / HTTP/1.1\r\nHost: localhost\r\n"
    + b"a" * 100_000
    + b": x\r\n\r\n",
    "a long token": b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
    + b"a" * 100_000
    + b"\r\n\r\n",
    "a long cookie": b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: trainbridge="
    + b"a" * 100_000
    + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
    "a long body": b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" + b"token=" + b"a" * 300_000,
    "a long method": b"A" * 100_000 + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n",
}
"""Of what a request is made of, more than anybody needs."""


@pytest.mark.parametrize("case", OVERSIZE)
def test_more_than_anybody_needs_is_refused(bridge, case):
    """It is answered with an error of the client's, or cut, and nothing behind it is served."""
    found = statuses(answers(bridge, OVERSIZE[case]))
    assert all(400 <= status < 500 for status in found), found
    assert len(found) <= 1


PATHS = (
    "/static/../../pyproject.toml",
    "/static/%2e%2e/%2e%2e/errors.py",
    "/static/..%2f..%2fapp.py",
    "/static/..\\..\\app.py",
    "/static/..%5c..%5capp.py",
    "/static//etc/passwd",
    "/static/%00style.css",
    "/static/style.css%00.jpg",
    "/static/style.css/",
    "//static/style.css/../../app.py",
    "/sessions/../metrics",
    "/sessions/%2e%2e/metrics",
    "/sessions/..%2fmetrics",
    "/sessions/..",
    "/sessions/.",
    "/sessions/%2e%2e%2f%2e%2e%2fetc%2fpasswd/sheet.jpg",
    "/api/v1/sessions/..%2f..%2fhealthz",
    "/healthz/../metrics",
    "/login/../metrics",
    "/healthz%2f..%2fmetrics",
    "/%c0%ae%c0%ae/metrics",
    "/metrics;a=/healthz",
    "/METRICS",
    "/./metrics",
    "http://localhost/metrics",
    "http://evil.example/metrics",
)
"""Ways around a rule of a route, or out of a folder."""


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_around_a_rule(bridge, path):
    """Without a token nothing but what is open is ever served, and no file but the style sheet, the script and the icon."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    received = answers(bridge, request)
    assert statuses(received)[0] in (400, 401, 404, 421), received[:300]
    for content in (b"training_", b"bridge_build_info", b"root:", b"import ", b"[project]"):
        assert content not in received


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_a_header_changes_no_method(bridge, header):
    """A GET that calls itself something else is a GET."""
    request = (
        f"GET /api/v1/sessions/nobody HTTP/1.1\r\nHost: localhost\r\n{header}: DELETE\r\n"
        f"Authorization: Bearer {VIEWER.token}\r\nConnection: close\r\n\r\n"
    ).encode()
    received = answers(bridge, request)
    assert statuses(received) == [404]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "GZIP", "identity, gzip"])
def test_no_body_is_unpacked(bridge, coding):
    """What is packed, well or badly, is refused before it is looked at, and leaves no traceback."""
    request = (
        f"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: {coding}\r\nContent-Length: 5\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\r\nabcde"
    ).encode()
    assert statuses(answers(bridge, request)) == [415]
    assert "Traceback" not in bridge.log.read_text()


@pytest.mark.parametrize(
    "host",
    [
        "localhost/evil.example",
        "localhost:80:evil.example",
        "localhost@evil.example",
        "[::1",
        "localhost:x",
        "local host",
    ],
)
def test_what_is_not_a_host_is_not_answered(bridge, host):
    """Two programs could read two names out of it."""
    request = f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    assert statuses(answers(bridge, request))[0] in (400, 421)


@pytest.mark.parametrize(
    "target", ["http://evil.example/healthz", "ftp://evil.example/healthz", "http:///healthz"]
)
def test_a_target_names_this_bridge_too(bridge, target):
    """A target with a host counts for more than the Host header, so it must name the bridge as well."""
    request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    assert statuses(answers(bridge, request))[0] in (400, 421)


FLOOD = 2_000


def test_a_flood_of_bad_requests_writes_few_lines(bridge):
    """Thousands of refusals of each kind are counted, and of each kind the log has a line in ten seconds."""
    before = len(bridge.log.read_text().splitlines())
    host, _, port = bridge.http.rpartition(":")
    bad = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"DELETE /nowhere HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n",
    ]
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        reader = connection.makefile("rb")
        for _ in range(FLOOD // 50):
            connection.sendall(b"".join(bad[number % len(bad)] for number in range(48)))
            for _ in range(48):
                _read_answer(reader)
        reader.close()
    for _ in range(100):
        answers(bridge, b"\x16\x03\x01 not HTTP\r\n\r\n")
    lines = bridge.log.read_text().splitlines()[before:]
    assert len(lines) <= 40, lines[-5:]
    assert sum(map(len, lines)) < 20_000
    assert "Traceback" not in "\n".join(lines)


def _read_answer(reader):
    length = 0
    while (line := reader.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    reader.read(length)


PASSED_ON = {
    "empty": b"",
    "no proof": b"eyJyb2xlcyI6WyJjb250cm9sIl19",
    "a proof of zeros": b"eyJyb2xlcyI6WyJjb250cm9sIl19." + b"0" * 64,
    "a proof of another hash": b"e30.d41d8cd98f00b204e9800998ecf8427e",
    "bytes that are not ASCII": b"\xff\xfe.\xff",
    "twice": b"x.y\r\ntrainbridge-forwarded: x.y",
    "long": b"a" * 8_000,
}


@pytest.mark.parametrize("case", PASSED_ON)
def test_nobody_passes_for_another_bridge(bridge, case):
    """A request that claims to come from a bridge is refused, with a token that is good and without one."""
    token = f"Authorization: Bearer {VIEWER.token}\r\n".encode()
    for credentials in (b"", token):
        head = b"GET /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        received = answers(
            bridge, head + credentials + b"trainbridge-forwarded: " + PASSED_ON[case] + b"\r\n\r\n"
        )
        assert statuses(received) in ([403], [400]), received
        assert b'"sessions"' not in received
