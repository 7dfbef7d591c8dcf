"""Real runs of a Trainer, under both names of Lightning."""

import importlib
import json
import pickle

import lightning.pytorch  # noqa: F401 -- both before the callback, which is then one of both
import pytest
import pytorch_lightning  # noqa: F401
import torch
from support.arrived import check_arrived
from support.obeying import has_paused, pause_and_resume, ranks_that_obey
from torch.utils.data import DataLoader, TensorDataset

from bridge.client import CommandType, Status, TrainingSession
from bridge.client.integrations.lightning import TrainbridgeCallback
from bridge.client.integrations.lightning_logger import TrainbridgeLogger
from bridge.client.testing import RecordingBridge

PACKAGES = ("lightning.pytorch", "pytorch_lightning")
BATCHES = 4


def module_of(package, *, on_batch=lambda index: None, loss=None, manual=False):
    """Return a small classifier of images, of a class of this package."""
    base = importlib.import_module(package).LightningModule

    class Classifier(base):
        def __init__(self):
            super().__init__()
            self.save_hyperparameters({"width": 8, "api_key": "hidden"})
            self.layer = torch.nn.Linear(3 * 8 * 8, 5)
            self.automatic_optimization = not manual

        def training_step(self, batch, index):
            on_batch(index)
            images, labels = batch
            logits = self.layer(images.flatten(1))
            value = torch.nn.functional.cross_entropy(logits, labels)
            self.log("train_loss", value, on_step=True, on_epoch=True)
            self.log("grad_norm", 2.0)
            if manual:
                optimizer = self.optimizers()
                optimizer.zero_grad()
                self.manual_backward(value)
                optimizer.step()
            return {"loss": value if loss is None else value * 0 + loss, "logits": logits.detach()}

        def validation_step(self, batch, index):
            images, labels = batch
            logits = self.layer(images.flatten(1))
            self.log("val_loss", torch.nn.functional.cross_entropy(logits, labels))
            self.log("val_acc", (logits.argmax(1) == labels).float().mean())

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
            return [optimizer], [schedule]

    return Classifier()


def loader(batches=BATCHES):
    """Return batches of four images."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4 * batches, 3, 8, 8, generator=generator)
    labels = torch.randint(0, 5, (4 * batches,), generator=generator)
    return DataLoader(TensorDataset(images, labels), batch_size=4)


def trainer_of(package, tmp_path, *callbacks, **options):
    """Return a quiet Trainer."""
    options = {
        "max_epochs": 2,
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "log_every_n_steps": 1,
        **options,
    }
    trainer = importlib.import_module(package).Trainer
    return trainer(default_root_dir=tmp_path, callbacks=list(callbacks), **options)


def fit(tmp_path, recorder=None, *, package=PACKAGES[0], module=None, **options):
    """Train with a callback; return what was recorded."""
    recorder = recorder or RecordingBridge()
    callback = TrainbridgeCallback(address=recorder, session_id="run", close_seconds=60)
    trainer = trainer_of(package, tmp_path, callback, **options)
    trainer.fit(module or module_of(package), loader(), loader(2))
    return recorder


@pytest.mark.parametrize("package", PACKAGES)
def test_every_step_and_epoch_is_reported(tmp_path, package):
    """Loss, position, images with predictions and labels; validation, its phase, learning rate, scalars, config."""
    recorder = fit(tmp_path, package=package)

    assert [(b.epoch, b.batch, b.step) for b in recorder.batches] == [
        (epoch, batch, epoch * BATCHES + batch) for epoch in range(2) for batch in range(BATCHES)
    ]
    first = recorder.batches[0]
    assert len(first.images) == 4
    assert len(first.predictions) == len(first.ground_truth) == 4
    epochs = recorder.epochs
    assert [epoch.epoch for epoch in epochs] == [0, 1]
    losses = [batch.loss for batch in recorder.batches[:BATCHES]]
    assert epochs[0].loss == pytest.approx(sum(losses) / BATCHES, rel=1e-5)
    assert all(0 <= epoch.validation_accuracy <= 1 for epoch in epochs)
    assert all(epoch.validation_loss > 0 for epoch in epochs)
    assert recorder.config["width"] == 8
    assert "hidden" not in str(recorder.config)
    assert recorder.phase_seconds["validation"] > 0
    rates = [s.values["learning_rate"] for s in recorder.scalars if "learning_rate" in s.values]
    assert rates == [pytest.approx(0.1), pytest.approx(0.05)]
    assert {s.values["grad_norm"] for s in recorder.scalars if "grad_norm" in s.values} == {2.0}
    assert recorder.statuses[-1][0] is Status.COMPLETED


def test_accumulated_batches_have_the_loss_that_the_module_returned(tmp_path):
    """Lightning divides it; the steps are those that its loggers count."""
    module = module_of(PACKAGES[0], loss=3.0)
    recorder = fit(tmp_path, module=module, accumulate_grad_batches=2, max_epochs=1)

    assert [batch.loss for batch in recorder.batches] == [pytest.approx(3.0)] * BATCHES
    assert [batch.step for batch in recorder.batches] == [0, 0, 1, 1]


def test_a_validation_is_reported_once(tmp_path):
    """With the epoch in which it was made; in the middle of an epoch, with its step."""
    seldom = fit(tmp_path, check_val_every_n_epoch=2)
    assert [epoch.validation_loss is None for epoch in seldom.epochs] == [True, False]

    twice = fit(tmp_path, max_epochs=1, val_check_interval=2)
    (middle,) = [scalars for scalars in twice.scalars if scalars.split == "validation"]
    assert middle.step == 1
    assert middle.values["loss"] > 0
    assert twice.epochs[0].validation_loss > 0


def test_a_checkpoint_is_an_event_and_a_phase(tmp_path):
    """One that the Trainer's own callback saves."""
    recorder = fit(tmp_path, max_epochs=1, enable_checkpointing=True)

    assert [event.name for event in recorder.events] == ["checkpoint"]
    assert recorder.phase_seconds["checkpoint"] > 0


