"""Commands from programs and from the page of a session."""

import asyncio
import json

import pytest
from support.pages import FakeArchive, running

from bridge import cli
from bridge.commands import KEPT_PER_SESSION
from bridge.lifecycle import Ended
from bridge.model import Client, CommandResult, Config, Stage, StatusChange
from bridge.model import Status as State
from bridge.protocol import COMMAND_WORDS, CommandType
from bridge.session import Session

PATH = "/api/v1/sessions/run-1/commands"
PAUSE = {"type": "PAUSE_TRAINING"}


@pytest.fixture
async def client(open_client):
    """Return a client of a bridge with one running session."""
    client = await open_client()
    running(client.deps)
    return client


def queued_commands(client):
    """Return the queued commands, as (type, parameters)."""
    return [(one.type, dict(one.parameters)) for one in client.deps.commands.of("run-1")]


async def test_a_command_is_taken_and_can_be_watched(client):
    """The 202 names the command and the URL where its result appears."""
    command = {"type": "change_learning_rate", "parameters": {"learning_rate": 0.0003}}

    response = await client.post(PATH, json=command)
    submitted = await response.json()
    client.deps.commands.take("run-1")
    client.deps.commands.answer(
        "run-1", CommandResult(submitted["command_id"], True, "done", epoch=1, batch=9)
    )
    listed = await (await client.get(PATH)).json()

    assert response.status == 202
    assert submitted["state"] == "queued"
    assert submitted["watch"] == response.headers["Location"]
    assert submitted["watch"].endswith(PATH)
    assert queued_commands(client) == [
        (CommandType.CHANGE_LEARNING_RATE, {"learning_rate": "0.0003"})
    ]
    assert [one["state"] for one in listed["commands"]] == ["applied"]
    assert listed["commands"][0]["result"] == {
        "applied": True,
        "message": "done",
        "epoch": 1,
        "batch": 9,
    }


async def test_one_id_submitted_twice_is_one_command(client):
    """A repeated request returns the existing command, even after the session's end; a different command is refused."""
    command = {**PAUSE, "command_id": "alert-1"}

    first = await client.post(PATH, json=command)
    again = await client.post(PATH, json=command)
    other = await client.post(PATH, json={"type": "STOP_TRAINING", "command_id": "alert-1"})
    client.deps.sessions.get("run-1").apply(Ended(Stage.ENDED), 5.0)
    late = await client.post(PATH, json=command)

    assert [first.status, again.status, other.status, late.status] == [202, 202, 409, 202]
    assert len(queued_commands(client)) == 1


async def test_a_session_that_is_over_takes_no_command(open_client):
    """409 for one that has ended, lingers or is archived; 404 for one that never was."""
    archived = Session("old-1", Client(), Config(), now=1.0)
    client = await open_client(archive=FakeArchive({"old-1": archived}))
    session = running(client.deps)
    session.apply(StatusChange(State.COMPLETED), 2.0)
    session.apply(Ended(Stage.ENDED), 2.0)

    statuses = [
        (await client.post(f"/api/v1/sessions/{name}/commands", json=PAUSE)).status
        for name in ("run-1", "old-1", "nobody")
    ]

    assert statuses == [409, 409, 404]
    assert queued_commands(client) == []


@pytest.mark.parametrize(
    "command",
    [
        [],
        "PAUSE_TRAINING",
        {},
        {"type": "UNKNOWN_COMMAND"},
        {"type": 1},
        {"type": ["PAUSE_TRAINING"]},
        {**PAUSE, "parameters": []},
        {**PAUSE, "parameters": {"a b": "1"}},
        {**PAUSE, "parameters": {"a": {}}},
        {**PAUSE, "parameters": {"a": ""}},
        {**PAUSE, "parameters": {"a": "x" * 257}},
        {**PAUSE, "parameters": {"a": "line\nbreak"}},
        {**PAUSE, "parameters": {f"a{i}": "1" for i in range(17)}},
        {**PAUSE, "command_id": "../x"},
        {**PAUSE, "command_id": None},
        {**PAUSE, "extra": 1},
    ],
    ids=str,
)
async def test_an_invalid_command_is_refused_with_a_reason(client, command):
    """400 says what would be right, and nothing is sent."""
    response = await client.post(PATH, json=command)

    problem = await response.json(content_type=None)
    assert (response.status, response.content_type) == (400, "application/problem+json")
    assert problem["detail"]
    assert queued_commands(client) == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe\xfd", b"[" * 30_000, b'{"type": "\\ud800"}', b"9" * 6000]
)
async def test_a_body_that_is_not_json_is_refused(client, body):
    """Arbitrary bytes are a 400."""
    response = await client.post(PATH, data=body, headers={"Content-Type": "application/json"})

    assert response.status == 400


