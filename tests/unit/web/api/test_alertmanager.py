"""Alerts that Alertmanager posts: which become commands, and what is answered."""

import json
from datetime import UTC, datetime

import pytest
from support.pages import running

from bridge.families import ALERT_RESULTS
from bridge.lifecycle import Absent, Disconnected, Ended, SentElsewhere
from bridge.model import CommandResult, Epoch, Scalars, Stage
from bridge.protocol import CommandType
from bridge.web import AlertBounds
from bridge.web.alerts.intake import Result
from bridge.web.alerts.notification import ALERTS_LIMIT

PATH = "/api/v1/alertmanager"

BOUNDS = AlertBounds(
    frozenset({CommandType.PAUSE_TRAINING, CommandType.CHANGE_LEARNING_RATE}),
    per_hour=2,
    learning_rates=(1e-5, 1e-2),
)

LATER = datetime(2040, 1, 2, 3, 4, 5, 678901, UTC).timestamp()
"""After the attempt of every session here began."""


def moment(seconds):
    """Return a time as Alertmanager writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f123Z")


def alert(*, command="pause", starts_at=LATER, ends_at=0.0, fingerprint="c0ffee", **labels):
    """Return one alert of a notification, as Alertmanager sends it."""
    given = {"alertname": "TrainingDiverging", "session_id": "run-1", "severity": "warning"}
    return {
        "status": "resolved" if ends_at else "firing",
        "labels": {**given, **({"trainbridge_command": command} if command else {}), **labels},
        "annotations": {"summary": "Training run-1 diverges"},
        "startsAt": moment(starts_at),
        "endsAt": moment(ends_at) if ends_at else "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": fingerprint,
    }


def notification(*alerts, **more):
    """Return the body of Alertmanager's webhook, version 4."""
    return {
        "receiver": "bridge",
        "status": "firing",
        "alerts": list(alerts),
        "groupLabels": {"session_id": "run-1"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "version": "4",
        "groupKey": '{}:{session_id="run-1"}',
        "truncatedAlerts": 0,
        **more,
    }


@pytest.fixture
async def client(open_client):
    """Return a client of a bridge with one running session, where alerts may pause it and change its learning rate."""
    client = await open_client(alert_bounds=BOUNDS)
    running(client.deps)
    return client


async def post(client, *alerts, **more):
    """Post a notification; return the status and what became of each alert."""
    response = await client.post(PATH, json=notification(*alerts, **more))
    return response.status, (await response.json(content_type=None))["alerts"]


def counted(client):
    """Return how many alerts there were of each result, where there were any."""
    [family] = [
        one
        for one in client.deps.telemetry.registry.collect()
        if one.name == "bridge_alerts_received"
    ]
    return {
        sample.labels["result"]: sample.value
        for sample in family.samples
        if sample.name.endswith("_total") and sample.value
    }


def test_every_result_is_counted_from_the_beginning():
    """A series that begins with its first alert has no increase that anybody sees."""
    assert {str(result) for result in Result} == set(ALERT_RESULTS)


async def test_an_alert_becomes_a_command(client):
    """It is queued as what the alert has sent, and the answer says where to follow it."""
    status, [answer] = await post(client, alert())

    [command] = client.deps.commands.of("run-1")
    assert (status, answer["result"], answer["reason"]) == (202, "queued", None)
    assert (command.type, command.source) == (
        CommandType.PAUSE_TRAINING,
        "alert TrainingDiverging",
    )
    assert answer["command"]["command_id"] == command.id
    assert answer["command"]["watch"].endswith("/api/v1/sessions/run-1/commands")
    [kept] = client.deps.sessions.get("run-1").alerts
    assert (kept.alert.command_id, kept.alert.summary) == (command.id, "Training run-1 diverges")
    assert counted(client) == {"queued": 1}


async def test_a_repeated_notification_is_the_same_command(client):
    """Whatever Alertmanager sends again, and once it has resolved, the loop gets one command; the next time it gets another."""
    await post(client, alert())
    client.deps.commands.take("run-1")
    client.deps.commands.answer("run-1", CommandResult(command_of(client).id, True, "", 1, 2))

    status, [again] = await post(client, alert())
    _, [resolved] = await post(client, alert(ends_at=LATER + 60))
    _, [late] = await post(client, alert())
    _, [anew] = await post(client, alert(starts_at=LATER + 600))

    assert (status, again["result"], again["command"]["state"]) == (200, "duplicate", "applied")
    assert [resolved["result"], late["result"], anew["result"]] == ["kept", "kept", "queued"]
    assert len(client.deps.commands.of("run-1")) == 2
    first, _ = client.deps.sessions.get("run-1").alerts
    assert not first.fires


def command_of(client):
    """Return the only command of the session."""
    [command] = client.deps.commands.of("run-1")
    return command


@pytest.mark.parametrize("texts", [{}, {"severity": "critical"}], ids=["same", "other"])
async def test_an_alert_that_has_ended_sends_no_command(client, texts):
    """Its end may overtake its beginning, which then pauses no loop, and is not shown as if it still fired."""
    await post(client, alert(ends_at=LATER + 60))
    status, [late] = await post(client, alert(**texts))

    assert (status, late["result"], late["status"]) == (200, "kept", "firing")
    assert client.deps.commands.of("run-1") == []
    [kept] = client.deps.sessions.get("run-1").alerts
    assert not kept.fires


async def test_two_servers_that_see_an_alert_send_one_command(client):
    """Two Prometheus servers see an alert begin seconds apart."""
    await post(client, alert())
    _, [earlier] = await post(client, alert(starts_at=LATER - 14))
    _, [resolved] = await post(client, alert(starts_at=LATER - 14, ends_at=LATER + 60))

    assert (earlier["result"], resolved["result"]) == ("duplicate", "kept")
    [kept] = client.deps.sessions.get("run-1").alerts
    assert not kept.fires


async def test_an_alert_that_fires_again_at_once_is_the_same(client):
    """While a bridge restarts its series are gone, so the alert resolves and fires again: the rate is halved once."""
    await post(client, alert())
    await post(client, alert(ends_at=LATER + 60))

    _, [again] = await post(client, alert(starts_at=LATER + 75))

    assert again["result"] == "duplicate"
    [kept] = client.deps.sessions.get("run-1").alerts
    assert kept.fires


async def test_a_command_that_was_forgotten_is_not_sent_again(client):
    """The session remembers what an alert has sent, after its command has made room for others."""
    await post(client, alert())
    client.deps.commands.discard("run-1")

    status, [again] = await post(client, alert())

    assert (status, again["result"], again["command"]) == (200, "duplicate", None)
    assert client.deps.commands.of("run-1") == []


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (alert(command="stop"), '--alert-commands "pause change-learning-rate stop"'),
        (alert(command="explode"), "must be one of pause, resume, stop"),
        (alert(command="adjust-batch-size"), "must be one of pause, resume, stop"),
        (alert(starts_at=1_000_000_000.0), "before this attempt"),
        (alert(command="change-learning-rate"), "a learning_rate or a factor above 0"),
        (alert(trainbridge_parameters="{"), "must be JSON"),
        (alert(trainbridge_parameters="[]"), "parameters must be an object"),
        (
            alert(command="change-learning-rate", trainbridge_parameters='{"learning_rate": 0.1}'),
            "is not between 1e-05 and 0.01",
        ),
        (
            alert(command="change-learning-rate", trainbridge_parameters='{"factor": 0.5}'),
            "it has reported none",
        ),
        (
            alert(
                command="change-learning-rate",
                trainbridge_parameters='{"learning_rate": 0.001, "lr": 5}',
            ),
            "has lr, which no bound holds for",
        ),
        (
            alert(
                command="change-learning-rate",
                trainbridge_parameters='{"learning_rate": 0.001, "factor": 2}',
            ),
            "has factor, which",
        ),
        (
            alert(command="change-learning-rate", trainbridge_parameters='{"factor": -1}'),
            "above 0",
        ),
    ],
)
async def test_an_alert_out_of_bounds_is_refused(client, given, reason):
    """200, for nothing would change by sending it again; the answer and the page of the session say why."""
    status, [answer] = await post(client, given)

    assert (status, answer["result"]) == (200, "refused")
    assert reason in answer["reason"]
    assert client.deps.commands.of("run-1") == []
    [kept] = client.deps.sessions.get("run-1").alerts
    assert kept.alert.refusal == answer["reason"]
    assert counted(client) == {"refused": 1}


