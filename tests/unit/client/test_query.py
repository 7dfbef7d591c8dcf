"""BridgeClient, against the real HTTP server and against things that are not a bridge."""

import math
import socket
from dataclasses import is_dataclass
from types import UnionType
from typing import get_args, get_origin, get_type_hints

import pytest
from support.answers import answering
from support.attempts import three_attempts
from support.fake_bridge import FakeBridge, serving
from support.jpegs import jpeg
from support.pages import deps_in, pictures, running
from support.served_app import served_app

from bridge.client import BridgeClient, CommandType
from bridge.client.query import NoBridgeError, ProblemError
from bridge.client.query_types import SessionDetails
from bridge.hardware import Gpu, Resources
from bridge.model import (
    Batch,
    Client,
    CommandResult,
    Config,
    Epoch,
    Performance,
    Scalars,
    Status,
    StatusChange,
)

LISTED = 7


@pytest.fixture
def deps(tmp_path):
    """What the server answers from, and its images; both empty."""
    deps, shelf = deps_in(tmp_path)
    yield deps, shelf
    shelf.database.close()


@pytest.fixture
def client(deps):
    """A client of a server with these dependencies."""
    with served_app(deps[0]) as url:
        yield BridgeClient(url)


def test_sessions_are_listed_with_what_is_known(deps, client):
    """Numbers and texts as the API has them; None where nothing was reported."""
    running(deps[0], "run-1", total_epochs=10)
    deps[0].sessions.register("run-2", Client(), Config())
    one, other = sorted(client.sessions(), key=lambda session: session.session_id)

    assert (one.status, one.stage, one.connected) == ("unknown", "live", True)
    assert (one.epoch, one.batch, one.batches, one.total_epochs) == (1, 2, 3, 10)
    assert (one.loss, one.client_name) == (0.5, "tests")
    assert one.url == f"{client.url}/sessions/run-1"
    assert (other.epoch, other.total_epochs, other.loss, other.client_name) == (None,) * 4


def test_lists_are_followed_to_their_end(deps, client):
    """Every page is fetched, and nothing comes twice."""
    for number in range(LISTED):
        running(deps[0], f"run-{number}")
        deps[1].add("run-0", 1, number, pictures())

    names = [session.session_id for session in client.sessions(page_size=2)]
    batches = [batch.batch for batch in client.batches("run-0", page_size=2)]

    assert sorted(names) == [f"run-{number}" for number in range(LISTED)]
    assert batches == list(range(LISTED))
    assert [batch.batch for batch in client.batches("run-0", after=(1, 3))] == [4, 5, 6]


def test_a_list_is_followed_where_the_bridge_was_found(tmp_path):
    """The address in `next` begins with --public-url, which may lead nowhere from here."""
    deps, shelf = deps_in(tmp_path, public_url="https://bridge.invalid/elsewhere")
    for number in range(3):
        running(deps, f"run-{number}")
    with served_app(deps) as url:
        assert len(list(BridgeClient(url).sessions(page_size=1))) == 3
    shelf.database.close()


def test_a_session_has_everything_that_is_known_of_it(deps, client):
    """Epochs, the loss curve, measurements and scalars; losses that are not finite are floats, too."""
    session = running(deps[0])
    now = session.registered_at
    gpu = Gpu(0, "GPU-1", 0.5)
    for message in (
        Batch(1, 3, math.inf),
        Epoch(1, 0.4, 0.9),
        Scalars(1, 3, {"lr": math.nan}),
        Performance(frames_per_second=60.0, resources=Resources(gpus=(gpu,))),
    ):
        session.apply(message, now)
    details = client.session("run-1")

    assert details.loss == math.inf
    assert details.class_names == ("cat", "dog")
    assert [(epoch.number, epoch.loss, epoch.accuracy) for epoch in details.epochs] == [
        (1, 0.4, 0.9)
    ]
    assert math.isnan(details.scalars["lr"])
    assert details.performance.resources.gpus[0].uuid == "GPU-1"
    assert sum(part.count for part in details.losses) == 3
    assert details.client.name == "tests"


def unread(value, kind):
    """Yield the members of an answer that no field of the record takes, by their path."""
    if get_origin(kind) is UnionType:
        kind = get_args(kind)[0]
    if get_origin(kind) is tuple:
        for part in value or ():
            yield from unread(part, get_args(kind)[0])
    elif is_dataclass(kind) and value is not None:
        known = get_type_hints(kind)
        for name, member in value.items():
            if name in known:
                yield from (f"{name}.{inner}" for inner in unread(member, known[name]))
            else:
                yield name