async def test_a_body_too_large_is_refused(client):
    """No request makes the bridge hold much in memory."""
    response = await client.post(PATH, json={**PAUSE, "parameters": {"a": "x" * 100_000}})

    assert response.status == 413


async def test_a_form_is_not_an_api_request(client):
    """Content types that other sites can send without a preflight request are not read as JSON."""
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        response = await client.post(
            PATH, data=json.dumps(PAUSE).encode(), headers={"Content-Type": kind}
        )

        assert response.status == 415
    assert queued_commands(client) == []


@pytest.mark.parametrize("form", [True, False])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://rebound.example", "Host": "rebound.example"},
    ],
    ids=str,
)
async def test_pages_of_others_cannot_send_commands(client, headers, form):
    """A browser that another site makes post is refused, also under a host name rebound to this address."""
    if form:
        response = await client.post("/sessions/run-1/commands", data=PAUSE, headers=headers)
    else:
        response = await client.post(PATH, json=PAUSE, headers=headers)

    assert response.status == (421 if "Host" in headers else 403)
    assert queued_commands(client) == []


async def test_our_own_pages_can_send_commands(open_client):
    """At this machine's address and at the public one, whatever host name the proxy uses."""
    client = await open_client(public_url="https://bridge.example")
    running(client.deps)
    own = f"http://{client.host}:{client.port}"
    allowed = (
        {"Origin": own, "Sec-Fetch-Site": "same-origin"},
        {"Origin": own},
        {"Origin": "https://bridge.example", "Host": "bridge.example"},
    )

    statuses = [
        (await client.post(PATH, json=PAUSE, headers=headers)).status for headers in allowed
    ]

    assert statuses == [202, 202, 202]


async def test_the_page_of_a_session_sends_commands_without_a_script(client):
    """A form queues the command and leads back; sent twice, it counts once."""
    page = await (await client.get("/sessions/run-1")).text()
    token = page.partition('name="command_id" value="')[2].partition('"')[0]
    form = {"type": "CHANGE_LEARNING_RATE", "learning_rate": "0.01", "command_id": token}

    first = await client.post("/sessions/run-1/commands", data=form, allow_redirects=False)
    await client.post("/sessions/run-1/commands", data=form, allow_redirects=False)

    assert first.status == 303
    assert first.headers["Location"] == "../../sessions/run-1?note=queued"
    assert queued_commands(client) == [
        (CommandType.CHANGE_LEARNING_RATE, {"learning_rate": "0.01"})
    ]
    followed = await client.post("/sessions/run-1/commands", data={**form, "command_id": "b"})
    assert "on its way" in await followed.text()


async def test_too_many_unanswered_commands_wait(client):
    """429 while the training loop has commands to answer."""
    for _ in range(KEPT_PER_SESSION):
        client.deps.commands.submit("run-1", CommandType.PAUSE_TRAINING, {})

    response = await client.post(PATH, json=PAUSE)

    assert response.status == 429
    assert response.headers["Retry-After"]


BAD = [
    *(
        ("CHANGE_LEARNING_RATE", "learning_rate", bad)
        for bad in ("nan", "Infinity", "-1", "0", "", "x")
    ),
    *(
        ("ADJUST_BATCH_SIZE", "batch_size", bad)
        for bad in ("nan", "Infinity", "-1", "0", "1.5", "", "4294967296")
    ),
]


