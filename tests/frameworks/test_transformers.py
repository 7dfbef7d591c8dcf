"""Real runs of a Trainer with tiny models, made from their configurations."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from support.arrived import check_arrived
from support.obeying import has_paused, pause_and_resume, ranks_that_obey
from support.waiting import until_true
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainingArguments,
    ViTConfig,
    ViTForImageClassification,
)

from bridge.client import CommandType, Status, TrainingSession
from bridge.client.integrations.forward_watch import ForwardWatch
from bridge.client.integrations.transformers import TrainbridgeCallback
from bridge.client.testing import RecordingBridge

STEPS = 4


class Texts(torch.utils.data.Dataset):
    """Sequences of eight tokens."""

    def __init__(self, on_item=lambda index: None, count=4 * STEPS):
        self.on_item = on_item
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.on_item(index)
        tokens = (torch.arange(8) + index) % 50
        return {"input_ids": tokens, "labels": tokens}


class Plain(torch.nn.Module):
    """A model that is none of Transformers', with a configuration of its own."""

    def __init__(self):
        super().__init__()
        self.config = SimpleNamespace(width=4)
        self.layer = torch.nn.Embedding(50, 4)

    def forward(self, input_ids, labels):
        """Return a loss."""
        return {"loss": self.layer(input_ids).square().mean() + 0 * labels.sum()}


class Pictures(torch.utils.data.Dataset):
    """Images with classes."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {"pixel_values": torch.rand(3, 16, 16), "labels": index % 3}


def language_model():
    """Return a GPT-2 of one layer."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=50,
            n_positions=8,
            n_embd=8,
            n_layer=1,
            n_head=1,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def image_model():
    """Return a vision transformer of one layer."""
    config = ViTConfig(
        image_size=16, patch_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=1, num_labels=3,
    )  # fmt: skip  # one layer in two lines
    return ViTForImageClassification(config)


def arguments(tmp_path, **options):
    """Return quiet arguments."""
    options = {
        "num_train_epochs": 2,
        "per_device_train_batch_size": 4,
        "logging_steps": 2,
        "save_strategy": "no",
        "disable_tqdm": True,
        "report_to": [],
        "use_cpu": True,
        "learning_rate": 0.1,
        "seed": 0,
        **options,
    }
    return TrainingArguments(output_dir=str(tmp_path / "out"), **options)


def train(
    tmp_path, recorder=None, *, model=None, data=None, evaluation=None, resume=None, **options
):
    """Train with a callback; return what was recorded and the Trainer."""
    recorder = recorder or RecordingBridge()
    callback = TrainbridgeCallback(address=recorder, session_id="run", close_seconds=60)
    trainer = Trainer(
        model or language_model(),
        arguments(tmp_path, **options),
        train_dataset=data or Texts(),
        eval_dataset=evaluation,
        callbacks=[callback],
    )
    trainer.train(resume_from_checkpoint=resume)
    return recorder, trainer


def test_every_step_and_epoch_is_reported(tmp_path):
    """Its own loss, not a mean over steps; tokens; evaluation and its phase; learning rate; configuration."""
    recorder, trainer = train(
        tmp_path, evaluation=Texts(count=4), eval_strategy="epoch", logging_steps=1
    )

    assert [(b.epoch, b.batch, b.step) for b in recorder.batches] == [
        (epoch, batch, epoch * STEPS + batch) for epoch in range(2) for batch in range(STEPS)
    ]
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert [b.loss for b in recorder.batches] == pytest.approx(logged, abs=2e-4)
    assert {b.tokens for b in recorder.batches} == {32}
    assert [epoch.epoch for epoch in recorder.epochs] == [0, 1]
    assert [e.loss for e in recorder.epochs] == pytest.approx(
        [sum(logged[:STEPS]) / STEPS, sum(logged[STEPS:]) / STEPS], abs=2e-4
    )
    evaluated = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert [e.validation_loss for e in recorder.epochs] == pytest.approx(evaluated)
    assert recorder.phase_seconds["validation"] > 0
    names = {name for scalars in recorder.scalars for name in scalars.values}
    assert {"learning_rate", "grad_norm"} <= names
    assert "loss" not in {n for s in recorder.scalars if s.split != "validation" for n in s.values}
    assert recorder.config["per_device_train_batch_size"] == 4
    assert recorder.config["model.n_embd"] == 8
    assert recorder.statuses[-1][0] is Status.COMPLETED