def test_all_that_the_api_has_of_a_session_is_in_the_record(deps, client):
    """What a page shows, a program can read: a field that the API gains is one of the record as well."""
    *former, newest = three_attempts()
    deps[0].archive.former, deps[0].archive.kept = former, {"run-1": newest}
    session = running(deps[0], "run-2")
    gpu = Gpu(0, "GPU-1", 0.5, throttle_reasons=("power",), sm_clock_hertz=1.2e9)
    for message in (
        Performance(frames_per_second=60.0, resources=Resources(gpus=(gpu,))),
        Scalars(1, 3, {"loss": 0.25}, split="validation"),
        StatusChange(Status.RUNNING, phase="validation", phase_seconds={"training": 9.0}),
    ):
        session.apply(message, session.registered_at)

    for name in ("run-1", "run-2"):
        assert list(unread(client.get_json(f"/api/v1/sessions/{name}"), SessionDetails)) == []
    details = client.session("run-2")
    assert (details.phase, details.phase_seconds["training"]) == ("validation", 9.0)
    assert details.scalars_by_split == {"validation": {"loss": 0.25}}
    assert details.performance.resources.gpus[0].throttle_reasons == ("power",)
    assert (details.run_id, details.rank, details.world_size) == (None, None, None)


def test_images_are_listed_and_read(deps, client):
    """With what is known of each, and byte for byte."""
    running(deps[0])
    sent = pictures()
    deps[1].add("run-1", 1, 7, sent)
    (batch,) = client.batches("run-1")

    assert (batch.epoch, batch.batch, batch.loss) == (1, 7, 0.5)
    assert [(one.position, one.predicted_label, one.true_label) for one in batch.images] == [
        (0, "dog", "dog"),
        (1, "dog", "cat"),
    ]
    assert [one.is_wrong for one in batch.images] == [False, True]
    assert [client.image("run-1", 1, 7, one.position) for one in batch.images] == [
        content for content, *_ in sent
    ]


def test_attempts_are_read(deps, client):
    """A session has all of them; each is read by itself, with its own curve and images."""
    *former, newest = three_attempts()
    deps[0].archive.former, deps[0].archive.kept = former, {"run-1": newest}
    for number in (1, 2):
        deps[1].add("run-1", 2, 5, [(jpeg(16, 16, 10 * number), 1, 0.5, 1)], attempt=number)

    whole, first = client.session("run-1"), client.session("run-1", attempt=1)

    assert [(one.attempt, one.state) for one in whole.attempts[:2]] == [(1, "lost"), (2, "failed")]
    assert whole.attempts[1].lost_seconds_before == 3570.0
    assert {bin_.attempt for bin_ in whole.losses} == {1, 2, 3}
    assert (first.attempt, {bin_.attempt for bin_ in first.losses}) == (1, {1})
    assert [batch.attempt for batch in client.batches("run-1")] == [2]
    assert [batch.attempt for batch in client.batches("run-1", attempt=1)] == [1]
    assert client.image("run-1", 2, 5, 0, attempt=1) == jpeg(16, 16, 10)
    assert client.image("run-1", 2, 5, 0) == jpeg(16, 16, 20)
    with pytest.raises(ProblemError, match="there is no attempt 7"):
        client.session("run-1", attempt=7)


def test_a_command_is_submitted_and_watched(deps, client):
    """From queued to the answer of the loop; the same id again is the same command."""
    running(deps[0])
    rate = {"learning_rate": 0.001}
    first = client.submit_command("run-1", CommandType.CHANGE_LEARNING_RATE, rate, command_id="a-1")
    again = client.submit_command("run-1", "CHANGE_LEARNING_RATE", rate, command_id="a-1")
    assert first == again
    assert (first.state, first.parameters) == ("queued", {"learning_rate": "0.001"})

    deps[0].commands.take("run-1")
    deps[0].commands.answer(
        "run-1", CommandResult("a-1", applied=True, message="", epoch=1, batch=2)
    )
    (command,) = client.commands("run-1")

    assert (command.type, command.state) == ("CHANGE_LEARNING_RATE", "applied")
    assert (command.result.message, command.result.epoch, command.result.batch) == (None, 1, 2)


@pytest.mark.parametrize("name", ["nobody", "../../metrics?x", "a b", "ü"])
def test_a_problem_is_an_exception(client, name):
    """With status, title and detail as RFC 9457 has them; a name cannot leave its place in the path."""
    with pytest.raises(ProblemError) as caught:
        client.session(name)

    assert caught.value.status == 404
    assert caught.value.title
    assert caught.value.detail in str(caught.value)
    assert "<" not in str(caught.value)


def test_a_refused_command_names_its_fault(deps, client):
    """The detail says what to change."""
    running(deps[0])
    with pytest.raises(ProblemError, match="learning_rate") as caught:
        client.submit_command("run-1", CommandType.CHANGE_LEARNING_RATE)

    assert caught.value.status == 400


