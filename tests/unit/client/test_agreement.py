"""What ranks are commanded, all of them do at one step; with real process groups in tests/integration."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.waiting import until_true

from bridge.client import TrainingSession
from bridge.client.agreement import OTHER_RANK
from bridge.client.commands import ALONE_ASKS, ALONE_STEPS, NO_GROUP, NOT_AGREED
from bridge.client.settings import ProcessRank
from bridge.client.testing import RecordingBridge
from bridge.protocol import CommandType, Status

SECONDS = 60.0


class Run:
    """Ranks in threads of one process, which reach each other by a call of the program's own."""

    def __init__(self, size, monkeypatch, *, numbered=True):
        """Make a session for each rank; only rank 0 reports, where the launcher has numbered them."""
        self.bridges = [RecordingBridge() for _ in range(size)]
        self.bridge = self.bridges[0]
        self.sessions = []
        for rank, bridge in enumerate(self.bridges):
            if numbered:
                monkeypatch.setenv("WORLD_SIZE", str(size))
                monkeypatch.setenv("RANK", str(rank))
            self.sessions.append(TrainingSession(bridge))
        if numbered:
            monkeypatch.setenv("RANK", "0")
        self._barrier = threading.Barrier(size, timeout=SECONDS)
        self._parts = [b""] * size
        self._pool = ThreadPoolExecutor(size)
        self.calls = 0

    def all_gather(self, rank):
        """Return what brings the bytes of a rank to all others."""

        def gather(data):
            self._parts[rank] = data
            self._barrier.wait()
            parts = list(self._parts)
            self._barrier.wait()
            self.calls += rank == 0
            return parts

        return gather

    def each(self, work):
        """Return what `work(rank, session)` returns on each rank, at the same time."""
        return list(self._pool.map(work, range(len(self.sessions)), self.sessions))

    def agree(self):
        """Let all ranks agree once; return what each has learned."""
        return self.each(
            lambda rank, session: session.agree_to_stop(all_gather=self.all_gather(rank))
        )

    def answered(self):
        """Return the answers of the run, after all that was reported."""
        self.sessions[0].flush()
        return [(answer.applied, answer.message) for answer in self.bridge.answers]

    def close(self):
        """End all sessions and threads."""
        self._barrier.abort()
        for session in self.sessions:
            session.close()
        self._pool.shutdown()


@pytest.fixture
def run(monkeypatch):
    """Return a run of two ranks that has taken its first step."""
    run = Run(2, monkeypatch)
    for session in run.sessions:
        session.log_batch(0.5, epoch=3, batch=4)
    yield run
    run.close()


def test_nothing_is_commanded(run):
    """One exchange of four bytes, behind the first, and every rank goes on."""
    assert run.agree() == [False, False]
    before = run.calls
    assert run.agree() == [False, False]
    assert run.calls == before + 1


def test_a_stop_reaches_all_ranks_at_one_step(run):
    """And whoever asks `should_stop` after that hears the same, as the loop around the batches does."""
    run.bridge.send_command(CommandType.STOP_TRAINING)

    assert run.agree() == [True, True]
    assert run.each(lambda _rank, session: session.should_stop) == [True, True]
    assert run.answered() == [(True, "")]
    (answer,) = run.bridge.answers
    assert (answer.epoch, answer.batch) == (3, 4)


def test_a_stop_is_how_the_run_ended(run):
    """As with one process."""
    run.bridge.send_command(CommandType.STOP_TRAINING)
    run.agree()
    run.sessions[0].close()

    assert run.bridge.statuses[-1] == (Status.COMPLETED, "stopped by command")


def test_rank_0_alone_does_not_stop_before_the_ranks_have_agreed(run):
    """The others would wait for its gradients."""
    run.agree()
    run.bridge.send_command(CommandType.STOP_TRAINING)

    for _ in range(10 * ALONE_ASKS):
        assert not run.sessions[0].should_stop
    assert run.answered() == []
    assert run.agree() == [True, True]


def test_callbacks_run_on_all_ranks(run):
    """With the same parameters, and one answer, behind the last step."""
    seen = run.each(lambda _rank, _session: [])
    run.each(
        lambda rank, session: session.on(
            CommandType.CHANGE_LEARNING_RATE, lambda given: seen[rank].append(given) or "done"
        )
    )
    run.bridge.send_command(CommandType.CHANGE_LEARNING_RATE, learning_rate=0.1)
    run.sessions[0].log_batch(0.5, epoch=3, batch=5)
    assert seen == [[], []]

    assert run.agree() == [False, False]

    assert seen == [[{"learning_rate": "0.1"}]] * 2
    assert run.answered() == [(True, "done")]


