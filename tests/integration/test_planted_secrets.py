"""No secret that a bridge is given, or shown, comes out of it again: not in its log, its pages, its metrics or its files."""

import base64
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import grpc
from support.access import Granted, write_tokens
from support.bridges import launched
from support.jpegs import jpeg

from bridge.access.tokens import hash_of_token
from bridge.client import TrainingSession
from bridge.web.app import ROUTES
from bridge.wire import metrics_pb2 as wire
from bridge.wire.metrics_pb2_grpc import MetricsServiceStub

VIEWER, TRAINER = Granted(("view", "control", "metrics")), Granted(("ingest",), "team.")

WRONG = "tb_wrong-token-that-somebody-pasted"

PLANTED = {
    "a token that is good": VIEWER.token,
    "another one": TRAINER.token,
    "its hash": hash_of_token(VIEWER.token),
    "a token that is wrong": WRONG,
    "a key of the object store": "PLANTEDS3SECRETKEY",
    "a header for spans": "plantedotlpheader",
    "a password in an address": "plantedproxypassword",
}
"""By what each of them is."""

PUBLIC = "public-word"
"""What is not a secret, and shows that the search finds things."""


class Bare(urllib.request.HTTPRedirectHandler):
    """Follows nothing, so that each answer is seen."""

    def redirect_request(self, *_):
        """Return nothing to follow."""


def answer(bridge, method, path, headers=(), body=None):
    """Return status, headers and body of a request as one text."""
    opener = urllib.request.build_opener(Bare)
    request = urllib.request.Request(
        f"http://{bridge.http}{path}", data=body, method=method, headers=dict(headers)
    )
    try:
        response = opener.open(request, timeout=60)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        return f"{response.status} {response.headers}\n{response.read().decode(errors='replace')}"


def each_route(bridge, headers):
    """Request every route of a session with the same headers; return all that was answered."""
    said = []
    for route in ROUTES:
        path = route.plain.format(
            session_id="team.run",
            attempt=1,
            epoch=0,
            batch=0,
            position=0,
            slot=0,
            run_id="team.run",
            key="team.run/x.tar",
        )
        sent = {**headers, "Accept": "text/html"} if not path.startswith("/api") else headers
        said.append(
            answer(bridge, route.method, path, sent, b"" if route.method == "POST" else None)
        )
    return said


def logged_in(bridge, token):
    """Log in with a token; return what was answered, and the cookie without what holds the token."""
    form = urllib.parse.urlencode({"token": token, "next": "sessions/team.run"}).encode()
    text = answer(
        bridge, "POST", "/login", {"Content-Type": "application/x-www-form-urlencoded"}, form
    )
    lines = [line for line in text.splitlines() if not line.startswith("Set-Cookie:")]
    cookie = next((line for line in text.splitlines() if line.startswith("Set-Cookie:")), "")
    return "\n".join(lines), cookie.removeprefix("Set-Cookie: ").partition(";")[0]


def test_nothing_that_was_planted_is_found(tmp_path):
    """Tokens in files, headers, cookies and forms, good and bad ones, and the secrets of stores, in every route and call."""
    (tmp_path / "given").mkdir()
    file = write_tokens(tmp_path / "given" / "tokens.yaml", (VIEWER, TRAINER))
    state = tmp_path / "kept" / "state"
    spool = tmp_path / "spool"
    flags = [
        *("--tokens-file", str(file), "--log-level", "debug", "--shutdown-grace-seconds", "2"),
        *("--images-store", "s3://bucket/prefix", "--s3-endpoint", "http://127.0.0.1:1"),
        *("--s3-access-key", "access", "--otlp-endpoint", "http://127.0.0.1:1"),
    ]
    with launched(
        state,
        *flags,
        variables={
            "TRAINBRIDGE_S3_SECRET_KEY": PLANTED["a key of the object store"],
            "TRAINBRIDGE_OTLP_HEADERS": f"authorization={PLANTED['a header for spans']}",
        },
    ) as launch:
        bridge = launch.ready()
        for name in ("team.run", "team.kept"):
            stream(bridge, name, spool)
        shown = []
        cookie_of_wrong, _ = logged_in(bridge, WRONG)
        page, cookie = logged_in(bridge, VIEWER.token)
        shown += [page, cookie_of_wrong]
        for headers in (
            {},
            {"Authorization": f"Bearer {WRONG}"},
            {"Authorization": f"Bearer {VIEWER.token}"},
            {"Authorization": f"Basic {VIEWER.token}"},
            {"Authorization": f"Bearer {TRAINER.token}"},
            {"Cookie": cookie},
            {"Cookie": f"trainbridge={WRONG}"},
        ):
            shown += each_route(bridge, headers)
        shown.append(answer(bridge, "GET", f"/api/v1/sessions?token={WRONG}", VIEWER.headers))
        shown += refused_calls(bridge)
        file.write_text(f"tokens:\n- {{name: x, sha256: {WRONG}, roles: [view]}}\n")
        answer(bridge, "GET", "/", VIEWER.headers)
        assert launch.process.poll() is None
        bridge.stop()
        kept = {
            str(path): path.read_bytes()
            for path in (tmp_path / "kept").rglob("*")
            if path.is_file()
        }
        kept |= {str(path): path.read_bytes() for path in spool.rglob("*") if path.is_file()}
        kept["what was answered"] = "\n".join(shown).encode()
    assert any(name.endswith(".log") for name in kept), kept.keys()
    assert any(name.endswith(".db") for name in kept), kept.keys()
    assert places_of(PUBLIC, kept) >= {"what was answered", "trainbridge.db"}
    assert {
        what: found for what, secret in PLANTED.items() if (found := places_of(secret, kept))
    } == {}


def places_of(secret, kept):
    """Return the names of what holds a text, as it is or as a cookie writes it."""
    forms = secret.encode(), base64.urlsafe_b64encode(secret.encode()).rstrip(b"=")
    return {
        Path(name).name for name, content in kept.items() if any(one in content for one in forms)
    }


def stream(bridge, name, spool):
    """Let a run report something, with secrets where people leave them, to be asked about or to be kept."""
    session = TrainingSession(
        bridge.grpc,
        session_id=name,
        token=TRAINER.token,
        spool_dir=str(spool / name),
        config={
            "public": PUBLIC,
            "url": f"http://user:{PLANTED['a password in an address']}@proxy:1",
            "api_key": WRONG,
        },
    )
    session.log_batch(0.5, epoch=0, batch=0, images=[jpeg(16, 16, 1)])
    assert session.close(60) == 0


def refused_calls(bridge):
    """Make gRPC calls with tokens that do not admit; return what they were answered."""
    said = []
    with grpc.insecure_channel(bridge.grpc) as channel:
        stub = MetricsServiceStub(channel)
        for token in (WRONG, VIEWER.token, TRAINER.token, ""):
            for name in ("foreign.run", "team.run"):
                info = wire.SessionInfo(session_id=name, client_instance_id="other")
                metadata = (("authorization", f"Bearer {token}"),)
                try:
                    said.append(
                        str(stub.RegisterTrainingSession(info, metadata=metadata, timeout=60))
                    )
                except grpc.RpcError as error:
                    said.append(f"{error.code()} {error.details()}")
    return said