@pytest.mark.parametrize(("type", "name", "value"), BAD)
async def test_a_value_no_loop_can_use_is_refused_by_every_way_in(
    client, capsys, type, name, value
):
    """The API, with a string or a number, the form and the command line: 400 with what would be right."""
    raw = (
        value
        if value in ("-1", "0", "1.5", "4294967296")
        else {"nan": "NaN"}.get(value, f'"{value}"')
    )
    bodies = [
        json.dumps({"type": type, "parameters": {name: value}}),
        f'{{"type": "{type}", "parameters": {{"{name}": {raw}}}}}',
        json.dumps({"type": type}),
    ]
    kind = {"Content-Type": "application/json"}
    responses = [await client.post(PATH, data=body, headers=kind) for body in bodies]
    form = await client.post("/sessions/run-1/commands", data={"type": type, name: value})
    words = {spoken: word for word, spoken in COMMAND_WORDS.items()}
    url = f"http://{client.host}:{client.port}"
    arguments = ["command", words[CommandType[type]], "run-1", "--set", f"{name}={value}"]
    status = await asyncio.to_thread(cli.main, [*arguments, "--url", url])

    assert [response.status for response in (*responses, form)] == [400] * 4
    for response in responses:
        assert name in (await response.json(content_type=None))["detail"]
    assert f"{name} must be" in await form.text()
    assert status == 1
    assert name in capsys.readouterr().err
    assert queued_commands(client) == []


@pytest.mark.parametrize("raw", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_a_parameter_is_a_finite_number(client, raw):
    """JSON parsers accept NaN and infinity; no command is sent with one."""
    body = f'{{"type": "SAVE_CHECKPOINT", "parameters": {{"keep": {raw}}}}}'

    response = await client.post(PATH, data=body, headers={"Content-Type": "application/json"})

    assert response.status == 400
    assert queued_commands(client) == []


@pytest.mark.parametrize(
    ("fields", "sent_by"),
    [({}, "program at 127.0.0.1"), ({"by": "alice@laptop"}, "program alice@laptop at 127.0.0.1")],
)
async def test_the_history_says_who_asked(client, fields, sent_by):
    """The name that a program gives itself, and the address that it came from."""
    submitted = await (await client.post(PATH, json={**PAUSE, **fields})).json()

    assert (submitted["sent_by"], submitted["expires_at"]) == (sent_by, None)
    assert client.deps.commands.of("run-1")[0].source == sent_by


async def test_a_name_does_not_pass_for_an_alert(client):
    """What alerts may do is counted by the source, which a request cannot choose."""
    submitted = await (await client.post(PATH, json={**PAUSE, "by": "alert Diverges"})).json()

    assert submitted["sent_by"].startswith("program ")


async def test_a_command_may_have_a_time(client):
    """When it is over it is expired, and a note says that it was never sent."""
    response = await client.post(PATH, json={**PAUSE, "expires_in_seconds": 1e-6})
    assert response.status == 202
    assert (await response.json())["expires_at"] > 0
    (listed,) = (await (await client.get(PATH)).json())["commands"]
    assert listed["state"] == "expired"
    assert "not carried out" in listed["note"]
    assert client.deps.commands.take("run-1") == []


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"by": "x" * 65}, "by must be a name of at most 64"),
        ({"by": 7}, "by must be a name"),
        ({"by": "a\nb"}, "by must be a name"),
        ({"expires_in_seconds": 0}, "expires_in_seconds must be a number above 0"),
        ({"expires_in_seconds": True}, "expires_in_seconds must be a number above 0"),
        ({"expires_in_seconds": "10"}, "expires_in_seconds must be a number above 0"),
        ({"expires_in_seconds": 1e9}, "at most 604800"),
    ],
)
async def test_neither_name_nor_time_can_be_anything(client, fields, detail):
    """Each refusal says what to give."""
    response = await client.post(PATH, json={**PAUSE, **fields})

    assert response.status == 400
    assert detail in (await response.json())["detail"]
    assert queued_commands(client) == []
