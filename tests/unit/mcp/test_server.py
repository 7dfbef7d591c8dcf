"""What an assistant gets to see, through the client of the mcp package and the real HTTP server."""

import asyncio
import json

import pytest
from mcp import Client as McpClient
from support.guarded import guarded
from support.jpegs import jpeg, large_jpeg
from support.pages import NOON, deps_in, pictures, running
from support.served_app import served_app
from support.waiting import until_true

from bridge.client import BridgeClient
from bridge.mcp import build_server
from bridge.mcp.commanding import Commanding
from bridge.model import Batch, Client, CommandResult, Config, Epoch, Level, Occurrence, Scalars

READING = {
    *("list_sessions", "show_session", "list_curves", "get_curve", "compare_sessions"),
    *("session_events", "session_commands", "worst_batches", "batch_images"),
}
COMMANDS = {
    *("pause_training", "resume_training", "stop_training", "save_checkpoint"),
    *("change_learning_rate", "adjust_batch_size"),
}


@pytest.fixture
def deps(tmp_path):
    """What the server answers from, and its images; both empty."""
    deps, shelf = deps_in(tmp_path)
    yield deps, shelf
    shelf.database.close()


@pytest.fixture
def bridge(deps):
    """What reads a server with these dependencies."""
    with served_app(deps[0]) as url:
        yield BridgeClient(url, timeout_seconds=60)


@pytest.fixture
def ask(bridge):
    """Return what calls a tool and returns its answer."""

    async def ask(name, **arguments):
        async with McpClient(build_server(bridge)) as client:
            return await answered(client, name, arguments)

    return ask


async def answered(client, name, arguments):
    """Return the JSON that a tool answers."""
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result.content[0].text
    return json.loads(result.content[0].text)


async def refused(client, name, **arguments):
    """Return what a tool says instead of an answer."""
    result = await client.call_tool(name, arguments)
    assert result.is_error
    return result.content[0].text


async def test_by_default_nothing_can_be_changed(bridge):
    """Every tool is one that reads, and says so; what it is for stands in its description."""
    async with McpClient(build_server(bridge)) as client:
        tools = (await client.list_tools()).tools

    assert {tool.name for tool in tools} == READING
    assert all(tool.annotations.read_only_hint for tool in tools)
    assert all(len(tool.description) > 60 for tool in tools)
    assert not any("\n  " in tool.description for tool in tools)


async def test_commands_come_only_where_they_are_allowed(bridge):
    """Each says that it changes something; what cannot be taken back says so as well."""
    async with McpClient(build_server(bridge, allow_commands=True)) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}

    assert set(tools) == READING | COMMANDS
    assert not any(tools[name].annotations.read_only_hint for name in COMMANDS)
    assert tools["stop_training"].annotations.destructive_hint


async def test_sessions_are_listed(deps, ask):
    """With what is known; what was not reported is null, and a search narrows."""
    running(deps[0], "run-1", total_epochs=10)
    deps[0].sessions.register("other", Client(), Config())

    everything = await ask("list_sessions")
    found = await ask("list_sessions", query="run-1")
    first = await ask("list_sessions", limit=1)

    assert {one["session_id"] for one in everything["sessions"]} == {"run-1", "other"}
    [run] = found["sessions"]
    assert (run["epoch"], run["batch"], run["loss"], run["total_epochs"]) == (1, 2, 0.5, 10)
    assert run["registered_at"].endswith("+00:00")
    [other] = [one for one in everything["sessions"] if one["session_id"] == "other"]
    assert (other["loss"], other["progress_ratio"]) == (None, None)
    assert (everything["more"], len(first["sessions"]), first["more"]) == (False, 1, True)


async def test_a_session_is_shown_whole_but_bounded(deps, ask):
    """Epochs beyond the newest twenty are counted, and alerts of the session are there."""
    session = running(deps[0], "run-1", total_epochs=30)
    for number in range(25):
        session.apply(Epoch(number, 0.5, 0.25), NOON)

    shown = await ask("show_session", session_id="run-1")

    assert [epoch["number"] for epoch in shown["epochs"]] == list(range(5, 25))
    assert shown["epochs"][0]["validation_loss"] is None
    assert (shown["left_out"], shown["alerts"]) == ({"epochs": 5}, [])
    assert "losses" not in shown