async def test_alerts_may_send_nothing_by_default(open_client):
    """Who runs the bridge must allow it first."""
    client = await open_client()
    running(client.deps)

    status, [answer] = await post(client, alert())

    assert (status, answer["result"]) == (200, "refused")
    assert '--alert-commands "pause"' in answer["reason"]


@pytest.mark.parametrize("reported", ["scalar", "epoch"])
async def test_a_factor_is_of_the_rate_that_the_session_reports(client, reported):
    """Half of what it is, and not half of the half when the alert is sent again."""
    session = client.deps.sessions.get("run-1")
    rate = {
        "scalar": Scalars(1, 2, {"learning_rate": 0.004}),
        "epoch": Epoch(1, 0.5, learning_rate=0.004),
    }
    session.apply(rate[reported], session.registered_at)
    given = alert(command="CHANGE_LEARNING_RATE", trainbridge_parameters='{"factor": 0.5}')

    status, _ = await post(client, given)
    session.apply(Scalars(1, 3, {"learning_rate": 0.002}), session.registered_at)
    await post(client, given)

    assert status == 202
    assert command_of(client).parameters == {"learning_rate": "0.002"}


async def test_alerts_send_only_so_many_commands(client):
    """A rule that fires again and again slows a training down twice an hour, and no more."""
    results = []
    for number in range(4):
        _, [answer] = await post(client, alert(fingerprint=f"f{number}"))
        results.append(answer["result"])

    assert results == ["queued", "queued", "refused", "refused"]
    [*_, last] = client.deps.sessions.get("run-1").alerts
    assert "--alert-commands-per-hour" in last.alert.refusal


