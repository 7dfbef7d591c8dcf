"""Requests made up from the API's own description, against a real bridge that has what they ask for."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.access import Granted, write_tokens
from support.bridges import RunningBridge, running_bridge
from support.jpegs import jpeg
from support.waiting import until_true

from bridge.client import BridgeClient, CommandType, TrainingSession
from bridge.client.query import ProblemError

SECONDS = int(os.environ.get("TRAINBRIDGE_FUZZ_SECONDS", "0"))
"""How long requests are made up, each time others; 0: a fixed set of them."""

FIXED = ("--generation-deterministic", "--max-examples", "8")

LIMIT_SECONDS = 600

pytestmark = pytest.mark.timeout(2 * LIMIT_SECONDS + SECONDS)

INGEST, CONTROL = Granted(("ingest",)), Granted(("control",))

MAY_REFUSE = {
    "get_comparison": "curve must be one that the sessions have",
    "list_sessions": "a cursor comes from an earlier response, and goes with its order",
    "list_images": "after and a time exclude each other",
    "post_command": "what a type needs, and which characters are printable, is beyond what a schema says",
}
"""Operations that may refuse a request that the description allows, and why."""

MAY_ACCEPT = {"list_annotations": "variables that a dashboard left in count as absent"}
"""Operations that may serve a request that the description does not allow, and why."""


@dataclass(frozen=True)
class Described:
    """A bridge with sessions, and what reads it."""

    bridge: RunningBridge
    client: BridgeClient


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """Yield a bridge with a session that is connected, one that has ended, and one in the archive."""
    folder = tmp_path_factory.mktemp("described")
    tokens = write_tokens(folder / "tokens.yaml", [INGEST, CONTROL])
    flags = ("--tokens-file", str(tokens), "--images-keep", "all", "--alert-commands", "pause")
    with running_bridge(folder / "state", *flags, "--session-linger-seconds", "0") as bridge:
        client = BridgeClient(f"http://{bridge.http}", token=CONTROL.token, timeout_seconds=60)
        with session_of(bridge, "archived"):
            pass
        with session_of(bridge, "connected"):
            until_true(lambda: any(one.connected for one in client.sessions(query="connected")))
            client.submit_command("connected", CommandType.SAVE_CHECKPOINT, command_id="known")
            until_true(lambda: has_all_of(client, "archived"))
            yield Described(bridge, client)


def has_all_of(client, name):
    """Return whether a session is over, and its images are there; not while it moves into the archive."""
    try:
        is_over = client.session(name).state == "completed"
        return is_over and len(list(client.batches(name))) == 2
    except ProblemError:
        return False


def session_of(bridge, name):
    """Return a session that has reported something of everything."""
    session = TrainingSession(
        bridge.grpc, session_id=name, epochs=3, class_names=("cat", "dog"), token=INGEST.token
    )
    for batch in range(2):
        pictures = [jpeg(16, 16, 40)]
        session.log_batch(
            0.5, epoch=1, batch=batch, images=pictures, predictions=[(1, 0.5)], ground_truth=[0]
        )
    session.log_scalars({"rate": 0.1})
    session.event("drop", "by half")
    return session


def settings() -> str:
    """Return the exceptions as the fuzzer reads them."""
    rows = [(name, "positive_data_acceptance") for name in MAY_REFUSE]
    rows += [(name, "negative_data_rejection") for name in MAY_ACCEPT]
    texts = [
        f'[[operations]]\ninclude-operation-id = "{name}"\nchecks.{check}.enabled = false\n'
        for name, check in rows
    ]
    return "".join(texts)


def test_the_bridge_keeps_to_its_description(described, tmp_path):
    """Whatever is sent, answers are described, what is not allowed is refused, and nothing is served without a token.

    With TRAINBRIDGE_FUZZ_SECONDS other requests are made up each time, for so long; a failure prints the seed.
    """
    rules = tmp_path / "rules.toml"
    rules.write_text(settings())
    extent = ("--max-time", str(SECONDS), "--max-examples", "1000") if SECONDS else FIXED
    finished = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "--config-file", str(rules), "run",
         f"http://{described.bridge.http}/api/openapi.json",
         "--header", f"Authorization: Bearer {CONTROL.token}",
         "--suppress-health-check", "all", "--request-timeout", "120",
         "--continue-on-failure", "--no-color", *extent],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS + SECONDS,
    )  # fmt: skip  # flags beside their values

    assert finished.returncode == 0, finished.stdout + finished.stderr
    described.client.check_ready()
    levels = [json.loads(line)["level"] for line in described.bridge.log.read_text().splitlines()]
    assert "error" not in levels


def test_the_fuzzer_finds_what_is_not_described(described, tmp_path):
    """Held against a description without the field `total` of events, the same requests fail."""
    headers = {"Authorization": f"Bearer {CONTROL.token}"}
    document = json.loads(described.bridge.get("/api/openapi.json", **headers))
    document["components"]["schemas"]["Events"]["properties"]["total"] = {"type": "string"}
    wrong = Path(tmp_path / "wrong.json")
    wrong.write_text(json.dumps(document))
    finished = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", str(wrong),
         "--url", f"http://{described.bridge.http}",
         "--header", f"Authorization: Bearer {CONTROL.token}",
         "--include-operation-id", "list_events", "--include-operation-id", "list_sessions",
         "--suppress-health-check", "all", "--no-color", *FIXED],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS,
    )  # fmt: skip  # flags beside their values

    assert finished.returncode == 1, finished.stdout + finished.stderr
    assert "/total" in finished.stdout
