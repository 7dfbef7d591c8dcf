"""A loop over `session.track`: where it is, how it obeys, and what it reports by itself."""

import math
import threading

import pytest
from support.waiting import until_true

from bridge.client import TrainingSession
from bridge.client.testing import RecordingBridge
from bridge.protocol import CommandType, Status


@pytest.fixture
def bridge():
    """Return a bridge that records."""
    return RecordingBridge()


def places(bridge):
    """Return epoch and batch of all batches."""
    return [(batch.epoch, batch.batch) for batch in bridge.batches]


def test_an_ordinary_loop_says_where_it_is(bridge):
    """Epochs and batches are counted from 0, and their ends reported with the mean loss."""
    with TrainingSession(bridge, strict=True) as session:
        for epoch, number in session.track([1.0, 3.0], epochs=2):
            session.log_batch(number + epoch)

    assert places(bridge) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [(each.epoch, each.loss) for each in bridge.epochs] == [(0, 2.0), (1, 3.0)]
    assert bridge.statuses[-1] == (Status.COMPLETED, "")


def test_images_and_a_step_of_ones_own_are_reported_with_it(bridge):
    """Whatever else a call says, it is at the place of the loop."""
    with TrainingSession(bridge, strict=True) as session:
        for _, number in session.track([1.0], epochs=1):
            session.log_batch(number, step=70, ground_truth=[3])
            session.log_scalars({"rate": 1.0})

    (batch,) = bridge.batches
    assert (batch.epoch, batch.batch, batch.step, batch.ground_truth) == (0, 0, 70, (3,))
    (scalars,) = bridge.scalars
    assert (scalars.epoch, scalars.batch, scalars.step) == (0, 0, 70)


def test_calls_outside_of_the_loop_count_by_themselves(bridge):
    """As they do without it; so does one that says where it belongs."""
    with TrainingSession(bridge, strict=True) as session:
        for _ in session.track([1.0], epochs=1):
            session.log_batch(0.5, epoch=7, batch=8)
        session.log_batch(0.5)

    assert [(each.epoch, each.batch, each.step) for each in bridge.batches] == [
        (7, 8, None),
        (0, 0, 0),
    ]


def test_the_length_of_the_run_is_reported(bridge, recorded_configs):
    """From the loader, where the session was made without it."""
    with TrainingSession(bridge, model="net") as session:
        for _ in session.track([1.0, 2.0], epochs=3):
            session.log_batch(0.5)

    last = recorded_configs[-1]
    assert (last.model_name, last.total_epochs, last.batches_per_epoch) == ("net", 3, 2)


def test_what_the_session_was_made_with_stays(bridge, recorded_configs):
    """The program may know better than its loader."""
    with TrainingSession(bridge, epochs=9, batches_per_epoch=8) as session:
        for _ in session.track(iter([1.0]), epochs=1):
            session.log_batch(0.5)

    assert (recorded_configs[-1].total_epochs, recorded_configs[-1].batches_per_epoch) == (9, 8)


@pytest.fixture
def recorded_configs(bridge, monkeypatch):
    """Return the configurations that come with statuses."""
    configs = []
    record = bridge.record

    def recording(request):
        if request.status_update.HasField("config"):
            configs.append(request.status_update.config)
        record(request)

    monkeypatch.setattr(bridge, "record", recording)
    return configs


def test_an_epoch_that_the_loop_reports_is_not_reported_again(bridge):
    """The loop knows more of it."""
    with TrainingSession(bridge, strict=True) as session:
        for epoch, number in session.track([1.0, 2.0], epochs=2):
            session.log_batch(number)
            if epoch == 0 and number == 2.0:
                session.log_epoch(epoch, loss=9.0, validation_loss=8.0)

    assert [each.loss for each in bridge.epochs] == [9.0, 1.5]


def test_an_epoch_without_losses_has_no_mean(bridge):
    """Not reported is not 0; a loss that is not a number is none of a mean's either."""
    with TrainingSession(bridge, strict=True) as session:
        for epoch, _ in session.track([1.0], epochs=2):
            session.log_batch(None if epoch == 0 else math.nan)

    assert bridge.epochs[0].loss is None
    assert math.isnan(bridge.epochs[1].loss)


def test_one_epoch_within_a_loop_of_ones_own(bridge):
    """Which reports its end with what it has validated."""
    with TrainingSession(bridge, epochs=2, strict=True) as session:
        for epoch in range(2):
            for _, number in session.track([1.0, 2.0], epoch=epoch):
                session.log_batch(number)
            session.log_epoch(epoch, loss=1.5, validation_loss=1.0)

    assert places(bridge) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [each.validation_loss for each in bridge.epochs] == [1.0, 1.0]


def test_a_stop_ends_the_loop(bridge):
    """Between two batches; the epoch that it cuts short is not reported as one."""
    with TrainingSession(bridge, strict=True) as session:
        for _, number in session.track([1.0, 2.0, 3.0], epochs=5):
            session.log_batch(number)
            if number == 2.0:
                bridge.send_command(CommandType.STOP_TRAINING)
        assert session.should_stop

    assert places(bridge) == [(0, 0), (0, 1)]
    assert bridge.epochs == []
    assert [answer.applied for answer in bridge.answers] == [True]
    assert bridge.statuses[-1] == (Status.COMPLETED, "stopped by command")


