"""Sessions are deleted at a bridge that does not have them, while others take them, or come back with them."""

import json
import urllib.error
import urllib.request

import pytest
from support.fleet.member import running_pair
from support.known_run import KnownRun
from support.raw_client import RawClient
from support.waiting import until_true

from bridge.wire import metrics_pb2 as wire

FLAGS = (
    *("--images-keep", "all", "--shard-seconds", "1", "--heartbeat-seconds", "1"),
    *("--session-linger-seconds", "1", "--bridge-dead-seconds", "5"),
)

BATCHES = 5


@pytest.fixture
def pair(tmp_path, postgres_url):
    """Yield two bridges that run on one database, with one store."""
    with running_pair(tmp_path, postgres_url, *FLAGS) as members:
        yield members


def trained(member, instance="first", *, ends=False):
    """Return a client that has sent a few batches, all of them acknowledged, perhaps up to the end of the run."""
    client = RawClient(member.server.grpc, KnownRun("run", images_every=1), instance_id=instance)
    until_true(client.try_to_register, what="a bridge takes the session")
    client.open()
    client.stream(*client.run.requests(1, BATCHES))
    if ends:
        client.stream(client.run.status(wire.COMPLETED))
    return client


def asked(member, method="GET", path="sessions/run"):
    """Return status and body of an answer, by default about the session."""
    request = urllib.request.Request(f"http://{member.server.http}/api/v1/{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def sessions_of(member):
    """Return how many sessions each bridge owns, by what one of them lists."""
    _, body = asked(member, path="bridges")
    return [bridge["sessions"] for bridge in json.loads(body)["bridges"]]


def test_a_session_that_goes_on_elsewhere_is_not_deleted(pair):
    """Not in the second in which a bridge does not know yet who has it, either: nothing that was acknowledged is lost."""
    one, two = pair
    trained(one, ends=True).cut()
    until_true(lambda: sessions_of(two) == [0, 0], what="nobody has it any more")
    assert asked(two)[0] == 200  # remembers that nobody has it
    client = trained(one, "second")

    status, text = asked(two, "DELETE", "sessions/run?images=true")

    assert status in (409, 503), text
    one.kill()
    client.cut()
    client.address = two.server.grpc
    response = until_true(client.try_to_register, what="the other bridge takes it")
    assert response.resume_sequence == client.acknowledged
    client.cut()


def test_a_bridge_that_comes_back_does_not_bring_a_session_that_was_deleted(pair):
    """One that lives is refused while its bridge is away; deleted by force, it stays so when that goes on."""
    one, two = pair
    client = trained(one)
    until_true(lambda: asked(two)[0] == 200)
    one.freeze()
    client.cut()
    answers = []

    def is_deleted():
        query = "?force=true" if 409 in answers else ""
        answers.append(asked(two, "DELETE", f"sessions/run{query}")[0])
        return answers[-1] == 202

    until_true(is_deleted)
    assert 409 in answers
    one.thaw()

    until_true(lambda: asked(one)[0] == 404)
    again = trained(one, "second")
    assert json.loads(asked(one)[1])["batches"] == BATCHES
    again.cut()
