"""Whatever an object store refuses, the message has the cause, the bucket, the endpoint and the way out."""

import gzip
import socket
import threading
import tracemalloc
from contextlib import closing, suppress

import pytest
from support.certificates import Authority
from support.services import Answer, serving

from bridge.errors import NotFoundError, StorageError
from bridge.storage.s3 import S3Store, transport

BUCKET = "training-images"
KEY = "run/2026-03-02/1772445600123-9f2c01ab-000004.tar"
SECRET = "c2VjcmV0IGtleSBvZiB0aGUgdGVzdHM"


@pytest.fixture(autouse=True)
def _without_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def file(tmp_path):
    """Return a file to put."""
    file = tmp_path / "shard.tar"
    file.write_bytes(b"x" * 1000)
    return file


def store(endpoint, **changed):
    """Return a store that is signed for with fixed keys."""
    options = {"access_key": "AKIDEXAMPLE", "secret_key": SECRET, "region": "us-east-1"}
    return S3Store(BUCKET, "runs", endpoint=endpoint, **{**options, **changed})


def problem(code, message="", **fields):
    """Return an answer's body as S3 writes it."""
    more = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
        f"<Message>{message}</Message>{more}<RequestId>1</RequestId></Error>"
    )


def s3_error(status, code, message="", headers=None, **fields):
    """Return how S3 refuses a request."""
    return Answer(
        status,
        problem(code, message, **fields),
        {"Content-Type": "application/xml", **(headers or {})},
    )


