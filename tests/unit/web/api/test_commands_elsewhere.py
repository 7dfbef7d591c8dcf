"""Commands and alerts for sessions that another bridge on the same database has."""

from datetime import UTC, datetime

import pytest
from support.fake_inbox import FakeInbox
from support.pages import FakeArchive, deps_in, running

from bridge.commands import CHECKPOINT_KEY, Commands
from bridge.errors import LimitError, StorageError
from bridge.inbox.command_messages import command_of
from bridge.lifecycle import Disconnected, Ended, SentElsewhere
from bridge.model import Client, Config, Stage
from bridge.protocol import CommandType
from bridge.session import Session
from bridge.web import AlertBounds
from bridge.web.alerts.passing_on import alert_receiver

PATH = "/api/v1/sessions/run-1/commands"
ALERTS = "/api/v1/alertmanager"
PAUSE = {"type": "PAUSE_TRAINING", "command_id": "one"}
BOUNDS = AlertBounds(frozenset({CommandType.PAUSE_TRAINING}), per_hour=5)
LATER = "2040-01-02T03:04:05Z"


@pytest.fixture
def inbox():
    """An inbox that is empty."""
    return FakeInbox()


@pytest.fixture
def elsewhere():
    """A session as its checkpoint has it: another bridge has it."""
    return Session("run-1", Client("tests", "1"), Config(3), now=1.0, attempt=2)


@pytest.fixture
async def client(open_client, inbox, elsewhere):
    """Return a client of a bridge that has no session in memory."""
    archive = FakeArchive({"run-1": elsewhere})
    return await open_client(archive=archive, inbox=inbox, alert_bounds=BOUNDS)


def alert(*, session_id="run-1", command="pause"):
    """Return a notification with one alert."""
    labels = {"alertname": "Diverging", "session_id": session_id, "trainbridge_command": command}
    one = {"status": "firing", "labels": labels, "startsAt": LATER, "fingerprint": "c0ffee"}
    return {"alerts": [one]}


async def post_alert(client, **labels):
    """Post an alert; return the status and its result."""
    response = await client.post(ALERTS, json=alert(**labels))
    return response.status, (await response.json())["alerts"][0]["result"]


async def test_command_for_a_session_elsewhere_is_queued(client, inbox):
    """The 202 has the command as it is kept, for the attempt that was seen, and where to follow it."""
    response = await client.post(PATH, json={**PAUSE, "expires_in_seconds": 60})
    submitted = await response.json()

    [message] = inbox.messages
    command, attempt = command_of(message)
    assert (response.status, submitted["state"], submitted["command_id"]) == (202, "queued", "one")
    assert submitted["watch"] == response.headers["Location"]
    assert (command.type, attempt) == (CommandType.PAUSE_TRAINING, 2)
    assert command.source.startswith("program at ")
    assert command.expires_at == submitted["expires_at"]
    assert client.deps.commands.of("run-1") == []


async def test_command_on_its_way_is_listed(client, elsewhere):
    """Behind those that the session had at its checkpoint; one that has arrived meanwhile is listed once."""
    commands = Commands()
    commands.submit("run-1", CommandType.SAVE_CHECKPOINT, {}, "before")
    elsewhere.restored_state[CHECKPOINT_KEY] = commands.snapshot(elsewhere)
    await client.post(PATH, json=PAUSE)

    listed = (await (await client.get(PATH)).json())["commands"]
    assert [(one["command_id"], one["state"]) for one in listed] == [
        ("before", "queued"),
        ("one", "queued"),
    ]

    running(client.deps)
    client.deps.submit_command("run-1", CommandType.PAUSE_TRAINING, {}, "one")
    listed = (await (await client.get(PATH)).json())["commands"]
    assert [one["command_id"] for one in listed] == ["one"]


async def test_form_of_the_page_goes_the_same_way(client, inbox):
    """The button of a page that another bridge has rendered works here, too."""
    response = await client.post(
        "/sessions/run-1/commands", data={"type": "PAUSE_TRAINING"}, allow_redirects=False
    )

    assert (response.status, len(inbox.messages)) == (303, 1)


async def test_command_is_checked_before_it_is_kept(client, inbox, elsewhere):
    """What no loop can use, what has another id's content, and what is for a session that is over is refused at once."""
    await client.post(PATH, json=PAUSE)
    statuses = [
        (await client.post(PATH, json=body)).status
        for body in (
            {"type": "CHANGE_LEARNING_RATE", "parameters": {"learning_rate": "-1"}},
            {"type": "STOP_TRAINING", "command_id": "one"},
            PAUSE,
        )
    ]
    elsewhere.apply(Ended(Stage.ENDED), 5.0)
    statuses.append((await client.post(PATH, json={"type": "STOP_TRAINING"})).status)

    assert statuses == [400, 409, 202, 409]
    assert len(inbox.messages) == 1