@pytest.mark.parametrize(
    ("options", "length"),
    [
        ({"max_epochs": 3}, (3, BATCHES)),
        ({"max_steps": 6, "max_epochs": -1}, (2, BATCHES)),
        ({"max_steps": 2, "max_epochs": 5}, (1, 2)),
        ({"max_steps": 1, "max_epochs": 1, "accumulate_grad_batches": 2}, (1, 2)),
        ({"max_epochs": 1, "limit_train_batches": 3}, (1, 3)),
    ],
)
def test_how_long_a_run_is_follows_from_its_limits(tmp_path, bridge, options, length):
    """By steps or by epochs, whichever ends it first."""
    callback = TrainbridgeCallback(
        address=bridge.address, session_id="run", close_seconds=60, strict=True
    )
    trainer_of(PACKAGES[0], tmp_path, callback, **options).fit(module_of(PACKAGES[0]), loader())

    config = bridge.registrations[0].config
    assert (config.total_epochs, config.batches_per_epoch) == length


def test_a_loader_without_a_length_is_reported(tmp_path):
    """Nobody knows how many batches it has; a Trainer that logs nothing reports its steps and tokens as well."""

    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([(torch.rand(4, 3, 8, 8), torch.zeros(4, dtype=torch.long))] * 3)

    recorder = RecordingBridge()
    callback = TrainbridgeCallback(
        address=recorder, tokens=lambda batch, outputs: batch[1].numel(), strict=True
    )
    trainer = trainer_of(PACKAGES[0], tmp_path, callback, log_every_n_steps=0)
    trainer.fit(module_of(PACKAGES[0]), DataLoader(Endless(), batch_size=None))

    assert [(b.epoch, b.batch) for b in recorder.batches] == [
        (epoch, batch) for epoch in range(2) for batch in range(3)
    ]
    assert {batch.tokens for batch in recorder.batches} == {4}


def test_a_loop_that_optimizes_by_itself_is_reported(tmp_path):
    """As any other."""
    recorder = fit(tmp_path, module=module_of(PACKAGES[0], manual=True), max_epochs=1)

    assert len(recorder.batches) == BATCHES
    assert all(batch.loss > 0 for batch in recorder.batches)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (RuntimeError("no data"), Status.FAILED, "RuntimeError: no data"),
        (KeyboardInterrupt(), Status.FAILED, ""),
    ],
)
def test_what_ends_a_run_is_reported(tmp_path, error, status, text):
    """The exception, and a person's Ctrl-C, which Lightning turns into an exit of its own."""

    def fail(index):
        if index == 2:
            raise error

    recorder = RecordingBridge()
    with pytest.raises((RuntimeError, SystemExit, KeyboardInterrupt)):
        fit(tmp_path, recorder, module=module_of(PACKAGES[0], on_batch=fail))

    assert len(recorder.batches) == 2
    last, message = recorder.statuses[-1][:2]
    assert last is status
    assert text in message


def test_a_command_to_stop_ends_the_run_after_the_batch(tmp_path):
    """Whatever min_epochs says; the epoch that was left in the middle is not reported as complete."""
    recorder = RecordingBridge()

    def command(index):
        if index == 1:
            recorder.send_command(CommandType.STOP_TRAINING)

    module = module_of(PACKAGES[0], on_batch=command)
    fit(tmp_path, recorder, module=module, min_epochs=2)

    assert len(recorder.batches) == 2
    assert recorder.epochs == []
    assert [answer.applied for answer in recorder.answers] == [True]
    assert recorder.statuses[-1][0] is Status.COMPLETED