async def test_commands_of_people_do_not_count(client):
    """Their number says nothing of alerts."""
    for _ in range(5):
        client.deps.commands.submit("run-1", CommandType.PAUSE_TRAINING, {})

    status, _ = await post(client, alert())

    assert status == 202


async def test_a_command_waits_for_the_stream_that_will_be_back(client):
    """503 makes Alertmanager send it again: within three heartbeats, and no longer."""
    session = client.deps.sessions.get("run-1")
    session.apply(Disconnected(), session.registered_at)

    status, [waiting] = await post(client, alert())
    assert (status, waiting["result"]) == (503, "retry")
    assert len(session.alerts) == 0

    session.apply(Absent(), session.registered_at)
    status, [gone] = await post(client, alert())
    assert (status, gone["result"]) == (200, "refused")
    assert "three heartbeats" in gone["reason"]
    assert client.deps.commands.of("run-1") == []


async def test_a_session_of_another_bridge_is_said_to_be_there(client):
    """A copy that a session has left, and a name that was never here, take nothing; neither makes Alertmanager repeat it."""
    session = client.deps.sessions.get("run-1")
    session.apply(SentElsewhere(), session.registered_at)
    session.apply(Disconnected(), session.registered_at)

    status, answers = await post(client, alert(), alert(session_id="nobody"))

    assert (status, [one["result"] for one in answers]) == (200, ["elsewhere", "elsewhere"])
    assert len(session.alerts) == 0


async def test_a_session_that_is_over_takes_no_command(client):
    """Its page shows the alert all the same."""
    session = client.deps.sessions.get("run-1")
    session.apply(Ended(Stage.ENDED), session.registered_at)

    status, [answer] = await post(client, alert())

    assert (status, answer["result"]) == (200, "refused")
    assert len(session.alerts) == 1


