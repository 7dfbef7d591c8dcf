"""Real runs of fit, with the backends torch and JAX, each in a process of its own."""

import json
import os
import subprocess
import sys

import pytest
from support.tools import ROOT

BACKENDS = ("torch", "jax")

PROGRAM = """
import json, sys
sys.path[:0] = {paths}
import keras
import numpy as np
from bridge.client import CommandType
from bridge.client.integrations.keras import TrainbridgeCallback
from bridge.client.testing import RecordingBridge
from support.obeying import has_paused, pause_and_resume

generator = np.random.default_rng(0)
IMAGES = generator.random((30, 8, 8, 3), dtype=np.float32)
LABELS = generator.integers(0, 5, 30)
FOLDER = sys.argv[1]


def model():
    keras.utils.set_random_seed(0)
    made = keras.Sequential([keras.layers.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(5)])
    made.compile(
        keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    return made


class Each(keras.callbacks.Callback):
    def __init__(self, work):
        super().__init__()
        self.work, self.count = work, 0

    def on_train_batch_begin(self, batch, logs=None):
        self.count += 1
        self.work(self.count)


def fit(recorder, made, *others, images=IMAGES, batch_size=8, **options):
    callback = TrainbridgeCallback(address=recorder, session_id="run", close_seconds=60, checkpoint_dir=FOLDER)
    options = {"epochs": 2, **options}
    made.fit(
        images, LABELS[: len(images)], batch_size=batch_size, verbose=0, shuffle=False,
        callbacks=[callback, *others], **options,
    )


out = {}

# All of a run.
recorder, made = RecordingBridge(), model()
weights = made.get_weights()
fit(recorder, made, validation_data=(IMAGES[:8], LABELS[:8]))
out["positions"] = [(b.epoch, b.batch, b.step) for b in recorder.batches]
out["losses"] = [b.loss for b in recorder.batches]
out["images"] = [len(b.images) for b in recorder.batches]
out["epochs"] = [(e.epoch, e.loss, e.accuracy, e.validation_loss, e.learning_rate) for e in recorder.epochs]
out["statuses"] = [s[0].name for s in recorder.statuses]
out["validated"] = recorder.phase_seconds.get("validation", 0)
out["config"] = recorder.config
again = model()
again.set_weights(weights)
out["own"] = [
    float(again.train_on_batch(IMAGES[at : at + 8], LABELS[at : at + 8], return_dict=True)["loss"])
    for epoch in range(2) for at in range(0, 30, 8)
    if again.reset_metrics() is None
]
made.evaluate(IMAGES, LABELS, verbose=0)

# Commands.
recorder, made = RecordingBridge(), model()
rates = []
def command(count):
    if count == 2:
        recorder.send_command(CommandType.CHANGE_LEARNING_RATE, learning_rate="0.01")
    elif count == 3:
        recorder.send_command(CommandType.SAVE_CHECKPOINT)
    elif count == 6:
        recorder.send_command(CommandType.STOP_TRAINING)
fit(recorder, made, Each(command), epochs=5)
out["answers"] = [(a.applied, a.message) for a in recorder.answers]
out["stopped_after"] = len(recorder.batches)
out["epochs_of_stopped"] = [(e.epoch, e.learning_rate) for e in recorder.epochs]
out["rate"] = float(keras.ops.convert_to_numpy(made.optimizer.learning_rate))

# A pause.
recorder, made, threads = RecordingBridge(), model(), []
fit(recorder, made, Each(lambda count: count == 2 and threads.append(pause_and_resume(recorder))), epochs=1)
threads[0].join()
out["paused"] = has_paused(recorder)

# A schedule.
recorder, made = RecordingBridge(), model()
made.compile(keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)), made.loss)
fit(recorder, made, Each(lambda count: count == 1 and recorder.send_command(
    CommandType.CHANGE_LEARNING_RATE, learning_rate="0.01")), epochs=1)
out["refused"] = [(a.applied, a.message) for a in recorder.answers]

# Several batches an execution, and a run that goes on; Keras with torch takes no such executions.
recorder, made = RecordingBridge(), model()
several = 1 if keras.backend.backend() == "torch" else 3
made.compile(keras.optimizers.SGD(0.0), made.loss, steps_per_execution=several)
fit(recorder, made, initial_epoch=2, epochs=4)
out["several"] = [(b.epoch, b.batch, b.step) for b in recorder.batches]

# An images function that raises.
recorder, made = RecordingBridge(), model()
def raises(batch, outputs):
    raise LookupError("no images here")
callback = TrainbridgeCallback(address=recorder, images=raises, close_seconds=60)
session = None
class Keep(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        global session
        session = callback.owned.session
made.fit(IMAGES, LABELS, batch_size=8, verbose=0, callbacks=[callback, Keep()])
out["left_out"] = session.stats.left_out

# A schedule that has no configuration.
class Steady(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.01
recorder, made = RecordingBridge(), model()
made.compile(keras.optimizers.SGD(Steady()), made.loss)
fit(recorder, made, epochs=1)
out["steady"] = [len(recorder.batches), recorder.config]

# An exception.
recorder, made = RecordingBridge(), model()
def fail(count):
    if count == 3:
        raise LookupError("no data")
try:
    fit(recorder, made, Each(fail))
except LookupError:
    out["failed"] = [recorder.statuses[-1][0].name, recorder.statuses[-1][1]]
recorder = RecordingBridge()
def interrupt(count):
    if count == 3:
        raise KeyboardInterrupt
try:
    fit(recorder, made, Each(interrupt))
except KeyboardInterrupt:
    out["interrupted"] = [recorder.statuses[-1][0].name, recorder.statuses[-1][1]]
out["restored"] = "compute_loss" not in vars(made)
print(json.dumps(out))
"""


