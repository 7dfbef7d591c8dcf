"""What has happened to sessions, as charts draw it."""

import pytest
from support.pages import FakeArchive, running

from bridge.commands import Commands
from bridge.lifecycle import AlertReceived, Connected, Ended
from bridge.model import (
    Batch,
    Client,
    CommandResult,
    Config,
    Epoch,
    Level,
    Occurrence,
    Stage,
    Status,
    StatusChange,
)
from bridge.protocol import CommandType
from bridge.session import Session

PATH = "/api/v1/annotations"

START = 1_000_000.0


def trained(session_id="old-1", *, attempt=1, begun=START, epochs=3):
    """Return a session that has trained some epochs of ten seconds, logged an event, and failed."""
    session = Session(session_id, Client(), Config(model_name="net"), now=begun, attempt=attempt)
    session.apply(Connected(), begun)
    for number in range(1, epochs + 1):
        session.apply(Batch(number, 9, 0.5), begun + 10 * number)
        session.apply(Epoch(number, 0.5, 0.75), begun + 10 * number)
    event = Occurrence("lr drop", "by half", Level.WARNING, {"rate": "0.1"}, 2, 7)
    session.apply(event, begun + 25)
    alert = AlertReceived("f", "Diverges", begun + 12, begun + 18, "warning", "rises", "a1")
    session.apply(alert, begun + 13)
    session.apply(StatusChange(Status.FAILED, "out of memory"), begun + 40)
    session.apply(Ended(Stage.ENDED), begun + 40)
    return session


def with_commands(session):
    """Return a session as the archive has it, with a command that an alert has sent."""
    commands = Commands(clock=lambda: START + 13)
    commands.submit(session.id, CommandType.PAUSE_TRAINING, {}, "a1", "alert Diverges")
    commands.answer(session.id, CommandResult("a1", True, "paused", 1, 9), START + 14)
    session.restored_state["commands"] = commands.snapshot(session)
    return session


@pytest.fixture
async def client(open_client):
    """Return a client of a bridge whose archive has one session."""
    return await open_client(archive=FakeArchive({"old-1": with_commands(trained())}))


async def annotations(client, query=""):
    """Return the annotations of a page."""
    response = await client.get(f"{PATH}?{query}")
    assert response.status == 200, await response.text()
    return (await response.json())["annotations"]


async def test_all_that_happened_is_there_the_newest_first(client):
    """Also of a session that is no longer in memory."""
    found = await annotations(client, "session=old-1")

    listed = [(one["time"] - int(START * 1000), one["kind"], one["title"]) for one in found]
    assert listed == [
        (40_000, "end", "failed"),
        (30_000, "epoch", "epoch 3 done"),
        (25_000, "event", "lr drop"),
        (20_000, "epoch", "epoch 2 done"),
        (13_000, "command", "pause training"),
        (12_000, "alert", "alert Diverges"),
        (10_000, "epoch", "epoch 1 done"),
        (0, "attempt", "training began"),
    ]


async def test_each_says_what_it_was_and_leads_there(client):
    """Text, tags and link are what a person needs at that point of the chart."""
    found = {one["kind"]: one for one in await annotations(client, "session=old-1")}

    assert found["end"]["text"] == "out of memory"
    assert found["epoch"]["text"] == "loss 0.5000, accuracy 0.7500"
    assert found["event"]["text"] == "by half; rate: 0.1"
    assert found["event"]["tags"] == ["event", "warning"]
    assert found["event"]["link"].endswith("/sessions/old-1/batches/2-7")
    assert found["command"]["text"] == (
        "sent by alert Diverges; applied at epoch 1, batch 9: paused"
    )
    assert found["command"]["link"].endswith("/sessions/old-1/batches/1-9")
    assert found["command"]["timeEnd"] - found["command"]["time"] == 1_000
    assert found["alert"]["text"] == (
        "rises; resolved after 6.0 s; sent pause training, applied at epoch 1, batch 9"
    )
    assert found["alert"]["tags"] == ["alert", "resolved", "warning"]
    assert found["alert"]["timeEnd"] - found["alert"]["time"] == 6_000
    assert "/go/images?session=old-1&at=" in found["alert"]["link"]


async def test_links_answer(client):
    """None leads nowhere."""
    for one in await annotations(client, "session=old-1"):
        path = one["link"].split("/", 3)[3]
        response = await client.get(f"/{path}", allow_redirects=False)
        assert response.status in (200, 302), one


async def test_a_time_selects(client):
    """A while counts where any of it lies in the time; both ends count."""
    start = int(START * 1000)

    found = await annotations(client, f"session=old-1&from={start + 14_000}&to={start + 25_000}")

    assert [one["kind"] for one in found] == ["event", "epoch", "command", "alert"]


async def test_kinds_select(client):
    """Commas stand between several, or the parameter is repeated."""
    commas = await annotations(client, "session=old-1&kind=alert,end")
    repeated = await annotations(client, "session=old-1&kind=alert&kind=end")

    assert [one["kind"] for one in commas] == ["end", "alert"]
    assert repeated == commas