async def test_command_that_the_checkpoint_has_is_not_sent_anew(client, inbox, elsewhere):
    """The same id is the same command; with another content it is refused."""
    commands = Commands()
    commands.submit("run-1", CommandType.PAUSE_TRAINING, {}, "one")
    elsewhere.restored_state[CHECKPOINT_KEY] = commands.snapshot(elsewhere)

    again = await client.post(PATH, json=PAUSE)
    other = await client.post(PATH, json={**PAUSE, "type": "STOP_TRAINING"})

    assert (again.status, other.status, inbox.messages) == (202, 409, [])


@pytest.mark.parametrize(
    ("error", "status"), [(LimitError("full"), 429), (StorageError("away"), 503)]
)
async def test_command_that_cannot_be_kept_is_refused(client, inbox, error, status):
    """Nobody is promised a command that is nowhere."""
    inbox.error = error

    assert (await client.post(PATH, json=PAUSE)).status == status


async def test_command_for_a_session_that_has_just_been_taken_goes_after_it(client, inbox):
    """A bridge that learns with its commit that it has the session no more leaves the command for the new owner."""
    running(client.deps)
    inbox.is_lost = True

    response = await client.post(PATH, json=PAUSE)

    assert (response.status, [one.message_id for one in inbox.messages]) == (202, ["one"])


async def test_command_for_a_session_here_needs_no_inbox(client, inbox):
    """It is queued in memory, as without other bridges."""
    running(client.deps)

    await client.post(PATH, json=PAUSE)

    assert (inbox.messages, len(client.deps.commands.of("run-1"))) == ([], 1)


async def test_commands_arrive_in_the_sequence_in_which_they_were_sent(client, inbox):
    """What was left at another bridge before comes before what is sent here now; the same command is the same."""
    running(client.deps)
    inbox.on_catch_up = lambda: client.deps.submit_command(
        "run-1", CommandType.PAUSE_TRAINING, {}, "one"
    )

    await client.post(PATH, json={"type": "RESUME_TRAINING", "command_id": "two"})
    await client.post(PATH, json=PAUSE)

    assert [one.id for one in client.deps.commands.of("run-1")] == ["one", "two"]


async def test_alert_about_a_session_elsewhere_is_passed_on(client, inbox):
    """Also one that comes twice is one message; the answer says that another bridge decides."""
    assert await post_alert(client) == (202, "passed_on")
    assert await post_alert(client) == (202, "passed_on")
    assert await post_alert(client, command="") == (202, "passed_on")

    assert [one.kind for one in inbox.messages] == ["alert", "alert"]


@pytest.mark.parametrize("session_id", ["other", "not a session's", ""])
async def test_alert_about_no_session_is_passed_to_nobody(client, inbox, session_id):
    """Where no bridge knows the session there is nobody to decide."""
    status, result = await post_alert(client, session_id=session_id)

    assert (status, inbox.messages) == (200, [])
    assert result == ("elsewhere" if session_id else "no_session")


async def test_alert_about_a_session_that_is_over_is_passed_to_nobody(client, inbox, elsewhere):
    """It could do nothing."""
    elsewhere.apply(Ended(Stage.ENDED), 5.0)

    assert await post_alert(client) == (200, "elsewhere")
    assert inbox.messages == []


async def test_alerts_are_sent_again_while_nothing_can_be_kept(client, inbox):
    """Alertmanager repeats a notification after a 503; too many for one session are refused for good."""
    inbox.error = StorageError("away")
    assert (await client.post(ALERTS, json=alert())).status == 503

    inbox.error = LimitError("full")
    assert await post_alert(client) == (200, "refused")


async def test_alert_that_was_passed_on_is_decided_by_the_owner(client, inbox, tmp_path, stored):
    """As if Alertmanager had posted it there: bounds, limits and the page are those of the owner."""
    await post_alert(client)
    [message] = inbox.messages
    deps, _ = deps_in(tmp_path, stored=stored, inbox=FakeInbox(), alert_bounds=BOUNDS)
    session = running(deps)
    receive = alert_receiver(deps)

    assert receive(session, message)
    assert receive(session, message)

    [command] = deps.commands.of("run-1")
    [kept] = session.alerts
    assert (command.source, kept.alert.command_id) == ("alert Diverging", command.id)
    assert kept.alert.starts_at == datetime.fromisoformat(LATER).astimezone(UTC).timestamp()


async def test_alert_waits_while_the_loop_is_not_connected(client, inbox, tmp_path, stored):
    """It stays in the database until the loop is back, or has been away for too long."""
    await post_alert(client)
    [message] = inbox.messages
    deps, _ = deps_in(tmp_path, stored=stored, inbox=FakeInbox(), alert_bounds=BOUNDS)
    session = running(deps)
    session.apply(SentElsewhere(), session.registered_at)
    session.apply(Disconnected(), session.registered_at)

    assert not alert_receiver(deps)(session, message)

    session.is_absent = True
    assert alert_receiver(deps)(session, message)
    [kept] = session.alerts
    assert kept.alert.refusal


async def test_alert_about_a_session_that_has_just_been_taken_goes_after_it(client, inbox):
    """What was decided here is nothing any more: the new owner decides."""
    running(client.deps)
    inbox.is_lost = True

    assert await post_alert(client) == (202, "passed_on")
    assert len(inbox.messages) == 1