def test_a_pause_holds_the_loop_within_a_batch(bridge, background):
    """No further batch is taken until training may go on."""
    taken = []

    def train():
        with TrainingSession(bridge, strict=True) as session:
            for _, number in session.track([1.0, 2.0, 3.0], epochs=1):
                taken.append(number)
                session.log_batch(number)
                if number == 1.0:
                    bridge.send_command(CommandType.PAUSE_TRAINING)

    loop = background(train)
    until_true(lambda: Status.PAUSED in [status for status, _ in bridge.statuses])
    assert taken == [1.0]
    bridge.send_command(CommandType.RESUME_TRAINING)
    until_true(lambda: not loop.is_alive())

    assert taken == [1.0, 2.0, 3.0]


@pytest.fixture
def background():
    """Return what runs a function in a thread that is waited for."""
    threads = []

    def start(work):
        threads.append(threading.Thread(target=work, daemon=True))
        threads[-1].start()
        return threads[-1]

    yield start
    for thread in threads:
        thread.join(60)


def test_a_run_goes_on_where_it_was(bridge):
    """Batches of that epoch that were trained on are fetched and dropped."""
    with TrainingSession(bridge, resume_from=(1, 2), strict=True) as session:
        for _, number in session.track([1.0, 2.0, 3.0], epochs=3):
            session.log_batch(number)

    assert places(bridge) == [(1, 2), (2, 0), (2, 1), (2, 2)]
    assert [batch.loss for batch in bridge.batches][:2] == [3.0, 1.0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"resume": True}, [(1, 1), (2, 0), (2, 1)]),
        ({"resume": False}, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]),
        ({"epoch": 1}, [(1, 1)]),
        ({"epoch": 2}, [(2, 0), (2, 1)]),
    ],
)
def test_a_step_is_a_place_too_where_epochs_have_a_length(bridge, options, expected):
    """And `resume=False` leaves all of it to the program."""
    with TrainingSession(bridge, resume_step=3, strict=True) as session:
        for _ in session.track([1.0, 2.0], epochs=3, **options):
            session.log_batch(0.5)

    assert places(bridge) == expected


def test_waiting_for_a_batch_is_the_phase_data(bridge):
    """The time that a step takes is not."""
    with TrainingSession(bridge, strict=True) as session:
        for _ in session.track([1.0] * 3, epochs=1):
            session.log_batch(0.5)

    assert bridge.phase_seconds["data"] > 0


class Sampler:
    """A sampler that several ranks share."""

    def __init__(self, epochs):
        self.set_epoch = epochs.append


class Loader(list):
    """A loader of torch, as far as it matters."""

    sampler = None
    batch_sampler = None


def test_a_distributed_sampler_shuffles_anew(bridge):
    """In each epoch, wherever the loader has it."""
    first, second = [], []
    loader = Loader([1.0])
    loader.sampler = Sampler(first)
    loader.batch_sampler = Loader()
    loader.batch_sampler.sampler = Sampler(second)
    with TrainingSession(bridge, strict=True) as session:
        assert len(list(session.track(loader, epochs=3))) == 3

    assert first == second == [0, 1, 2]


def test_what_a_loader_raises_reaches_the_loop(bridge):
    """It is the program's own; the run has failed by it."""

    def failing():
        yield 1.0
        raise OSError("the disk is gone")

    def train():
        with TrainingSession(bridge) as session:
            for _ in session.track(failing(), epochs=1):
                session.log_batch(0.5)

    with pytest.raises(OSError, match="the disk is gone"):
        train()

    assert bridge.statuses[-1] == (Status.FAILED, "OSError: the disk is gone")


def test_what_cannot_be_used_keeps_nobody_from_training(bridge):
    """One epoch is trained then, and the mistakes are counted."""

    class Odd(list):
        def __len__(self):
            raise RuntimeError("no length")

        def set_epoch(self, epoch):
            raise RuntimeError("no epochs")

    with TrainingSession(bridge) as session:
        assert len(list(session.track(Odd([1.0]), epochs="many", agree_every=None))) == 1
        assert session.stats.faults == 2


def test_a_loader_whose_samplers_cannot_be_looked_at_is_iterated_over(bridge):
    """What its attributes raise is counted, once for each and epoch."""

    class Closed(list):
        @property
        def sampler(self):
            raise OSError("closed")

        batch_sampler = sampler

    with TrainingSession(bridge) as session:
        assert len(list(session.track(Closed([1.0]), epochs=1))) == 1
        assert session.stats.faults == 3


def test_a_loop_within_a_loop_has_its_place_for_as_long_as_it_runs(bridge):
    """Then the outer one has its own again; one that was left before changes nothing as it is closed."""
    with TrainingSession(bridge, strict=True) as session:
        left = session.track([1.0, 2.0], epochs=1)
        next(left)
        for _ in session.track([1.0], epoch=5):
            for _ in session.track([1.0, 2.0], epoch=7):
                session.log_batch(0.1)
            left.close()
            session.log_batch(0.5)

    assert places(bridge) == [(7, 0), (7, 1), (5, 0)]


def test_a_loop_that_is_left_early_is_nowhere(bridge):
    """What is logged after it counts by itself."""
    with TrainingSession(bridge, strict=True) as session:
        for _ in session.track([1.0, 2.0], epochs=1):
            break
        session.log_batch(0.5)

    assert bridge.batches[0].step == 0
    assert bridge.epochs == []