def test_a_page_of_errors_is_not_repeated():
    """What a proxy answers in HTML comes down to its status."""
    with (
        answering(502, b"<html><h1>oops</h1></html>", "text/html") as url,
        pytest.raises(ProblemError) as caught,
    ):
        list(BridgeClient(url).sessions())

    assert str(caught.value) == "the bridge answered 502: Bad Gateway"


def test_readiness_names_the_failing_checks(client):
    """A bridge that is ready returns; one that is not says why."""
    client.check_ready()
    with (
        answering(503, b"stopping: it is stopping\nspool: gone\n", "text/plain") as url,
        pytest.raises(ProblemError, match="stopping: it is stopping; spool: gone"),
    ):
        BridgeClient(url).check_ready()


def test_nobody_at_the_address():
    """Named with the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(NoBridgeError, match=f"no bridge at {url}: .*refused"):
        BridgeClient(url).session("run-1")


def test_a_bridge_that_does_not_answer():
    """A server that accepts and stays silent is given up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(NoBridgeError, match="timed out"):
            BridgeClient(url, timeout_seconds=0.05).metrics()


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"null", b"{}", b'{"sessions": [{"session_id": 3}]}', b"\xff"]
)
def test_something_else_at_the_address(body):
    """Whatever answers without being a bridge is not taken for one without sessions."""
    with answering(200, body) as url, pytest.raises(NoBridgeError, match="something else"):
        list(BridgeClient(url).sessions())


def test_an_answer_that_breaks_off():
    """Half a body counts as none."""
    with answering(200, b"up 1\n", "text/plain", length=100) as url, pytest.raises(NoBridgeError):
        BridgeClient(url).metrics()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("127.0.0.1:8080", "is not a URL of a bridge"),
        ("", "is not a URL of a bridge"),
        ("ftp://there", "is not a URL of a bridge"),
        ("file:///etc/passwd", "is not a URL of a bridge"),
        ("http://", "is not a URL of a bridge"),
        ("http://there:port", "host or port is invalid"),
        ("http://[::1", "host or port is invalid"),
        ("http://user:pw@there", "holds a user name"),
        ("http://there/a b", "odd letters"),
        ("http://there\n:1", "odd letters"),
        ("http://th\u00e9re", "odd letters"),
        ("http://there?x=1", "more than scheme"),
        (None, "a NoneType is not a URL"),
        (8080, "a int is not a URL"),
    ],
)
def test_what_is_not_a_url(url, words):
    """Is refused before anything is sent, with one that would be right, and without its password."""
    with pytest.raises(ValueError, match=words) as refusal:
        BridgeClient(url)

    assert "http://127.0.0.1:8080" in str(refusal.value)
    assert "pw" not in str(refusal.value)


def test_a_bridge_on_this_machine_is_reached_without_a_proxy(deps, monkeypatch):
    """Whatever the variables say."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with served_app(deps[0]) as url:
        BridgeClient(f"{url}/").check_ready()


def test_a_bridge_elsewhere_is_reached_through_the_proxy(monkeypatch):
    """Where that fails, it is named with its variable, and without its password."""
    with answering(200, b"up 1\n", "text/plain") as url:
        monkeypatch.setenv("HTTP_PROXY", url)
        assert BridgeClient("http://192.0.2.1:8080").metrics() == "up 1\n"
    host = url.removeprefix("http://")
    monkeypatch.setenv("HTTP_PROXY", f"http://user:pw@{host}")

    with pytest.raises(NoBridgeError, match="nothing listens where the proxy should be") as caught:
        BridgeClient("http://192.0.2.1:8080").metrics()

    assert f"went through the proxy http://{host} of HTTP_PROXY" in str(caught.value)
    assert "pw" not in str(caught.value)


def test_a_proxy_that_cannot_be_used_is_named(monkeypatch):
    """The bridge is asked without it."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1080")
    monkeypatch.setattr("bridge.proxies.is_loopback_host", lambda _: False)

    with pytest.raises(
        NoBridgeError, match="of http_proxy is not an http:// proxy and is not used"
    ):
        BridgeClient(f"http://127.0.0.1:{port}").check_ready()


def test_the_grpc_port_is_not_the_http_port():
    """What answers there is not HTTP; the sentence says which port is meant."""
    with serving(FakeBridge()) as bridge:
        url = f"http://{bridge.address}"
        with pytest.raises(
            NoBridgeError, match="if it is the bridge's gRPC port, give the HTTP port"
        ) as caught:
            BridgeClient(url).check_ready()

        assert str(caught.value).isprintable()
        with pytest.raises(NoBridgeError, match="does not answer in TLS; use http://"):
            BridgeClient(url.replace("http", "https")).check_ready()


def test_a_name_that_nobody_knows():
    """The host is named."""
    with pytest.raises(NoBridgeError, match=r"the host bridge\.invalid is unknown here"):
        BridgeClient("http://bridge.invalid").check_ready()
