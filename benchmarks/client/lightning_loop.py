"""Trains a tiny model with Lightning, with our callback or without, and prints the microseconds of a step.

python lightning_loop.py with|without STEPS
"""

import itertools
import json
import logging
import os
import sys
import time
import warnings
from statistics import median

import lightning.pytorch as lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

from bridge.client.integrations.lightning import TrainbridgeCallback

BATCH = 16
SIDE = 32


class Classifier(lightning.LightningModule):
    """One layer: next to nothing, so that what is around a step is most of it."""

    def __init__(self) -> None:
        """Start with random weights."""
        super().__init__()
        self.layer = torch.nn.Linear(3 * SIDE * SIDE, 10)

    def training_step(self, batch: list[torch.Tensor], _index: int) -> torch.Tensor:
        """Return the loss."""
        images, labels = batch
        return torch.nn.functional.cross_entropy(self.layer(images.flatten(1)), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return plain gradient descent."""
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Clock(lightning.Callback):
    """Takes down when each step begins."""

    def __init__(self) -> None:
        """Start without a step."""
        self.began: list[float] = []

    def on_train_batch_start(self, *_given: object) -> None:
        """Take one down."""
        self.began.append(time.perf_counter())

    def step_seconds(self) -> float:
        """Return what the step in the middle took, with all that lies between two of them."""
        return median([after - before for before, after in itertools.pairwise(self.began)])


def main() -> None:
    """Train once, and print what a step took."""
    with_callback, steps = sys.argv[1] == "with", int(sys.argv[2])
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.manual_seed(1)
    torch.set_num_threads(1)
    samples = torch.rand(BATCH * 64, 3, SIDE, SIDE), torch.randint(0, 10, (BATCH * 64,))
    loader = DataLoader(TensorDataset(*samples), batch_size=BATCH)
    callback = TrainbridgeCallback(session_id=os.environ["SUBJECT_SESSION"])
    clock = Clock()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_steps=steps,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[clock, callback] if with_callback else [clock],
    )
    trainer.fit(Classifier(), loader)
    sys.stdout.write(json.dumps({"microseconds": clock.step_seconds() * 1e6}) + "\n")


if __name__ == "__main__":
    main()