def test_a_changed_learning_rate_holds_through_the_schedule(tmp_path):
    """The optimizer has it from the next batch on, and the scheduler goes on from it."""
    recorder = RecordingBridge()
    rates = []

    def command(index):
        rates.append(module.optimizers().param_groups[0]["lr"])
        if len(rates) == 2:
            recorder.send_command(CommandType.CHANGE_LEARNING_RATE, learning_rate="0.01")

    module = module_of(PACKAGES[0], on_batch=command)
    fit(tmp_path, recorder, module=module)

    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.005, 0.005, 0.005, 0.005])
    assert recorder.answers[0].applied


def test_a_pause_holds_the_loop_until_it_may_go_on(tmp_path):
    """And the page says so."""
    recorder = RecordingBridge()

    def command(index):
        if index == 1:
            threads.append(pause_and_resume(recorder))

    threads = []
    fit(tmp_path, recorder, module=module_of(PACKAGES[0], on_batch=command), max_epochs=1)
    threads[0].join()

    assert has_paused(recorder)
    assert len(recorder.batches) == BATCHES


def test_a_commanded_checkpoint_is_a_file(tmp_path):
    """In the folder of the Trainer; the answer names it."""
    recorder = RecordingBridge()

    def command(index):
        if index == 0:
            recorder.send_command(CommandType.SAVE_CHECKPOINT)

    fit(tmp_path, recorder, module=module_of(PACKAGES[0], on_batch=command), max_epochs=1)

    (file,) = tmp_path.glob("commanded-*.ckpt")
    assert file.name in recorder.answers[0].message


def test_a_run_that_goes_on_from_a_checkpoint_says_where(tmp_path, bridge):
    """Its first epoch is the one after the last that was complete."""
    first = trainer_of(PACKAGES[0], tmp_path, max_epochs=1)
    first.fit(module_of(PACKAGES[0]), loader())
    first.save_checkpoint(tmp_path / "last.ckpt")
    callback = TrainbridgeCallback(address=bridge.address, session_id="run", close_seconds=60)

    trainer = trainer_of(PACKAGES[0], tmp_path, callback)
    trainer.fit(module_of(PACKAGES[0]), loader(), ckpt_path=tmp_path / "last.ckpt")

    assert bridge.batches() == [(1, index) for index in range(BATCHES)]
    assert bridge.registrations[0].resume_point.epoch == 1


def test_a_run_that_goes_on_within_an_epoch_says_at_which_batch(tmp_path, bridge):
    """Which Lightning counts differently from version to version."""
    keeper = importlib.import_module(f"{PACKAGES[0]}.callbacks").ModelCheckpoint(
        tmp_path, "middle", every_n_train_steps=2
    )
    first = trainer_of(PACKAGES[0], tmp_path, keeper, max_steps=3, enable_checkpointing=True)
    first.fit(module_of(PACKAGES[0]), loader())
    callback = TrainbridgeCallback(address=bridge.address, session_id="run", close_seconds=60)

    trainer = trainer_of(PACKAGES[0], tmp_path, callback)
    trainer.fit(module_of(PACKAGES[0]), loader(), ckpt_path=tmp_path / "middle.ckpt")

    point = bridge.registrations[0].resume_point
    assert point.batch_idx > 0
    assert bridge.batches()[0] == (point.epoch, point.batch_idx)


def test_each_fit_is_a_run_and_other_loops_are_none(tmp_path, bridge):
    """Validation and prediction alone, and a fast_dev_run, are not reported."""
    callback = TrainbridgeCallback(address=bridge.address, session_id="run", close_seconds=60)
    trainer = trainer_of(PACKAGES[0], tmp_path, callback, max_epochs=1)
    module = module_of(PACKAGES[0])
    trainer.validate(module, loader(1), verbose=False)
    trainer_of(PACKAGES[0], tmp_path, callback, fast_dev_run=True).fit(module, loader())
    assert bridge.registrations == []

    for count in (1, 2):
        trainer.fit_loop.max_epochs = count
        trainer.fit(module, loader())
    assert len(bridge.registrations) == 2


def test_a_run_reaches_a_bridge_whole(tmp_path, real_bridge):
    """Its batches, images and end, on /metrics and in the API."""
    callback = TrainbridgeCallback(
        address=real_bridge.grpc, session_id="lightning", close_seconds=60
    )
    trainer_of(PACKAGES[0], tmp_path, callback).fit(module_of(PACKAGES[0]), loader(), loader(2))

    check_arrived(real_bridge, "lightning", 2 * BATCHES, images=4)