def test_a_model_with_a_configuration_of_its_own_trains(tmp_path):
    """One that is none of Transformers' is reported as it is; training begins in any case."""
    model = Plain()
    recorder, _ = train(tmp_path, model=model, max_steps=2)

    assert len(recorder.batches) == 2
    assert recorder.config["model.width"] == 4


def test_a_rank_that_cannot_report_its_step_obeys_all_the_same(tmp_path, monkeypatch):
    """Others would wait for it: what is left out is counted."""
    recorder = RecordingBridge()

    def unreadable(_watch):
        recorder.send_command(CommandType.STOP_TRAINING)
        raise RuntimeError("two devices")

    monkeypatch.setattr(ForwardWatch, "end_step", unreadable)
    _, trainer = train(tmp_path, recorder)

    assert trainer.state.global_step == 1
    assert [answer.applied for answer in recorder.answers][:1] == [True]


def test_images_come_with_predictions_and_classes(tmp_path):
    """Of a model that takes pixel_values, without a line for it."""
    recorder, _ = train(tmp_path, model=image_model(), data=Pictures(), remove_unused_columns=False)

    first = recorder.batches[0]
    assert len(first.images) == len(first.predictions) == len(first.ground_truth) == 4
    assert all(first.images)


def test_accumulated_batches_are_one_step(tmp_path):
    """Its loss is that of all of them; its tokens are all of theirs."""
    recorder, _ = train(tmp_path, gradient_accumulation_steps=2, num_train_epochs=1)

    # Of fifty tokens that are equally likely, over seven or eight of them; the sum would be twice as much.
    assert 0.8 < recorder.batches[0].loss / math.log(50) < 1.1
    assert [b.tokens for b in recorder.batches] == [64, 64]


@pytest.mark.parametrize("error", [RuntimeError("no data"), KeyboardInterrupt()])
def test_what_ends_a_run_is_reported(tmp_path, bridge, error):
    """A Trainer does not say so to its callbacks."""
    taken = []

    def fail(index):
        taken.append(index)
        if len(taken) == 6:
            raise error

    callback = TrainbridgeCallback(address=bridge.address, session_id="run", close_seconds=60)
    trainer = Trainer(
        language_model(), arguments(tmp_path), train_dataset=Texts(fail), callbacks=[callback]
    )
    with pytest.raises(type(error)):
        trainer.train()

    last = bridge.of("status_update")[-1]
    assert last.status == Status.FAILED
    if isinstance(error, RuntimeError):
        assert last.message == "RuntimeError: no data"
    else:
        assert last.ending == "interrupted"


def test_a_command_to_stop_ends_the_run_after_the_step(tmp_path):
    """The epoch that was left in the middle is not reported as complete."""
    recorder = RecordingBridge()
    taken = []

    def command(index):
        taken.append(index)
        if len(taken) == 6:
            recorder.send_command(CommandType.STOP_TRAINING)

    train(tmp_path, recorder, data=Texts(command))

    assert 1 <= len(recorder.batches) < STEPS
    assert recorder.epochs == []
    assert [answer.applied for answer in recorder.answers] == [True]
    assert recorder.statuses[-1][0] is Status.COMPLETED


def test_a_changed_learning_rate_holds_through_the_schedule(tmp_path):
    """The linear schedule goes on from it."""
    recorder = RecordingBridge()
    taken = []

    def command(index):
        taken.append(index)
        if len(taken) == 2:
            recorder.send_command(CommandType.CHANGE_LEARNING_RATE, learning_rate="0.001")

    _, trainer = train(tmp_path, recorder, data=Texts(command), logging_steps=1)

    assert recorder.answers[0].applied
    rates = [e["learning_rate"] for e in trainer.state.log_history if "learning_rate" in e]
    assert max(rates[2:]) <= 0.001


def test_a_pause_holds_the_loop_until_it_may_go_on(tmp_path):
    """And the page says so."""
    recorder = RecordingBridge()
    taken, threads = [], []

    def command(index):
        taken.append(index)
        if len(taken) == 2:
            threads.append(pause_and_resume(recorder))

    train(tmp_path, recorder, data=Texts(command), num_train_epochs=1)
    threads[0].join()

    assert has_paused(recorder)
    assert len(recorder.batches) == STEPS


