"""`trainbridge mcp` as an assistant starts it: one process, a real bridge and a loop that obeys."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from mcp import Client, StdioServerParameters
from support.bridges import running_bridge
from support.markdown import blocks
from support.repository import ROOT
from support.waiting import until_true

from bridge.client import TrainingSession

PAGE = (ROOT / "docs" / "mcp.md").read_text()
SECONDS = 90

pytestmark = pytest.mark.timeout(2 * SECONDS)


@pytest.fixture(scope="module")
def bridge(tmp_path_factory):
    """Return a real bridge."""
    with running_bridge(tmp_path_factory.mktemp("bridge") / "state") as bridge:
        yield bridge


def configured(url):
    """Return how a document starts the server, at this bridge and from this checkout."""
    [example] = [
        block for block in blocks(PAGE, "json") if "mcpServers" in block and "allow" in block
    ]
    server = json.loads(example)["mcpServers"]["trainbridge"]
    assert server["command"] == "trainbridge"
    arguments = ["-m", "bridge", *server["args"]]
    environment = os.environ | {"TRAINBRIDGE_URL": url, "PYTHONPATH": str(ROOT)}
    return StdioServerParameters(command=sys.executable, args=arguments, env=environment)


async def test_an_assistant_reads_a_run_and_stops_it(bridge):
    """As the document configures it, over standard input and output; the loop's answer comes back."""
    with TrainingSession(bridge.grpc, session_id="run-1", epochs=3) as session:
        session.log_batch(0.5, epoch=1, batch=0)
        assert session.flush(SECONDS) == 0
        loop = threading.Thread(
            target=until_true, args=(lambda: session.should_stop,), kwargs={"seconds": SECONDS}
        )
        loop.start()
        async with Client(configured(f"http://{bridge.http}")) as client:
            listed = await client.call_tool("list_sessions", {})
            stopped = await client.call_tool("stop_training", {"session_id": "run-1"})
        loop.join()

    [run] = json.loads(listed.content[0].text)["sessions"]
    assert (run["session_id"], run["state"], run["loss"]) == ("run-1", "running", 0.5)
    answer = json.loads(stopped.content[0].text)
    assert (answer["state"], answer["result"]["epoch"]) == ("applied", 1)


@pytest.mark.parametrize("end", ["input", signal.SIGINT, signal.SIGTERM], ids=str)
def test_it_ends_with_its_assistant(end):
    """When the input ends, or at a signal, and writes nothing but the protocol to the output."""
    command = [sys.executable, "-m", "bridge", "mcp", "--url", "http://127.0.0.1:9"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
    ) as process:
        process.stdin.write('{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        if end == "input":
            process.stdin.close()
        else:
            process.send_signal(end)
        status = process.wait(SECONDS)
        said = process.stderr.read()

    expected = {"input": 0, signal.SIGINT: -signal.SIGINT, signal.SIGTERM: -signal.SIGTERM}
    assert (status, said) == (expected[end], "")