@pytest.mark.parametrize("limit", [1, 3, 8])
async def test_pages_hold_everything_once(client, limit):
    """Whatever their length, and where several annotations have one time."""
    whole = await annotations(client, "session=old-1")
    found, url = [], f"{PATH}?session=old-1&limit={limit}"
    while url:
        page = await (await client.get(url)).json()
        found += page["annotations"]
        url = page["next"] and "/" + page["next"].split("/", 3)[3]

    assert found == whole


async def test_pages_hold_what_is_of_one_moment_once(open_client):
    """More of one time than fit on a page."""
    session = Session("old-1", Client(), Config(), now=START)
    for number in range(1, 8):
        session.apply(Epoch(number, 0.5), START + 5)
    client = await open_client(archive=FakeArchive({"old-1": session}))
    found, url = [], f"{PATH}?session=old-1&kind=epoch&limit=3"
    while url:
        page = await (await client.get(url)).json()
        found += [one["title"] for one in page["annotations"]]
        url = page["next"] and "/" + page["next"].split("/", 3)[3]

    assert found == [f"epoch {number} done" for number in range(1, 8)]


async def test_earlier_attempts_count(open_client):
    """A run that was restarted shows where, and what its first attempt went through."""
    first, second = trained(epochs=1), trained(attempt=2, begun=START + 100, epochs=1)
    client = await open_client(archive=FakeArchive({"old-1": second}, former=[first]))

    found = await annotations(client, "session=old-1&kind=attempt,end")
    later = await annotations(client, f"session=old-1&from={int(START + 90) * 1000}")

    assert [(one["title"], one["attempt"]) for one in found] == [
        ("failed", 2),
        ("attempt 2 began", 2),
        ("failed", 1),
        ("training began", 1),
    ]
    assert {one["attempt"] for one in later} == {2}


async def test_links_of_an_earlier_attempt_lead_to_its_own_batches(open_client):
    """The attempt after it has batches of the same numbers."""
    first, second = trained(epochs=2), trained(attempt=2, begun=START + 100, epochs=2)
    client = await open_client(archive=FakeArchive({"old-1": second}, former=[first]))

    found = await annotations(client, "session=old-1&kind=epoch,event,alert")
    links = {(one["attempt"], one["kind"]): one["link"].split("/", 3)[3] for one in found}

    assert links[1, "event"] == "sessions/old-1/attempts/1/batches/2-7"
    assert links[2, "event"] == "sessions/old-1/batches/2-7"
    for kind in ("epoch", "alert"):
        assert links[1, kind].endswith("&attempt=1")
        assert "attempt" not in links[2, kind]


async def test_an_epoch_whose_loss_is_not_finite_says_so(open_client):
    """It is what somebody looks for; only what was not reported is left out."""
    session = Session("old-1", Client(), Config(), now=START)
    session.apply(Epoch(1, float("inf"), None, float("nan")), START + 5)
    client = await open_client(archive=FakeArchive({"old-1": session}))

    [epoch] = await annotations(client, "session=old-1&kind=epoch")

    assert epoch["text"] == "loss ∞, validation loss NaN"


@pytest.mark.parametrize("query", ["", "session=$__all", "session=${session}", "session=All"])
async def test_without_a_session_those_in_memory_are_meant(client, query):
    """So a board of many sessions may ask without naming any; variables that were not filled in name none."""
    running(client.deps, "run-1")
    running(client.deps, "run-2")

    found = await annotations(client, query)

    assert {one["session_id"] for one in found} == {"run-1", "run-2"}


async def test_several_sessions_and_one_that_is_not_here(client):
    """Grafana writes several as {a,b}; what is not here is named, and costs the others nothing."""
    running(client.deps, "run-1")

    response = await client.get(f"{PATH}?session=%7Bold-1,run-1,nobody%7D&from=$__from")
    answer = await response.json()

    assert {one["session_id"] for one in answer["annotations"]} == {"old-1", "run-1"}
    assert answer["unknown_sessions"] == ["nobody"]


async def test_an_alert_that_fires_goes_on(client):
    """It began before the time that is asked for, and nobody has seen its end."""
    session = running(client.deps, "run-1")
    session.apply(AlertReceived("f", "Stalled", START), START)

    found = await annotations(client, f"session=run-1&kind=alert&from={int(START * 2000)}")

    assert [(one["title"], one["timeEnd"]) for one in found] == [("alert Stalled", None)]


@pytest.mark.parametrize(
    "query",
    [
        "session=../x",
        "session=" + ",".join(f"s{number}" for number in range(21)),
        "session=old-1&kind=rumour",
        "session=old-1&from=yesterday",
        "session=old-1&limit=0",
        "session=old-1&limit=3000",
        "session=old-1&skip=-1",
    ],
    ids=lambda query: query[-24:],
)
async def test_what_cannot_be_asked_for_is_refused(client, query):
    """400 says what may be given."""
    response = await client.get(f"{PATH}?{query}")

    assert response.status == 400
    assert "must" in (await response.json(content_type=None))["detail"]