REFUSED = {
    "no bucket": (
        s3_error(404, "NoSuchBucket"),
        "no such bucket: create it, or correct --images-store",
    ),
    "region in a field": (
        s3_error(400, "AuthorizationHeaderMalformed", Region="eu-central-1"),
        "signed for the region us-east-1, .*: which is in eu-central-1: give --s3-region eu-central-1",
    ),
    "region in the text": (
        s3_error(400, "AuthorizationHeaderMalformed", "the region is wrong; expecting 'eu-west-1'"),
        "give --s3-region eu-west-1",
    ),
    "region in a header": (
        s3_error(301, "PermanentRedirect", headers={"x-amz-bucket-region": "ap-south-1"}),
        "give --s3-region ap-south-1",
    ),
    "region not named": (
        s3_error(400, "IllegalLocationConstraintException"),
        "signed for the region us-east-1, .*: correct --s3-region",
    ),
    "clock": (
        s3_error(403, "RequestTimeTooSkewed"),
        r"clocks .* differ: set this machine's clock \(NTP\)",
    ),
    "clock behind another name": (
        s3_error(403, "SignatureDoesNotMatch", headers={"Date": "Thu, 01 Jan 2026 00:00:00 GMT"}),
        r"clocks .* differ by \d+ s: set this machine's clock",
    ),
    "unknown key": (
        s3_error(403, "InvalidAccessKeyId"),
        "not known there: correct --s3-access-key",
    ),
    "wrong secret": (
        s3_error(403, "SignatureDoesNotMatch"),
        "does not go with the access key: correct",
    ),
    "expired": (s3_error(400, "ExpiredToken"), "credentials have expired: renew"),
    "token": (
        s3_error(400, "InvalidToken"),
        "session token is not valid: give the AWS_SESSION_TOKEN",
    ),
    "denied": (
        s3_error(403, "AccessDenied", "Access Denied"),
        "access denied: let the account have s3:",
    ),
    "slow down": (
        s3_error(503, "SlowDown"),
        "asks for fewer requests: it is tried again by itself",
    ),
    "internal": (s3_error(500, "InternalError"), "internal error: it is tried again"),
    "full": (s3_error(507, "XMinioStorageFull"), "store is full, .*: make room there"),
    "quota": (
        s3_error(403, "QuotaExceeded"),
        "quota is used up: make room there, or raise the quota",
    ),
    "path style": (s3_error(403, "SecondLevelDomainForbidden"), "give --no-s3-path-style"),
    "changed on the way": (s3_error(400, "BadDigest"), "look for a proxy that changes requests"),
    "not allowed": (
        s3_error(405, "MethodNotAllowed"),
        "--s3-endpoint must be the address of its S3 API",
    ),
    "unknown code": (s3_error(400, "Strange", "so  it\nis"), r"it answered Strange \(so it is\)"),
    "a page": (
        Answer(404, "<html>nginx</html>", {"Content-Type": "text/html"}),
        r"not an S3 API \(404 Not Found as text/html\): correct --s3-endpoint",
    ),
    "a page that is fine": (
        Answer(200, "<html>welcome", {"Content-Type": "text/html"}),
        "not an S3 API .*: correct --s3-endpoint",
    ),
    "a redirection": (
        Answer(302, "", {"Location": "https://login.example.org/"}),
        r"not an S3 API \(302 Found, a redirection",
    ),
    "a gateway": (
        Answer(502, "<html>", {"Content-Type": "text/html"}),
        "answered 502 Bad Gateway: the store or a proxy before it is down; it is tried again",
    ),
    "JSON": (Answer(400, "{}", {"Content-Type": "application/json"}), "not an S3 API"),
    "a long page": (
        Answer(404, "é" * (1 << 20), {"Content-Type": "text/html"}),
        "not an S3 API .404 Not Found as text/html.: correct --s3-endpoint",
    ),
    "XML without an end": (
        Answer(500, b"<Error>" + b"x" * (1 << 20), {"Content-Type": "application/xml"}),
        "answered 500 Internal Server Error: the store or a proxy before it is down",
    ),
    "a list without an end": (
        Answer(200, b"<List>" + b"x" * (17 << 20), {"Content-Type": "application/xml"}),
        "not an S3 API",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_why_and_what_to_do(name, file):
    """Uploads and lists alike; with bucket and endpoint, without keys."""
    answer, text = REFUSED[name]
    with serving(lambda _: answer) as service:
        opened = store(service.url)
        for ask in (
            lambda: opened.put(KEY, file, {}),
            lambda: list(opened.list()),
        ):
            with pytest.raises(StorageError, match=text) as caught:
                ask()
            said = str(caught.value)
            assert f"bucket {BUCKET} at {service.url}" in said
            assert SECRET not in said
            assert "AKIDEXAMPLE" not in said
            assert "\n" not in said


@pytest.mark.parametrize(
    ("action", "right"),
    [
        ("put", "s3:PutObject"),
        ("read", "s3:GetObject"),
        ("list", "s3:ListBucket"),
        ("delete", "s3:DeleteObject"),
        ("metadata", "s3:GetObject"),
    ],
)
def test_access_denied_names_the_right_that_is_missing(action, right, file):
    """An operator can add it to a policy as it stands there."""
    with serving(lambda _: s3_error(403, "AccessDenied")) as service:
        opened = store(service.url)
        actions = {
            "put": lambda: opened.put(KEY, file, {}),
            "read": lambda: opened.read(KEY, 0, 9),
            "list": lambda: list(opened.list()),
            "delete": lambda: opened.delete(KEY),
            "metadata": lambda: opened.metadata(KEY),
        }
        with pytest.raises(StorageError, match=f"let the account have {right} there"):
            actions[action]()


def test_a_server_that_takes_anything_has_not_stored_an_image(file):
    """Otherwise the bridge would delete its own copy."""
    with (
        serving(lambda _: Answer(200, "thanks")) as service,
        pytest.raises(StorageError, match="ETag"),
    ):
        store(service.url).put(KEY, file, {})


def test_a_store_that_ignores_ranges_is_not_taken_for_one_that_lost_an_image():
    """What came back is the whole object, of which no more than needed is read."""
    answer = Answer(200, b"x" * 100_000, {"ETag": '"1"'})
    with serving(lambda _: answer) as service, pytest.raises(StorageError, match="pass ranges on"):
        store(service.url).read(KEY, 5, 10)


def test_no_more_of_an_answer_is_read_than_a_store_would_say(file):
    """What goes on for as long as it is read costs no memory, nor does a page that unpacks to one."""
    endless = gzip.compress(bytes(64 << 20))
    headers = {"Content-Type": "application/xml", "Content-Encoding": "gzip"}
    for status in (200, 500):
        with serving(lambda _, status=status: Answer(status, endless, headers)) as service:
            opened = store(service.url)
            tracemalloc.start()
            try:
                for ask in (
                    lambda opened=opened: opened.put(KEY, file, {}),
                    lambda opened=opened: list(opened.list()),
                ):
                    with pytest.raises(StorageError):
                        ask()
                assert tracemalloc.get_traced_memory()[1] < 56 << 20
            finally:
                tracemalloc.stop()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 206 Partial Content\r\nContent-Length: 1000\r\n\r\n",
        b"HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 503 Slow Down\r\nContent-Length: 1000\r\n\r\n",
    ],
)
def test_an_answer_that_only_trickles_holds_nobody_up(head, monkeypatch):
    """Each byte comes in time, and all of them would take hours."""
    monkeypatch.setattr(transport, "WHOLE_SECONDS", 0.3)
    piece = b"1\r\nx\r\n" if b"chunked" in head else b"x"
    stopped = threading.Event()

    def trickle(listener):
        with suppress(OSError), listener.accept()[0] as connection:
            connection.sendall(head)
            while not stopped.wait(0.02):
                connection.sendall(piece)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=trickle, args=(listener,))
        thread.start()
        try:
            with pytest.raises(StorageError, match="it took too long"):
                store(f"http://127.0.0.1:{listener.getsockname()[1]}").read(KEY, 0, 1000)
        finally:
            stopped.set()
            thread.join()


