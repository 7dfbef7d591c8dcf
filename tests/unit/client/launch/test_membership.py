"""Which session of a program is the one of its run."""

import os
from contextlib import contextmanager

import pytest
from support.fake_bridge import FakeBridge, serving

from bridge.client import TrainingSession
from bridge.client.launch.membership import NO_RUN, join_run
from bridge.client.launch.run_folder import VARIABLE, Run, RunFolder
from bridge.client.ranks import RankCheck
from bridge.client.testing import RecordingBridge
from bridge.protocol import Status


@pytest.fixture
def folder():
    """Return the folder of a run."""
    made = RunFolder.create(Run("night", "first-instance", {"team": "vision"}))
    yield made
    made.remove()


def join(folder, wanted="", environment=None):
    """Return the part of a session, in a process of this environment."""
    ranks = environment or {}
    rank = RankCheck(environment=ranks)
    return join_run(wanted, rank, {VARIABLE: str(folder.path), **ranks})


@contextmanager
def another_process(monkeypatch):
    """Forget what this process has joined, as another one has never known it."""
    monkeypatch.setattr("bridge.client.launch.membership._USED", set())
    yield


def test_the_first_session_takes_over_what_was_announced(folder):
    """Under the same name and instance, so that a bridge sees one attempt."""
    part = join(folder)

    assert (part.session_id, part.instance_id) == ("night", "first-instance")
    part.begin("night", None)
    assert folder.read_session().process == os.getpid()
    part.end(Status.COMPLETED)
    assert folder.read_session().end == "COMPLETED"


def test_a_process_outside_of_a_run_is_as_always():
    """Nothing is looked for without the variable."""
    assert join_run("", RankCheck(environment={}), {}) is NO_RUN


def test_a_second_session_of_a_process_is_another_run(folder):
    """Also when the first has ended: a search over learning rates, for example."""
    first = join(folder)
    first.begin("night", None)
    first.end(Status.FAILED)

    assert join(folder) is NO_RUN


def test_a_session_beside_one_that_is_open_is_another_run(folder, monkeypatch):
    """Two trainings side by side in one shell script never share a name."""
    first = join(folder)
    with another_process(monkeypatch):
        assert join(folder) is NO_RUN
    first.end(Status.COMPLETED)


@pytest.mark.parametrize("end", [None, Status.FAILED])
def test_a_process_after_one_that_failed_is_the_next_attempt(folder, monkeypatch, end):
    """The same name by another instance; also where the first was killed and could say nothing."""
    first = join(folder)
    first.begin("night", None)
    if end is None:
        os.close(first.lock)
    else:
        first.end(end)
    with another_process(monkeypatch):
        part = join(folder)

    assert part.session_id == "night"
    assert part.instance_id not in ("", "first-instance")
    part.leave()


def test_a_process_after_one_that_completed_is_another_run(folder, monkeypatch):
    """As where a script evaluates after it has trained."""
    first = join(folder)
    first.begin("night", None)
    first.end(Status.COMPLETED)
    with another_process(monkeypatch):
        assert join(folder) is NO_RUN


def test_other_ranks_have_the_name_and_not_the_session(folder):
    """So that what they report lightly belongs to the run."""
    part = join(folder, environment={"RANK": "3", "WORLD_SIZE": "4"})

    assert (part.session_id, part.instance_id) == ("night", "")
    part.begin("night-rank3", None)
    assert folder.read_session() is None


def test_a_process_whose_rank_is_not_known_takes_nothing(folder, monkeypatch):
    """It may be rank 1, and the name would be gone when rank 0 comes."""
    monkeypatch.setattr("bridge.client.ranks._may_form_a_group", lambda: True)

    assert join(folder, environment={"MASTER_ADDR": "there"}) is NO_RUN


def test_a_process_that_turns_out_to_be_another_rank_gives_it_back(folder, monkeypatch):
    """Rank 0 finds it as it was."""
    part = join(folder)
    part.begin("night", None)
    part.leave()

    with another_process(monkeypatch):
        again = join(folder)
    assert again.instance_id == "first-instance"
    again.leave()


def test_a_folder_out_of_sight_is_said(tmp_path, caplog):
    """On another machine, or in a container: where to start the command instead."""
    assert join(RunFolder(tmp_path / "nowhere")) is NO_RUN
    assert "srun trainbridge run" in caplog.text


def test_a_script_that_asks_for_another_name_is_warned(folder, caplog):
    """The name of the run stands, and what to give is said."""
    join(folder, "mine").leave()

    assert "--session-id mine" in caplog.text


def test_a_session_reports_under_the_name_of_its_run(folder, monkeypatch):
    """With its labels, and numbered from 1: the announcement has no number."""
    monkeypatch.setenv(VARIABLE, str(folder.path))
    with serving(FakeBridge()) as bridge:
        with TrainingSession(bridge.address, model="resnet", labels={"seed": "1"}) as session:
            session.log_batch(0.5, epoch=0, batch=0)
        (who,) = bridge.registrations
        first = bridge.applied[0].sequence

    assert (who.session_id, who.client_instance_id) == ("night", "first-instance")
    assert dict(who.labels) == {"team": "vision", "seed": "1"}
    assert first == 1
    assert folder.read_session().end == "COMPLETED"


def test_an_end_that_is_not_delivered_is_left_to_the_command(folder, monkeypatch):
    """Without a bridge and a spool nobody else can report it."""
    monkeypatch.setenv(VARIABLE, str(folder.path))
    with TrainingSession("127.0.0.1:1", close_seconds=0.01) as session:
        session.log_batch(0.5, epoch=0, batch=0)

    assert folder.read_session().end == ""


def test_a_bridge_in_this_process_has_nothing_to_do_with_it(folder, monkeypatch):
    """Tests of a loop record what they did before."""
    monkeypatch.setenv(VARIABLE, str(folder.path))
    with TrainingSession(RecordingBridge(), session_id="mine") as session:
        assert session.session_id == "mine"
    assert folder.read_session() is None
