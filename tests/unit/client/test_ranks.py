"""Which of several training processes reports; with real process groups in tests/integration."""

import sys
import threading

import pytest
from support.distributed import Distributed

from bridge.client import CommandType, TrainingSession
from bridge.client.ranks import RankCheck
from bridge.client.testing import RecordingBridge


@pytest.fixture
def distributed(monkeypatch):
    """Load torch.distributed, without a group."""
    fake = Distributed()
    monkeypatch.setitem(sys.modules, "torch.distributed", fake)
    return fake


@pytest.fixture
def _no_torch(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch.distributed", raising=False)


@pytest.mark.usefixtures("_no_torch")
def test_without_torch_the_launcher_decides_at_once():
    """Nothing is held back."""
    assert RankCheck("zero", {}).wait()
    assert not RankCheck("zero", {"SLURM_PROCID": "1"}).wait()
    assert RankCheck("all", {"RANK": "1"}).wait()
    with pytest.raises(ValueError, match="ranks: 'one' is not one of zero, light, all"):
        RankCheck("one", {})


@pytest.mark.usefixtures("_no_torch")
@pytest.mark.parametrize(
    "variable",
    ["RANK", "LOCAL_RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"],
)
def test_one_process_of_a_job_has_a_session(variable, monkeypatch):
    """Whichever launcher has numbered them: rank 1 adds no session, rank 0 has one."""
    batches = []
    for rank in ("0", "1"):
        monkeypatch.setenv(variable, rank)
        bridge = RecordingBridge()
        with TrainingSession(bridge) as session:
            session.log_batch(0.5, epoch=0, batch=0)
        batches.append(len(bridge.batches))

    assert batches == [1, 0]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_group_that_is_made_later_decides(distributed, rank):
    """At the first call at the latest; any other rank stays what it is, whatever happens to the group."""
    check = RankCheck("zero", {})
    assert check.reports

    distributed.rank = rank

    assert check.settle() == check.wait() == check.reports == (rank == 0)
    distributed.rank = None
    assert check.settle() == (rank == 0)


@pytest.mark.parametrize("rank", [0, 1])
def test_what_sends_waits_until_the_rank_is_known(distributed, rank):
    """It ends as soon as there is a group, so that rank 0 appears before its first step."""
    check = RankCheck("zero", {})
    decisions = []
    thread = threading.Thread(target=lambda: decisions.append(check.wait()))
    thread.start()
    thread.join(0.2)
    assert decisions == []

    distributed.rank = rank
    thread.join(60)

    assert decisions == [rank == 0]


@pytest.mark.usefixtures("distributed")
def test_one_process_with_torch_reports_at_its_first_call_or_after_a_while():
    """The wait for a process group that is never created is bounded."""
    check = RankCheck("zero", {})
    check.settle()
    assert check.wait()
    assert RankCheck("zero", {}, wait_seconds=0.01).wait()


@pytest.mark.usefixtures("distributed")
@pytest.mark.parametrize("environment", [{"RANK": "0"}, {"RANK": "1"}, {"SLURM_PROCID": "2"}])
def test_a_launcher_that_is_sure_is_not_waited_for(environment):
    """A rank set by torchrun is certain, and so is any rank other than 0."""
    check = RankCheck("zero", environment, wait_seconds=1e9)

    assert check.wait() == (environment == {"RANK": "0"})


@pytest.mark.parametrize("rank", [0, 3])
def test_each_of_all_ranks_has_its_own_name_also_where_its_rank_is_known_later(distributed, rank):
    """Before the process group all of them would be called after rank 0, and only one would be let in."""
    bridge = RecordingBridge()
    session = TrainingSession(bridge, session_id="night", ranks="all", labels={"team": "a"})

    distributed.rank = rank
    session.log_batch(0.5, epoch=0, batch=0)
    session.close()

    who = bridge.identity
    assert (who.session_id, who.run_id, who.rank) == (f"night-rank{rank}", "night", rank)
    assert who.labels == {"team": "a", "rank": str(rank), "group": "night"}
    assert session.session_id == f"night-rank{rank}"
    assert len(bridge.batches) == 1


def test_a_rank_that_asks_alone_is_warned_once(distributed, caplog):
    """Commands reach rank 0 only; each call is named once, and rank 0 is never warned."""
    distributed.rank = 1
    check = RankCheck("zero", {})
    for _ in range(3):
        check.warn_unless_rank_zero("should_stop")
        check.warn_unless_rank_zero("wait_while_paused")
    RankCheck("all", {}).warn_unless_rank_zero("should_stop")
    distributed.rank = 0
    RankCheck("zero", {}).warn_unless_rank_zero("should_stop")

    assert [record.args for record in caplog.records] == [
        (1, "should_stop"),
        (1, "wait_while_paused"),
        (1, "should_stop"),
    ]


TASK = {"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_STEP_ID": "0"}
SCRIPT = {"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}


@pytest.mark.usefixtures("_no_torch")
@pytest.mark.parametrize(
    ("environment", "ranks", "is_together"),
    [
        ({}, "zero", False),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "zero", True),
        (TASK, "zero", True),
        (TASK, "light", True),
        (TASK, "all", False),
        (TASK | {"SLURM_NTASKS": "1"}, "zero", False),
        (SCRIPT, "zero", False),
        (SCRIPT | {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}, "zero", True),
        (SCRIPT | {"RANK": "1", "WORLD_SIZE": "2"}, "light", True),
    ],
)
def test_ranks_train_together_if_their_launcher_has_started_them(environment, ranks, is_together):
    """Unless each reports as a run of its own, as in a sweep. A job's own script is alone, whatever tasks it could start."""
    assert RankCheck(ranks, environment).is_together is is_together


@pytest.mark.parametrize("ranks", ["zero", "light", "all"])
def test_a_process_group_says_it_best(distributed, ranks):
    """Whatever each of its ranks reports."""
    check = RankCheck(ranks, {})
    assert not check.is_together

    distributed.rank = 0

    assert check.is_together


def test_a_group_that_fails_ends_no_training(distributed, caplog):
    """What was commanded is refused; the loop's next reduction will raise by itself."""
    bridge = RecordingBridge()
    with TrainingSession(bridge) as session:
        session.log_batch(0.5, epoch=0, batch=0)
        distributed.rank = 0  # and there is no torch.distributed.get_backend
        bridge.send_command(CommandType.STOP_TRAINING)
        assert not session.agree_to_stop()

    (answer,) = bridge.answers
    assert not answer.applied
    assert "the ranks could not agree (AttributeError)" in answer.message
    assert "the ranks could not agree" in caplog.text