def test_no_rank_obeys_what_one_of_them_cannot(run):
    """A rank without the callback keeps the others from running theirs, and is named."""
    ran = []
    run.sessions[0].on(CommandType.SAVE_CHECKPOINT, ran.append)
    run.bridge.send_command(CommandType.SAVE_CHECKPOINT)
    run.agree()

    assert ran == []
    assert run.answered() == [(False, "rank 1 has no callback for SAVE_CHECKPOINT")]


def test_a_rank_that_refuses_is_named(run):
    """What the others have done by then is said too, where nothing can take it back."""
    run.each(
        lambda rank, session: session.on(
            CommandType.SAVE_CHECKPOINT, lambda _: [None, int][rank] and int("no number")
        )
    )
    run.bridge.send_command(CommandType.SAVE_CHECKPOINT)
    run.agree()

    ((applied, message),) = run.answered()
    assert not applied
    assert message.startswith("rank 1 has refused it (ValueError: invalid literal")
    assert message.endswith("others have applied it, so the ranks differ")


class Optimizer:
    """What the SDK uses of an optimizer of torch."""

    def __init__(self, **of_a_scheduler):
        self.param_groups = [{"lr": 0.1}, {"lr": 0.01, **of_a_scheduler}]


def test_a_learning_rate_that_one_rank_refuses_changes_nowhere(run):
    """The ranks' weights would drift apart in silence."""
    optimizers = [Optimizer(), Optimizer(initial_lr=0.01)]
    run.each(lambda rank, session: session.controls(optimizer=optimizers[rank]))
    run.bridge.send_command(CommandType.CHANGE_LEARNING_RATE, learning_rate=0.5)
    run.agree()

    assert [optimizer.param_groups[0] for optimizer in optimizers] == [{"lr": 0.1}] * 2
    ((applied, message),) = run.answered()
    assert not applied
    assert message.startswith("rank 1 has refused it (the optimizer has a scheduler")
    assert message.endswith("; no rank has changed")
    assert run.bridge.scalars == []


def test_a_learning_rate_changes_on_all_ranks(run):
    """At one step; rank 0 reports it."""
    optimizers = [Optimizer(), Optimizer()]
    run.each(lambda rank, session: session.controls(optimizer=optimizers[rank]))
    run.bridge.send_command(CommandType.CHANGE_LEARNING_RATE, learning_rate=0.5)
    run.agree()

    for optimizer in optimizers:
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5, 0.05])
    assert [applied for applied, _ in run.answered()] == [True]
    (scalars,) = run.bridge.scalars
    assert scalars.values == {"learning_rate": 0.5}


def test_a_pause_holds_all_ranks_until_it_ends(run):
    """Commands are obeyed meanwhile, on all ranks as well."""
    saved = run.each(lambda _rank, _session: threading.Event())
    run.each(
        lambda rank, session: session.on(CommandType.SAVE_CHECKPOINT, lambda _: saved[rank].set())
    )
    run.bridge.send_command(CommandType.PAUSE_TRAINING)
    with ThreadPoolExecutor(1) as outside:
        agreed = outside.submit(run.agree)
        run.bridge.send_command(CommandType.SAVE_CHECKPOINT)
        for event in saved:
            assert event.wait(SECONDS)
        until_true(lambda: Status.PAUSED in [status for status, _ in run.bridge.statuses])
        assert not agreed.done()
        run.bridge.send_command(CommandType.RESUME_TRAINING)
        assert agreed.result(SECONDS) == [False, False]

    assert sorted(run.answered()) == [(True, "")] * 3
    statuses = [status for status, _ in run.bridge.statuses]
    assert statuses[-2:] == [Status.PAUSED, Status.RUNNING]


def test_more_commands_than_are_carried_out_at_once(run):
    """The rest follows at the next step; none is lost, and one that is too long for the way is refused."""
    run.each(lambda _rank, session: session.on(CommandType.SAVE_CHECKPOINT, lambda _: None))
    run.bridge.send_command(CommandType.SAVE_CHECKPOINT, name="x" * 10_000)
    for _ in range(10):
        run.bridge.send_command(CommandType.SAVE_CHECKPOINT, name="x" * 1_000)
    run.agree()
    run.agree()

    answers = run.answered()
    assert [applied for applied, _ in answers].count(True) == 10
    assert sum("too long to be brought to all ranks" in message for _, message in answers) == 1


