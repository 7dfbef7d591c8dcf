"""A session with a spool: off by default, never in the way, and found again."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from support.fake_bridge import FakeBridge, serving
from support.spools import leave, outgoing_message, reopened
from support.waiting import until_true

from bridge.client import TrainingSession
from bridge.client.settings import SPOOL_BYTES, spool_location
from bridge.client.spool.folder import folders_in, is_abandoned
from bridge.client.testing import RecordingBridge

NOWHERE = "127.0.0.1:1"

FORKING = """
import os, sys, time, warnings
warnings.simplefilter("ignore")
from bridge.client import TrainingSession

session = TrainingSession("127.0.0.1:1", spool_dir=sys.argv[1], session_id="run")
session.log_batch(0.5, epoch=0, batch=0)
child = os.fork()
if child == 0:
    session.log_batch(0.5, epoch=9, batch=9)
    left = session.close()
    print("closed", left, session.stats.kept, flush=True)
    sys.stdin.readline()  # lives on when its parent is gone
    os._exit(0)
time.sleep(60)
"""


def log(session, count):
    """Tell of some batches."""
    for batch in range(count):
        session.log_batch(0.5, epoch=0, batch=batch)


def is_written(path, beside):
    """Return whether a kill at this moment would leave a batch, as a copy of the folder shows."""
    with tempfile.TemporaryDirectory(dir=beside.parent) as copies:
        copy = shutil.copytree(path, Path(copies) / path.name)
        return reopened(copy).count_unacknowledged()[1] == 1


def test_there_is_no_spool_unless_asked_for(tmp_path, monkeypatch):
    """Neither a folder nor a thread."""
    monkeypatch.chdir(tmp_path)
    with TrainingSession(RecordingBridge()) as session:
        log(session, 3)

    assert list(tmp_path.iterdir()) == []
    assert session.stats.kept == 0


def test_a_spool_may_be_asked_for_in_the_environment(tmp_path):
    """Arguments come first; a size that is none is refused."""
    environment = {"TRAINBRIDGE_SPOOL_DIR": "/there", "TRAINBRIDGE_SPOOL_BYTES": "5000000"}
    assert spool_location("", 0, environment={}) is None
    assert spool_location(str(tmp_path), 0, environment={}) == (tmp_path, SPOOL_BYTES)
    path, size = spool_location("", 0, environment=environment)
    assert (str(path), size) == ("/there", 5_000_000)
    assert spool_location("/here", 7_000_000, environment=environment)[1] == 7_000_000
    for wrong in ("1 GiB", "-5", "1000"):
        with pytest.raises(ValueError, match="spool_bytes"):
            spool_location("/here", 0, environment={"TRAINBRIDGE_SPOOL_BYTES": wrong})


def test_an_unusable_spool_raises_at_once(tmp_path):
    """While the run is set up, and before any thread has started."""
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OSError, match="spool_dir cannot be used"):
        TrainingSession(NOWHERE, spool_dir=file)


def test_ranks_that_do_not_report_have_no_spool(tmp_path, monkeypatch):
    """Only what is said is kept."""
    monkeypatch.setenv("RANK", "1")
    with TrainingSession(NOWHERE, spool_dir=tmp_path) as session:
        log(session, 3)

    assert list(tmp_path.iterdir()) == []


def test_what_is_delivered_is_not_kept(tmp_path):
    """After a graceful end nothing is left."""
    with (
        serving(FakeBridge()) as bridge,
        TrainingSession(bridge.address, spool_dir=tmp_path) as session,
    ):
        log(session, 100)
        assert len(list(folders_in(tmp_path))) == 1

    assert session.stats.batches_acknowledged == 100
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_delivered_is_kept_and_logged(tmp_path, caplog):
    """`close` returns its number, and the log names the command; the session has ended in it."""
    session = TrainingSession(NOWHERE, spool_dir=tmp_path, session_id="run")
    log(session, 100)
    left = session.close(0.2)

    (path,) = folders_in(tmp_path)
    found = reopened(path)
    assert left == session.stats.kept == session.stats.messages == found.count_unacknowledged()[0]
    assert found.count_unacknowledged()[1] == 100
    assert found.has_end
    assert f"{left} messages are kept in the spool" in caplog.text
    assert f"trainbridge sync {tmp_path}" in caplog.text


def test_a_session_logs_what_others_have_left(tmp_path, caplog):
    """Once, and of those only whose process is gone."""
    leave(tmp_path, [outgoing_message(1)], instance_id="1" * 32)
    leave(tmp_path, [outgoing_message(1)], instance_id="2" * 32)
    living = TrainingSession(RecordingBridge(), spool_dir=tmp_path)
    messages = [record.getMessage() for record in caplog.records]
    living.close()

    (line,) = (text for text in messages if "spool" in text)
    assert "2 sessions" in line
    assert f"trainbridge sync {tmp_path}" in line


def test_nothing_on_the_training_thread_waits_for_the_disk(tmp_path, monkeypatch):
    """While the disk does not answer the loop runs as ever, and closing takes its time and no more."""
    write, answers, has_come = os.write, threading.Event(), threading.Event()

    def slow(file, content):
        if len(content) > 500:
            has_come.set()
            answers.wait(60)
        return write(file, content)

    session = TrainingSession(NOWHERE, spool_dir=tmp_path)
    monkeypatch.setattr(os, "write", slow)
    log(session, 10_000)
    assert has_come.wait(60)
    log(session, 1_000)
    session.close(0.1)
    assert not answers.is_set(), "all of that happened before the disk has answered once"
    answers.set()


def test_a_forked_child_leaves_the_spool_alone(tmp_path):
    """It writes nothing, removes nothing, and does not keep the folder locked beyond its parent."""
    parent = subprocess.Popen(
        [sys.executable, "-c", FORKING, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert parent.stdout.readline() == "closed 0 0\n"
        (path,) = folders_in(tmp_path)
        assert not is_abandoned(path)
        until_true(lambda: is_written(path, tmp_path), what="the parent's batch is written")
        parent.kill()
        parent.wait(60)

        assert is_abandoned(path)
        assert reopened(path).count_unacknowledged()[1] == 1
    finally:
        parent.kill()
        parent.communicate()


def test_no_spool_is_none(monkeypatch):
    """What the docs call "none" may be given as None."""
    monkeypatch.delenv("TRAINBRIDGE_SPOOL_DIR", raising=False)
    with TrainingSession(NOWHERE, spool_dir=None, close_seconds=0.0) as session:
        session.log_scalars({"lr": 0.1}, epoch=0, batch=0)

    assert session.stats.kept == 0