def test_a_missing_object_is_not_a_fault_of_the_store():
    """Pages say that an image is gone."""
    with serving(lambda _: s3_error(404, "NoSuchKey")) as service, pytest.raises(NotFoundError):
        store(service.url).read(KEY, 0, 10)


def test_nobody_there(file):
    """Refused, and unknown to DNS."""
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        with pytest.raises(StorageError, match="connection was refused: start the store"):
            store(f"http://127.0.0.1:{port}").put(KEY, file, {})
    with pytest.raises(StorageError, match=r"not known \(DNS\): correct --s3-endpoint$"):
        store("http://no-such-host.invalid").put(KEY, file, {})
    with pytest.raises(
        StorageError, match=r"\(DNS\): correct --s3-endpoint, or give --s3-path-style"
    ):
        store("http://no-such-host.invalid", path_style=False).put(KEY, file, {})


def test_somebody_else_there(file, monkeypatch):
    """Silent, or another protocol."""
    monkeypatch.setattr(transport, "ANSWER_SECONDS", 0.2)
    with serving(lambda _: None) as service:
        with pytest.raises(StorageError, match="it took too long: it is tried again"):
            store(service.url).put(KEY, file, {})
        with pytest.raises(
            StorageError, match="does not speak TLS on that port: give --s3-endpoint with http"
        ):
            store(service.url.replace("http", "https")).put(KEY, file, {})


def test_certificates(file, tmp_path):
    """An unknown authority, another host's certificate, plain HTTP to TLS; with the right file it works."""
    authority = Authority(tmp_path / "ours")
    other = Authority(tmp_path / "others", "others")
    stored = Answer(200, "", {"ETag": '"1"'})
    with serving(lambda _: stored, certificate=authority.issue("store")) as service:
        with pytest.raises(
            StorageError, match=r"no known authority has signed .*: give --s3-ca-file"
        ):
            store(service.url).put(KEY, file, {})
        with pytest.raises(
            StorageError, match=r"none of the authorities in .*others-ca.pem has signed"
        ):
            store(service.url, ca_file=str(other.file)).put(KEY, file, {})
        with pytest.raises(
            StorageError, match=r"no answer: .* of --s3-endpoint|does not speak HTTP"
        ):
            store(service.url.replace("https", "http")).put(KEY, file, {})
        store(service.url, ca_file=str(authority.file)).put(KEY, file, {})
    elsewhere = authority.issue("elsewhere", host="127.0.0.2")
    with serving(lambda _: stored, certificate=elsewhere) as service:  # noqa: SIM117
        with pytest.raises(StorageError, match="certificate is for another host name"):
            store(service.url, ca_file=str(authority.file)).put(KEY, file, {})


def test_a_proxy_is_used_and_named(file, monkeypatch):
    """Requests to other hosts go through it, with its password; a message names it without."""
    with serving(lambda _: Answer(200, "", {"ETag": '"1"'})) as proxy:
        address = proxy.url.removeprefix("http://")
        monkeypatch.setenv("http_proxy", f"http://user:word@{address}")
        store("http://store.example.org:9000").put(KEY, file, {})

    (asked,) = proxy.asked
    assert asked.path == f"http://store.example.org:9000/{BUCKET}/runs/{KEY}"
    assert "proxy-authorization" in asked.headers
    with pytest.raises(StorageError, match=f"the proxy http://{address} of http_proxy") as caught:
        store("http://store.example.org:9000").put(KEY, file, {})
    assert "name the host in no_proxy" in str(caught.value)
    assert "word" not in str(caught.value)


def test_a_proxy_that_refuses_is_named(file, monkeypatch):
    """For TLS it is asked to CONNECT; 407 and 403 are its own words, not the store's."""
    with serving(lambda _: Answer(407)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with pytest.raises(
            StorageError,
            match=r"the proxy .* of https_proxy does not let us through \(it answered 407",
        ):
            store("https://store.example.org").put(KEY, file, {})
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        with pytest.raises(StorageError, match=r"let us through \(the connection was refused\)"):
            store("https://store.example.org").put(KEY, file, {})
        monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1080")
        with pytest.raises(StorageError, match="cannot be used: give http://HOST:PORT"):
            store("https://store.example.org").put(KEY, file, {})


def test_this_machine_and_exceptions_are_reached_directly(file, monkeypatch):
    """A proxy that is not there does no harm."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serving(lambda _: Answer(200, "", {"ETag": '"1"'})) as service:
        store(service.url).put(KEY, file, {})

    monkeypatch.setenv("no_proxy", ".invalid")
    with pytest.raises(StorageError, match="DNS"):
        store("http://store.invalid").put(KEY, file, {})
