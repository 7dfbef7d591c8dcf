"""Scripts in the style of tutorials run unchanged but for their import, and what arrives is what they have counted."""

import re
import sys
from pathlib import Path

import pytest

import bridge.client.compat.wandb
from bridge.client import TrainingSession
from bridge.client.testing import RecordingBridge

torch = pytest.importorskip("torch")

SCRIPTS = Path(__file__).parents[3] / "support" / "tutorials"

IMPORTS = {
    "from torch.utils.tensorboard import": "from bridge.client.compat.tensorboard import",
    "import wandb": "import bridge.client.compat.wandb as wandb",
}
"""The line that is changed, and what it becomes."""


class Outcome:
    """What a script has counted itself, and what has reached the bridge."""

    def __init__(self, books):
        self.books = books
        self.arrived = RecordingBridge()
        self.sessions = []

    @property
    def losses(self):
        """Return (step, loss) of every batch that has one."""
        return [
            (batch.step, pytest.approx(batch.loss, rel=1e-5))
            for batch in self.arrived.batches
            if batch.loss is not None
        ]

    def curve(self, name, split=""):
        """Return (step, value) of one curve."""
        return [
            (call.step, pytest.approx(call.values[name], rel=1e-5))
            for call in self.arrived.scalars
            if name in call.values and call.split == split
        ]

    @property
    def said(self):
        """Return the names of events."""
        return [event.name for event in self.arrived.events]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs a script in a folder of its own, with a bridge."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def run_script(name):
        source = (SCRIPTS / name).read_text()
        changed = re.sub("|".join(IMPORTS), lambda found: IMPORTS[found[0]], source)
        assert changed != source
        outcome = Outcome({"__name__": "__main__"})

        class Session(TrainingSession):
            def __init__(self, **about):
                super().__init__(outcome.arrived, **about)
                outcome.sessions.append(self._runtime._identity)

        monkeypatch.setattr("bridge.client.compat.late_session.TrainingSession", Session)
        monkeypatch.setattr(sys, "argv", [name])
        exec(compile(changed, name, "exec"), outcome.books)  # noqa: S102 -- our own scripts
        bridge.client.compat.wandb.finish()  # where the script leaves that to the end of the process
        return outcome

    yield run_script
    torch.set_num_threads(threads)


def test_digits_with_a_summary_writer(run, caplog):
    """Every loss with its step, pictures beside the first, the curves of the test set, and one line for the graph."""
    outcome = run("mnist_cnn.py")
    books = outcome.books

    assert outcome.losses == list(enumerate(books["train_losses"]))
    assert len(outcome.arrived.batches[0].images) == 16
    ends = [6, 12]
    assert outcome.curve("Loss", "test") == list(zip(ends, books["test_losses"], strict=True))
    assert outcome.curve("Accuracy", "test") == list(zip(ends, books["accuracies"], strict=True))
    assert outcome.curve("learning_rate") == list(zip(ends, books["rates"], strict=True))
    assert [step for step, _ in outcome.curve("fc1/weight/p50")] == ends
    assert [info.config.model for info in outcome.sessions] == ["mnist_experiment_1"]
    assert [record.message.split(" left out")[0] for record in caplog.records] == ["add_graph"]


def test_phases_with_a_writer_each(run, caplog):
    """They are one run: the loss of training makes batches, that of validation is a curve."""
    outcome = run("transfer_learning.py")
    train, val = outcome.books["history"]["train"], outcome.books["history"]["val"]

    assert outcome.losses == list(enumerate(loss for loss, _ in train))
    assert outcome.curve("accuracy", "train") == list(enumerate(right for _, right in train))
    assert outcome.curve("loss", "validation") == list(enumerate(loss for loss, _ in val))
    assert outcome.curve("accuracy", "validation") == list(enumerate(right for _, right in val))
    assert outcome.said == ["result"]
    assert len(outcome.sessions) == 1
    assert not caplog.records


def test_iterations_with_wandb(run, caplog):
    """Each log is a step; its `iter` is a curve, unless the run is counted by it."""
    outcome = run("nano_gpt.py")
    books = outcome.books["books"]

    assert outcome.losses == [(step, train) for step, (_, train, _, _) in enumerate(books)]
    assert outcome.curve("loss", "validation") == [
        (n, val) for n, (_, _, val, _) in enumerate(books)
    ]
    assert outcome.curve("learning_rate") == [(n, lr) for n, (_, _, _, lr) in enumerate(books)]
    assert outcome.curve("iter") == [(n, iteration) for n, (iteration, *_) in enumerate(books)]
    assert outcome.curve("mfu_reported")[0] == (0, -100)
    assert outcome.sessions[0].config.model == "gpt2"
    assert '"grad_clip": 1.0' in outcome.sessions[0].config_json
    assert not caplog.records


def test_an_agent_has_curves(run, caplog):
    """And no batches, since nothing is called the loss of a step: that is said with what to do."""
    outcome = run("rl_loop.py")

    assert not outcome.arrived.batches
    assert outcome.curve("charts/episodic_return") == outcome.books["returns"]
    assert len(outcome.curve("values/2")) == len(outcome.curve("losses/value_loss")) == 10
    assert outcome.said == ["hyperparameters"]
    assert [record for record in caplog.records if "loss_tag=" in record.message]


def test_a_sweep_is_a_session_for_each_try(run, caplog):
    """With its hyperparameters, and its losses."""
    outcome = run("hparams_sweep.py")
    results = outcome.books["results"]

    assert outcome.losses == [pair for _, _, losses in results for pair in enumerate(losses)]
    assert [value for _, value in outcome.curve("hparam/final_loss")] == [r[2][-1] for r in results]
    assert len({info.session_id for info in outcome.sessions}) == 4
    assert [event.details["bsize"] for event in outcome.arrived.events] == ["8", "16", "8", "16"]
    assert not caplog.records


def test_epochs_with_wandb(run, caplog):
    """Configuration after init, pictures, an alert and the summary; what is left out is said once each."""
    outcome = run("classify_wandb.py")
    books = outcome.books["books"]
    of_epochs = [step for step in range(12) if step not in (5, 11)]

    assert outcome.losses == list(zip(of_epochs, books, strict=True))
    assert [len(b.images) for b in outcome.arrived.batches if b.loss is None] == [4, 4]
    assert [step for step, _ in outcome.curve("accuracy", "validation")] == [5, 11]
    assert '"lr": 0.5' in outcome.sessions[0].config_json
    assert outcome.sessions[0].labels["project"] == "pets"
    assert outcome.said == ["Low accuracy", "summary"]
    said = [record.message.split(" left out")[0] for record in caplog.records]
    assert sorted(said) == ["captions", "watch"]
