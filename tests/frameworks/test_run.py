"""Scripts of frameworks under `trainbridge run`, without a line of ours."""

import sys

import pytest
from support.runs_of_programs import command, environment, ran

from bridge.client import Status

LIGHTNING = """
import torch
from torch.utils.data import DataLoader, TensorDataset
import lightning.pytorch as L

class Classifier(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def training_step(self, batch, index):
        return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

data = TensorDataset(torch.rand(8, 4), torch.zeros(8, dtype=torch.long))
trainer = L.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                    enable_progress_bar=False, enable_model_summary=False)
trainer.fit(Classifier(), DataLoader(data, batch_size=2))
print("done")
"""

TRANSFORMERS = """
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
{own}

data = [{{"input_ids": torch.arange(8), "labels": torch.arange(8)}} for _ in range(8)]
model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=8, n_embd=8, n_layer=1, n_head=1))
arguments = TrainingArguments(output_dir="out", max_steps=4, per_device_train_batch_size=2, logging_steps=1,
                              report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True)
trainer = Trainer(model, arguments, train_dataset=data, callbacks=[{callback}])
trainer.train()
print("done")
"""


def run(tmp_path, bridge, script, *flags):
    """Run a script to its end, with a bridge that records."""
    (tmp_path / "train.py").write_text(script)
    words = command(sys.executable, "train.py", flags=("--session-id", "night", *flags))
    done = ran(words, environment(tmp_path, bridge.address), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "done" in done.stdout
    return done


def losses(bridge):
    """Return the losses of the batches that have arrived."""
    return [one.batch_loss for one in bridge.of("batch_data")]


def test_a_trainer_of_lightning_is_reported(tmp_path, bridge):
    """Each batch, under the name and instance that the command has announced."""
    done = run(tmp_path, bridge, LIGHTNING)

    assert len(losses(bridge)) == 4, done.stderr
    assert {one.session_id for one in bridge.registrations} == {"night"}
    assert len({one.client_instance_id for one in bridge.registrations}) == 1
    assert bridge.of("status_update")[-1].status == Status.COMPLETED


@pytest.mark.parametrize(
    ("own", "callback"),
    [
        ("", ""),
        (
            "from bridge.client.integrations.transformers import TrainbridgeCallback",
            "TrainbridgeCallback()",
        ),
    ],
)
def test_a_trainer_of_transformers_is_reported_once(tmp_path, bridge, own, callback):
    """Whether the script has added our callback itself or not."""
    done = run(tmp_path, bridge, TRANSFORMERS.format(own=own, callback=callback))

    assert len(losses(bridge)) == 4, done.stderr
    assert {one.session_id for one in bridge.registrations} == {"night"}
    assert bridge.of("status_update")[-1].status == Status.COMPLETED