def test_a_commanded_checkpoint_is_saved(tmp_path):
    """By the Trainer itself, at the end of the step."""
    recorder = RecordingBridge()
    taken = []

    def command(index):
        taken.append(index)
        if len(taken) == 1:
            recorder.send_command(CommandType.SAVE_CHECKPOINT)

    train(tmp_path, recorder, data=Texts(command), num_train_epochs=1)

    assert recorder.answers[0].applied
    assert list((tmp_path / "out").glob("checkpoint-*"))
    assert "checkpoint" in [event.name for event in recorder.events]


def test_a_run_that_goes_on_from_a_checkpoint_says_where(tmp_path, bridge):
    """Epoch, batch and step go on, too."""
    train(tmp_path, save_strategy="steps", save_steps=STEPS + 1)
    folder = tmp_path / "out" / f"checkpoint-{STEPS + 1}"
    callback = TrainbridgeCallback(address=bridge.address, session_id="run", close_seconds=60)
    trainer = Trainer(
        language_model(), arguments(tmp_path), train_dataset=Texts(), callbacks=[callback]
    )
    trainer.train(resume_from_checkpoint=str(folder))

    assert bridge.registrations[0].resume_point.global_step == STEPS + 1
    assert bridge.batches() == [(1, index) for index in range(1, STEPS)]


def test_it_may_be_named_in_the_arguments(tmp_path, bridge, monkeypatch):
    """`report_to="trainbridge"`, with the address from the environment; each train is a run, evaluate is none."""
    monkeypatch.setenv("TRAINBRIDGE_ADDRESS", bridge.address)
    trainer = Trainer(
        language_model(),
        arguments(tmp_path, report_to=["trainbridge"], max_steps=2),
        train_dataset=Texts(),
        eval_dataset=Texts(count=4),
    )
    trainer.evaluate()
    assert bridge.registrations == []

    trainer.train()
    until_true(lambda: bridge.of("status_update")[-1].status == Status.COMPLETED)
    assert len(bridge.batches()) == 2
    assert json.loads(bridge.registrations[0].config_json)["max_steps"] == 2


DDP = """
import sys
sys.path[:0] = {paths}
from transformers import Trainer
from support.obeying import say_rank
from test_transformers import Texts, arguments, language_model
from bridge.client.integrations.transformers import TrainbridgeCallback
from pathlib import Path

class Rates(TrainbridgeCallback):
    def on_step_begin(self, args, state, control, **parts):
        super().on_step_begin(args, state, control, **parts)
        self.last = self._rate

callback = Rates(session_id="run", close_seconds=60)
options = arguments(Path({folder}), num_train_epochs=1000, lr_scheduler_type="constant", ddp_backend="gloo")
trainer = Trainer(language_model(), options, train_dataset=Texts(count=64), callbacks=[callback])
trainer.train()
say_rank(options.process_index, trainer.state.global_step, callback.last)
"""


def test_several_ranks_obey_together(tmp_path, bridge):
    """A learning rate holds on both ranks, a stop ends both at one step with status 0, and one run is reported."""
    code = DDP.replace("{folder}", repr(str(tmp_path)))

    ranks = ranks_that_obey(
        tmp_path, bridge, code, "-m", "torch.distributed.run", "--nproc-per-node=2"
    )

    assert ranks[0][1:] == ranks[1][1:]
    assert float(ranks[0][2]) == 0.001


def test_a_run_reaches_a_bridge_whole(tmp_path, real_bridge):
    """Its batches, images and end, on /metrics and in the API."""
    callback = TrainbridgeCallback(
        address=real_bridge.grpc, session_id="transformers", close_seconds=60
    )
    Trainer(
        image_model(),
        arguments(tmp_path, remove_unused_columns=False),
        train_dataset=Pictures(),
        callbacks=[callback],
    ).train()

    check_arrived(real_bridge, "transformers", 4, images=4)


def test_a_session_that_was_given_goes_on(tmp_path):
    """Whoever has made it closes it; the model keeps no hook."""
    recorder, model = RecordingBridge(), language_model()
    with TrainingSession(recorder, session_id="run") as session:
        Trainer(
            model,
            arguments(tmp_path, max_steps=1),
            train_dataset=Texts(),
            callbacks=[TrainbridgeCallback(session=session)],
        ).train()
        session.log_batch(0.5, epoch=7, batch=0)

    assert recorder.batches[-1].epoch == 7
    assert not model._forward_hooks