@pytest.fixture(scope="module", params=BACKENDS)
def seen(request, tmp_path_factory):
    """Return what runs with one backend have shown."""
    folder = tmp_path_factory.mktemp(request.param)
    program = folder / "program.py"
    program.write_text(PROGRAM.replace("{paths}", repr([str(ROOT), str(ROOT / "tests")])))
    ran = subprocess.run(
        [sys.executable, str(program), str(folder / "saved")],
        env={**os.environ, "KERAS_BACKEND": request.param, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout) | {"backend": request.param, "folder": folder / "saved"}


def test_every_batch_is_reported_with_its_own_loss(seen):
    """Keras gives running means; the last batch is smaller, and has no loss where its size cannot be seen."""
    positions = [[epoch, batch, epoch * 4 + batch] for epoch in range(2) for batch in range(4)]
    assert seen["positions"] == positions
    expected = list(seen["own"])
    if seen["backend"] == "jax":
        expected[3] = expected[7] = None
    assert [x is None for x in seen["losses"]] == [x is None for x in expected]
    assert [x for x in seen["losses"] if x is not None] == pytest.approx(
        [x for x in expected if x is not None], rel=1e-3
    )


def test_epochs_have_their_means_and_validation(seen):
    """Learning rate and configuration too; evaluate alone is not reported."""
    assert [epoch[0] for epoch in seen["epochs"]] == [0, 1]
    assert all(None not in epoch for epoch in seen["epochs"])
    assert seen["epochs"][0][4] == pytest.approx(0.1)
    assert seen["validated"] > 0
    assert seen["config"]["optimizer.name"].lower() == "sgd"
    assert seen["statuses"][-1] == "COMPLETED"
    assert seen["statuses"].count("COMPLETED") == 1


def test_images_are_seen_where_nothing_is_compiled(seen):
    """With the backend torch."""
    assert seen["images"] == ([0] * 8 if seen["backend"] == "jax" else [8, 8, 8, 6] * 2)


def test_commands_are_obeyed(seen):
    """A learning rate holds and shows in the epoch, a checkpoint is a file, a stop ends it after the batch."""
    assert seen["paused"]
    assert [answer[0] for answer in seen["answers"]] == [True, True, True]
    assert list(seen["folder"].glob("commanded-epoch=0-*.keras"))
    assert seen["stopped_after"] == 6
    assert seen["epochs_of_stopped"] == [[0, pytest.approx(0.01)]]
    assert seen["rate"] == pytest.approx(0.01)


def test_a_schedule_is_not_overruled(seen):
    """The command is refused, with what to do."""
    assert [answer[0] for answer in seen["refused"]] == [False]
    assert "LearningRateSchedule" in seen["refused"][0][1]


def test_a_schedule_without_a_configuration_keeps_nobody_from_training(seen):
    """As in many tutorials: the optimizer has its name alone."""
    batches, config = seen["steady"]

    assert batches == 4
    assert config["optimizer"] == "SGD"


def test_executions_of_several_batches_are_reported_by_their_last(seen):
    """Steps go on where a run does."""
    lasts = (2, 3) if seen["backend"] == "jax" else (0, 1, 2, 3)
    assert seen["several"] == [[e, b, e * 4 + b] for e in (2, 3) for b in lasts]


def test_an_images_function_that_raises_is_counted(seen):
    """Once for each batch, where there is anything to take images from."""
    expected = {} if seen["backend"] == "jax" else {"images: unreadable": 4}
    assert seen["left_out"] == expected


def test_what_ends_a_run_is_reported(seen):
    """By the exception, which Keras does not tell callbacks; the model is as it was."""
    assert seen["failed"] == ["FAILED", "LookupError: no data"]
    assert seen["interrupted"] == ["FAILED", "KeyboardInterrupt"]
    assert seen["restored"]