def test_an_exchange_that_returns_something_else_refuses(run, caplog):
    """The log says what it has returned."""
    run.bridge.send_command(CommandType.STOP_TRAINING)

    assert not run.sessions[0].agree_to_stop(all_gather=lambda _data: [b"x"])

    ((applied, message),) = run.answered()
    assert not applied
    assert message.startswith("the ranks could not agree (ValueError)")
    assert "not 16 bytes of every rank" in caplog.text


def test_ranks_that_no_launcher_has_numbered_find_out_by_the_exchange(monkeypatch):
    """As processes of JAX may: the first of them is obeyed, and none obeys alone from then on."""
    for variable in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(variable, raising=False)
    run = Run(2, monkeypatch, numbered=False)
    for session in run.sessions:
        session.log_batch(0.5, epoch=0, batch=0)
    assert run.agree() == [False, False]

    run.bridges[1].send_command(CommandType.STOP_TRAINING)
    assert not run.sessions[1].should_stop
    assert run.agree() == [False, False]
    run.bridges[0].send_command(CommandType.STOP_TRAINING)
    assert run.agree() == [True, True]
    run.close()

    assert [answer.applied for answer in run.bridges[0].answers] == [True]
    assert [answer.message for answer in run.bridges[1].answers] == [OTHER_RANK]


def test_an_exchange_with_nobody_is_one_process(monkeypatch):
    """A program may hand it over whether it has other ranks or not."""
    run = Run(1, monkeypatch, numbered=False)
    run.sessions[0].log_batch(0.5, epoch=0, batch=0)
    run.bridge.send_command(CommandType.STOP_TRAINING)

    assert run.agree() == [True]
    assert run.answered() == [(True, "")]
    run.close()


@pytest.mark.parametrize("command", [CommandType.STOP_TRAINING, CommandType.PAUSE_TRAINING])
@pytest.mark.parametrize("way", ["asks", "steps"])
def test_without_agreement_a_command_is_refused_with_the_way_out(run, command, way):
    """Rank 0 would leave the others alone; the loop goes on, however often it asks later."""
    run.bridge.send_command(command)
    session = run.sessions[0]
    for batch in range(ALONE_STEPS if way == "steps" else ALONE_ASKS):
        if way == "steps":
            session.log_batch(0.5, epoch=3, batch=batch)
        else:
            assert not session.should_stop
            session.wait_while_paused()

    assert run.answered() == [(False, NOT_AGREED)]
    assert not session.should_stop
    session.wait_while_paused()


def test_a_callback_is_not_run_on_rank_0_alone(run):
    """Another learning rate on one rank is another model."""
    ran = []
    run.sessions[0].on(CommandType.CHANGE_LEARNING_RATE, ran.append)
    run.bridge.send_command(CommandType.CHANGE_LEARNING_RATE, learning_rate=0.1)
    for batch in range(ALONE_STEPS):
        run.sessions[0].log_batch(0.5, epoch=3, batch=batch)

    assert ran == []
    assert run.answered() == [(False, NOT_AGREED)]


def test_ranks_that_cannot_reach_each_other_say_so(run):
    """Where a launcher has started several processes that form no group of torch's."""
    run.bridge.send_command(CommandType.STOP_TRAINING)
    for _ in range(ALONE_ASKS):
        assert not run.sessions[0].agree_to_stop()

    assert run.answered() == [(False, NO_GROUP)]


def test_processes_that_train_apart_obey_by_themselves(monkeypatch):
    """A sweep that a launcher has started as its tasks."""
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    bridge = RecordingBridge()
    with TrainingSession(bridge, ranks="all") as session:
        session.log_batch(0.5, epoch=0, batch=0)
        bridge.send_command(CommandType.STOP_TRAINING)
        assert session.should_stop
        assert session.agree_to_stop()

    assert [answer.applied for answer in bridge.answers] == [True]


def test_the_rank_of_a_run_can_be_one_of_many(monkeypatch):
    """With three ranks, and one that refuses for two."""
    run = Run(3, monkeypatch)
    for session in run.sessions:
        session.log_batch(0.5, epoch=0, batch=0)
    assert [session._rank.process for session in run.sessions] == [
        ProcessRank(rank, "", 3, is_certain=True) for rank in range(3)
    ]
    run.sessions[0].on(CommandType.SAVE_CHECKPOINT, lambda _: None)
    run.bridge.send_command(CommandType.SAVE_CHECKPOINT)
    run.agree()

    assert run.answered() == [(False, "rank 1 and 1 more has no callback for SAVE_CHECKPOINT")]
    run.close()