def test_a_session_that_was_given_goes_on(tmp_path):
    """Whoever has made it closes it."""
    recorder = RecordingBridge()
    with TrainingSession(recorder, session_id="run") as session:
        trainer = trainer_of(
            PACKAGES[0], tmp_path, TrainbridgeCallback(session=session), max_epochs=1
        )
        trainer.fit(module_of(PACKAGES[0]), loader())
        session.log_batch(0.5, epoch=7, batch=0)
        trainer_of(
            PACKAGES[0], tmp_path, TrainbridgeCallback(session=session), fast_dev_run=True
        ).fit(module_of(PACKAGES[0]), loader())

    assert len(recorder.batches) == BATCHES + 1
    assert recorder.batches[-1].epoch == 7
    with pytest.raises(ValueError, match="either session or what makes one"):
        TrainbridgeCallback(session=session, model="m")


def test_a_logger_beside_it_shares_the_session(tmp_path, bridge):
    """Numbers are reported once, under the steps that Lightning counts; hyperparameters as well."""
    options = {"address": bridge.address, "session_id": "run", "close_seconds": 60}
    logger = TrainbridgeLogger(**options)
    trainer = trainer_of(PACKAGES[0], tmp_path, TrainbridgeCallback(), logger=logger, max_epochs=1)
    trainer.fit(module_of(PACKAGES[0]), loader(), loader(2))

    assert len(bridge.registrations) == 1
    assert json.loads(bridge.registrations[0].config_json)["width"] == 8
    assert len(bridge.batches()) == BATCHES
    steps = [
        scalars.global_step for scalars in bridge.of("scalar_data") if "grad_norm" in scalars.values
    ]
    assert steps == list(range(BATCHES))
    assert bridge.of("status_update")[-1].status == Status.COMPLETED


def test_a_logger_alone_reports_numbers(tmp_path, bridge):
    """And how the run has ended, by the exception in flight."""

    def fail(index):
        if index == 2:
            raise RuntimeError("no data")

    logger = TrainbridgeLogger(address=bridge.address, session_id="run", close_seconds=60)
    with pytest.raises(RuntimeError):
        trainer_of(PACKAGES[0], tmp_path, logger=logger).fit(
            module_of(PACKAGES[0], on_batch=fail), loader()
        )

    assert {name for scalars in bridge.of("scalar_data") for name in scalars.values} >= {
        "grad_norm"
    }
    last = bridge.of("status_update")[-1]
    assert (last.status, last.message) == (Status.FAILED, "RuntimeError: no data")


DDP = """
import sys
import torch
from lightning.pytorch import Trainer
sys.path[:0] = {paths}
from support.obeying import say_rank
from test_lightning import loader, module_of
from bridge.client.integrations.lightning import TrainbridgeCallback

rates = []
module = module_of("lightning.pytorch", on_batch=lambda index: rates.append(module.optimizers().param_groups[0]["lr"]))
trainer = Trainer(
    max_epochs=400, accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_progress_bar=False,
    enable_model_summary=False, enable_checkpointing=False, callbacks=[TrainbridgeCallback(session_id="run", close_seconds=60)],
)
trainer.fit(module, loader(8))
say_rank(trainer.global_rank, len(rates), rates[-1])
"""


def test_several_ranks_obey_together(tmp_path, bridge):
    """A learning rate holds on both ranks, a stop ends both at one step with status 0, and one run is reported."""
    ranks = ranks_that_obey(tmp_path, bridge, DDP)

    assert ranks[0][1:] == ranks[1][1:]


def test_a_copy_makes_a_session_of_its_own():
    """As where a strategy spawns the processes that train."""
    callback = TrainbridgeCallback(model="m")
    copy = pickle.loads(pickle.dumps(callback))  # noqa: S301 -- our own

    assert copy.session is None


def test_what_a_loop_cannot_say_costs_that_alone(tmp_path, caplog):
    """An images function that raises is counted; the step is reported, and commands are obeyed."""
    recorder = RecordingBridge()

    def images(batch, outputs):
        if len(seen) == 1:
            recorder.send_command(CommandType.STOP_TRAINING)
        seen.append(batch)
        raise LookupError("no images here")

    seen = []

    callback = TrainbridgeCallback(address=recorder, images=images, close_seconds=60)
    trainer_of(PACKAGES[0], tmp_path, callback, max_epochs=1).fit(module_of(PACKAGES[0]), loader())

    assert [batch.loss > 0 for batch in recorder.batches] == [True, True]
    assert recorder.statuses[-1][0] is Status.COMPLETED
    assert "no images here" in caplog.text