async def test_alerts_without_a_command_are_kept_and_others_passed_over(client):
    """All alerts may be sent here: those about sessions are shown, those about bridges are not."""
    bridge_down = alert(command="")
    del bridge_down["labels"]["session_id"]

    status, answers = await post(client, alert(command=""), bridge_down, alert(command=""))

    assert (status, [one["result"] for one in answers]) == (200, ["kept", "no_session", "kept"])
    assert len(client.deps.sessions.get("run-1").alerts) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": None},
        {"fingerprint": "../x"},
        {"status": "maybe"},
        {"startsAt": "yesterday"},
        {"startsAt": "0001-01-01T00:00:00Z"},
        {"labels": {"session_id": 7}},
        {"labels": "none"},
    ],
    ids=str,
)
async def test_an_alert_that_cannot_be_read_costs_itself(client, change):
    """The others of its notification count."""
    response = await client.post(PATH, json=notification({**alert(), **change}, alert()))
    answer = await response.json()

    assert response.status == 202
    assert [one["result"] for one in answer["alerts"]] == ["queued"]
    assert len(answer["invalid"]) == 1
    assert counted(client) == {"queued": 1, "invalid": 1}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"alerts": {}}', b"[" * 9_000])
async def test_what_is_not_a_notification_is_refused(client, body):
    """400 says what would be right."""
    response = await client.post(PATH, data=body, headers={"Content-Type": "application/json"})

    assert response.status == 400
    assert "webhook_configs" in (await response.json(content_type=None))["detail"]


async def test_too_many_alerts_are_said_to_be_left_out(client):
    """Those that Alertmanager cut off, and those beyond what is read at once, are counted."""
    many = [
        alert(command="", fingerprint=f"f{number}", session_id="nobody")
        for number in range(ALERTS_LIMIT + 3)
    ]
    for one in many:
        one["annotations"] = {}

    response = await client.post(PATH, json=notification(*many, truncatedAlerts=4))

    answer = await response.json()
    assert (response.status, answer["left_out"], len(answer["alerts"])) == (200, 7, ALERTS_LIMIT)
    assert counted(client) == {"elsewhere": ALERTS_LIMIT, "left_out": 7}


@pytest.mark.parametrize("count", [10**400, -1, True, 1.5, "7", None], ids=str)
async def test_a_count_that_cannot_be_costs_nothing(client, count):
    """What Alertmanager never sends as the number of alerts that it cut off counts as none, and the alerts count."""
    response = await client.post(PATH, json=notification(alert(), truncatedAlerts=count))

    assert (response.status, (await response.json())["left_out"]) == (202, 0)


async def test_a_notification_may_be_larger_than_other_requests(client):
    """A hundred alerts with all their annotations fit; four times as many do not."""
    long = {**alert(command=""), "annotations": {"description": "x" * 2_000}}
    many = [{**long, "fingerprint": f"f{number}"} for number in range(80)]

    fits = await client.post(PATH, json=notification(*many))
    too_large = await client.post(PATH, json=notification(*many * 4))

    assert (fits.status, too_large.status) == (200, 413)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
    ],
    ids=["origin", "fetch", "form"],
)
async def test_other_sites_send_no_alerts(client, headers, status):
    """What another site's page makes a browser send never becomes a command."""
    body = json.dumps(notification(alert()))

    response = await client.post(
        PATH, data=body, headers={"Content-Type": "application/json", **headers}
    )

    assert response.status == status
    assert client.deps.commands.of("run-1") == []


async def test_texts_of_alerts_are_cut_to_one_line(client):
    """What is shown and logged of an alert is bounded, whatever its rule says."""
    given = alert(command="", alertname="a\nb" * 200, severity="c" * 99)
    given["annotations"] = {"summary": "d " * 900}

    await post(client, given)

    [kept] = client.deps.sessions.get("run-1").alerts
    assert kept.alert.name.startswith("a ba b")
    assert [len(kept.alert.name), len(kept.alert.severity)] == [100, 32]
    assert len(kept.alert.summary) <= 300


async def test_a_full_queue_of_commands_is_a_refusal(client):
    """What cannot be queued is said, and costs no other alert of the notification."""
    for _ in range(100):
        client.deps.commands.submit("run-1", CommandType.SAVE_CHECKPOINT, {})

    status, answers = await post(client, alert(), alert(command="", fingerprint="other"))

    assert (status, [one["result"] for one in answers]) == (200, ["refused", "kept"])
    assert "unanswered" in answers[0]["reason"]


async def test_the_page_says_who_sent_a_command(client):
    """A person sees that an alert has sent it, and so does a program."""
    await post(client, alert())

    listed = await (await client.get("/api/v1/sessions/run-1/commands")).json()

    assert [one["sent_by"] for one in listed["commands"]] == ["alert TrainingDiverging"]
