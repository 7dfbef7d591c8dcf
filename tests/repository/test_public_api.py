"""What users of the SDK rely on changes only on purpose, and is typed where they install it."""

import difflib
import importlib
import json
import subprocess
import sys
from zipfile import ZipFile

import pytest
from support.public_api import KEPT, PUBLIC, rendered
from support.tools import node_tool

import bridge.client

CONSUMER = """
from collections.abc import Iterator, Mapping
from typing import assert_type

from bridge.client import BridgeClient, CommandType, Stats, Status, TrainingSession
from bridge.client.query import NoBridgeError, ProblemError, QueryError
from bridge.client.query_types import SessionDetails, SessionSummary, SubmittedCommand
from bridge.client.testing import Batch, RecordingBridge


def saved(parameters: Mapping[str, str | float]) -> str:
    return "saved"


def train(recorder: RecordingBridge) -> None:
    with TrainingSession(recorder, model="m", epochs=2, class_names=["a", "b"]) as session:
        session.on(CommandType.SAVE_CHECKPOINT, saved)
        session.log_batch(0.5, epoch=0, batch=1, images=[b""], predictions=[0], ground_truth=[1])
        session.log_epoch(0, loss=0.5, accuracy=None)
        session.log_scalars({"learning_rate": 0.1})
        session.log_status(Status.RUNNING, "fine")
        session.wait_while_paused()
        assert_type(session.should_stop, bool)
        assert_type(session.agree_to_stop(), bool)
        assert_type(session.session_id, str)
        assert_type(session.stats, Stats)
        assert_type(session.stats.left_out, dict[str, int])
        assert_type(session.flush(timeout=1.0), int)
        assert_type(session.close(), int)
    for batch in recorder.batches:
        assert_type(batch, Batch)


def read(url: str) -> str:
    client = BridgeClient(url, timeout_seconds=5.0)
    try:
        assert_type(client.sessions(), Iterator[SessionSummary])
        assert_type(client.session("run"), SessionDetails)
        assert_type(client.image("run", 0, 1, 0), bytes)
        assert_type(client.commands("run"), tuple[SubmittedCommand, ...])
        return client.submit_command("run", CommandType.PAUSE_TRAINING, {"reason": "spike"}).state
    except ProblemError as problem:
        assert_type(problem.status, int)
        return problem.title
    except (NoBridgeError, QueryError):
        return ""
"""
"""A program of somebody else's, which uses everything that is public."""

MISTAKEN = """
from bridge.client import TrainingSession

TrainingSession(model="m", epoch=3)
TrainingSession().log_batch(0.5, steps=3)
"""
"""One that calls it wrongly, in two lines."""

STRICT = {"typeCheckingMode": "strict", "pythonVersion": "3.11"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, wheel):
    """Return a folder with the programs, and an environment beside them in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("consumer")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (site,) = folder.glob("venv/lib/python*/site-packages")
    with ZipFile(wheel) as archive:
        archive.extractall(site)
    (folder / "consumer.py").write_text(CONSUMER)
    (folder / "mistaken.py").write_text(MISTAKEN)
    (folder / "pyrightconfig.json").write_text(json.dumps(STRICT))
    return folder


def test_the_public_api_is_what_was_reviewed():
    """No name, argument, default or type that users rely on changes unseen."""
    kept = KEPT.read_text().splitlines()
    difference = list(difflib.unified_diff(kept, rendered().splitlines(), "kept", "now", n=0))

    assert not difference, "\n".join(
        ["where it is meant: `.venv/bin/python tests/support/public_api.py`", *difference]
    )


def test_everything_exported_is_listed():
    """`bridge.client` exports what is reviewed, and each name can be imported from where it is listed."""
    assert sorted(bridge.client.__all__) == sorted(PUBLIC["bridge.client"])
    for module, names in PUBLIC.items():
        for name in names:
            assert getattr(importlib.import_module(module), name).__doc__, name


def test_mypy_knows_the_types(folder):
    """With the wheel installed, `mypy --strict` accepts right calls and finds wrong ones."""
    right, wrong = (mypy(folder, name) for name in ("consumer.py", "mistaken.py"))

    assert right == []
    assert {line.split(":")[1] for line in wrong if "error" in line} == {"4", "5"}, wrong


def test_pyright_knows_the_types(folder):
    """With the wheel installed, pyright in strict mode accepts right calls and finds wrong ones."""
    pyright = node_tool("pyright")
    python = folder / "venv" / "bin" / "python"
    done = subprocess.run(
        [pyright, "--outputjson", "--pythonpath", python],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )

    report = json.loads(done.stdout)
    found = [
        (each["file"].rpartition("/")[2], each["range"]["start"]["line"] + 1, each["message"])
        for each in report["generalDiagnostics"]
    ]
    assert {each[:2] for each in found} == {("mistaken.py", 4), ("mistaken.py", 5)}, found


def mypy(folder, name):
    """Return what mypy says of a program, a line each."""
    options = ["--strict", "--no-error-summary", "--config-file", "", "--cache-dir", "cache"]
    python = folder / "venv" / "bin" / "python"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "--python-executable", python, name],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]