async def test_a_curve_keeps_its_extremes(deps, ask):
    """However few points are asked for, the spike is in one of them."""
    session = running(deps[0], "run-1")
    for number in range(200):
        session.apply(Batch(2, number, 99.5 if number == 120 else 1.0), NOON)
    session.apply(Scalars(2, 0, {"gradient_norm": 3.0}), NOON)

    listed = await ask("list_curves", session_id="run-1")
    curve = await ask("get_curve", session_id="run-1", points=5)

    assert {"loss", "gradient_norm"} <= set(listed["curves"])
    assert listed["loss"]["highest"]["high"] == 99.5
    assert 2 <= len(curve["points"]) <= 5
    assert max(point["high"] for point in curve["points"]) == 99.5
    assert (curve["last"]["mean"], curve["highest"]["high"]) == (1.0, 99.5)


async def test_the_worst_batches_can_be_looked_at(deps, ask):
    """The one with the highest loss comes first, NaN before it; its images follow as pictures."""
    running(deps[0], "run-1", class_names=("cat", "dog"))
    session = deps[0].sessions.find("run-1")
    session.apply(Batch(1, 7, 8.5), NOON)
    deps[1].add("run-1", 1, 7, [(jpeg(), 1, 0.9, 1), (jpeg(), 0, 0.9, 1)], loss=8.5)

    worst = await ask("worst_batches", session_id="run-1", limit=1)
    assert [(each["epoch"], each["batch"], each["loss"]) for each in worst["batches"]] == [
        (1, 7, 8.5)
    ]


async def test_images_come_as_images(deps, bridge):
    """Wrong predictions first, with their numbers beside them; all of them together are bounded."""
    running(deps[0], "run-1", class_names=("cat", "dog"))
    heavy = large_jpeg(700_000)
    batch = [(jpeg(), 1, 0.9, 1), (heavy, 0, 0.9, 1), (heavy, 0, 0.8, 1)]
    deps[1].add("run-1", 1, 2, batch)

    async with McpClient(build_server(bridge)) as client:
        result = await client.call_tool(
            "batch_images", {"session_id": "run-1", "epoch": 1, "batch": 2}
        )
    answer = json.loads(result.content[0].text)

    assert [each["is_wrong"] for each in answer["images"]] == [False, True, True]
    assert answer["images"][1]["predicted_label"] == "cat"
    assert answer["shown"] == [1, 0]
    assert "beyond 1 MiB" in answer["not_shown"][0]
    assert [part.mime_type for part in result.content[1:]] == ["image/jpeg"] * 2


async def test_a_batch_without_images_says_where_there_are_some(deps, ask):
    """And why it has none."""
    running(deps[0], "run-1")
    deps[1].add("run-1", 1, 0, pictures())

    answer = await ask("batch_images", session_id="run-1", epoch=1, batch=2)

    assert (answer["images"], answer["previous_with_images"]) == ([], "1-0")
    assert answer["images_missing_because"]


async def test_sessions_are_compared(deps, ask):
    """What differs in their configurations, their best values, a curve of each; a missing one is named."""
    for name in ("one", "two"):
        deps[0].sessions.register(name, Client(run_config={"lr": name, "seed": 1}), Config())
        deps[0].sessions.find(name).apply(Batch(1, 0, 0.5), NOON)

    answer = await ask("compare_sessions", session_ids=["one", "two", "three"])

    assert answer["config_different"]["lr"] == {"one": "one", "two": "two"}
    assert "seed" in answer["config_equal"]
    assert answer["unknown"] == ["three"]
    assert answer["curves"]["one"][0]["mean"] == 0.5


async def test_events_and_commands_are_read(deps, ask):
    """With where they happened, and what became of them."""
    session = running(deps[0], "run-1")
    session.apply(Occurrence("lr drop", "by half", Level.INFO, {}, 1, 2), NOON)

    events = await ask("session_events", session_id="run-1")
    commands = await ask("session_commands", session_id="run-1")

    assert [(each["name"], each["epoch"]) for each in events["events"]] == [("lr drop", 1)]
    assert (events["left_out"], commands) == (0, {"commands": [], "left_out": 0})


async def test_an_answer_stays_short_however_much_a_loop_says(deps, bridge, ask):
    """The newest events come first in that, and the others are counted."""
    session = running(deps[0], "run-1")
    for step in range(60):
        details = {f"detail{number}": "x" * 250 for number in range(60)}
        session.apply(Occurrence("table", "long", Level.INFO, details, 1, step), NOON)

    answer = await ask("session_events", session_id="run-1", limit=200)

    assert len(json.dumps(answer)) < 80_000
    assert [each["batch"] for each in answer["events"]][-1] == 59
    assert len(answer["events"]) + answer["left_out"] == len(bridge.events("run-1"))
    assert answer["left_out"]


async def test_a_command_returns_its_answer(deps, bridge):
    """What the loop says of it comes back; what cannot be a rate is refused before it is sent."""
    running(deps[0], "run-1")
    commands = deps[0].commands

    async def answer_it():
        await asyncio.to_thread(until_true, lambda: commands.of("run-1"))
        [command] = commands.of("run-1")
        commands.answer("run-1", CommandResult(command.id, True, "halved", 1, 2))

    async with McpClient(build_server(bridge, allow_commands=True)) as client:
        arguments = {"session_id": "run-1", "learning_rate": 0.001}
        answer, _ = await asyncio.gather(
            answered(client, "change_learning_rate", arguments), answer_it()
        )

        assert (answer["state"], answer["result"]["message"]) == ("applied", "halved")
        assert (answer["parameters"], answer["next"]) == ({"learning_rate": "0.001"}, None)
        for wrong in (0, -1, "NaN"):
            said = await refused(
                client, "change_learning_rate", session_id="run-1", learning_rate=wrong
            )
            assert "learning_rate" in said


async def test_what_is_not_there_is_named_with_the_way_out(deps, bridge):
    """An unknown session, curve and bridge; nothing of an exception is shown."""
    running(deps[0], "run-1")
    async with McpClient(build_server(bridge)) as client:
        for tool in ("show_session", "list_curves", "session_events", "worst_batches"):
            said = await refused(client, tool, session_id="nobody")
            assert "list_sessions returns" in said, tool
        said = await refused(client, "get_curve", session_id="run-1", curve="no-such")
        assert "curve must be one that these sessions have: loss" in said
    async with McpClient(build_server(BridgeClient("http://127.0.0.1:9"))) as client:
        said = await refused(client, "list_sessions")
        assert "no bridge at http://127.0.0.1:9: " in said
        assert "Errno" not in said


async def test_a_fault_of_our_own_shows_nothing_of_itself(bridge, monkeypatch, caplog):
    """The log has the reason."""
    monkeypatch.setattr(bridge, "session", lambda _: {}["secret-key"])
    async with McpClient(build_server(bridge)) as client:
        said = await refused(client, "show_session", session_id="run-1")

    assert "secret-key" not in said
    assert "whose log (stderr) has the reason" in said
    assert "secret-key" in caplog.text


async def test_a_command_without_an_answer_is_not_sent_again(deps, bridge):
    """The time is over: it stays with the bridge, and the answer says so."""
    running(deps[0], "run-1")
    answer = await asyncio.to_thread(Commanding(bridge, wait_seconds=0.1).pause_training, "run-1")

    assert answer["state"] == "queued"
    assert "do not send it again" in answer["next"]


async def test_an_assistant_goes_on_with_a_renewed_token(tmp_path):
    """Its server runs for days: the file is read again, and a token that is not let in is one sentence."""
    file = tmp_path / "token"
    file.write_text("tb_planted-first")
    with guarded() as server:
        server.tokens = {"tb_planted-first"}
        bridge = BridgeClient(server.url, token_file=file)
        async with McpClient(build_server(bridge)) as client:
            assert (await answered(client, "list_sessions", {}))["sessions"] == []
            server.tokens = {"tb_planted-second"}
            file.write_text("tb_planted-second")
            assert (await answered(client, "list_sessions", {}))["sessions"] == []
            server.tokens = set()
            sentence = await refused(client, "list_sessions")

    assert f"that is the token from the file {file} (token_file): write a valid one" in sentence
    assert "tb_planted" not in sentence
