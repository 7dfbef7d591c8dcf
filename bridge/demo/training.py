"""The training loop of the demo: what a user's loop looks like, with a mishap now and then."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bridge.client import CommandType, TrainingSession
from bridge.demo.digits import CLASS_NAMES, Digits, load
from bridge.demo.lost_rank import LostRank
from bridge.demo.mishaps import USUAL, Mishaps
from bridge.demo.network import Classes, Network, accuracy, cross_entropy

BATCH_SIZE = 32
FINAL_LEARNING_RATE_RATIO = 0.1
"""What is left of the learning rate at the end of a run."""

DIVERGING_LEARNING_RATE = 1.0
"""With it the loss of this network jumps, and comes back to no better than guessing."""

DROPOUT = 0.3
"""Keeps the loss from settling at zero, where a curve is nothing to look at."""

STEP_SECONDS = 0.07
"""What a step of a larger model might take; without it there would be nothing to watch."""

MISHAP_BATCHES = range(18, 22)


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What to train, and how long."""

    epochs: int = 6
    hidden: int = 48
    learning_rate: float = 0.05
    seed: int = 0
    step_seconds: float = STEP_SECONDS
    mishaps: Mishaps = USUAL


@dataclass(frozen=True, slots=True)
class LoopCounts:
    """What the loop itself has counted, to compare with what arrives."""

    batches: int
    epochs: int
    stopped: bool


Progress = Callable[[int, float], None]
"""Called with epoch and loss after each step."""


class Training:
    """Digits, a network and a learning rate that can be changed from outside."""

    def __init__(self, options: DemoOptions, other_rank: LostRank | None = None) -> None:
        """Load the digits; with another rank, each step waits for it."""
        self.options = options
        self._other_rank = other_rank
        self._random = np.random.default_rng(options.seed)
        self._digits, self._held_out = load(self._random)
        self._network = Network(
            self._random,
            inputs=64,
            hidden=options.hidden,
            classes=len(CLASS_NAMES),
            dropout=DROPOUT,
        )
        self._learning_rate = options.learning_rate
        self._decay = FINAL_LEARNING_RATE_RATIO ** (1 / options.epochs)
        self.batches_per_epoch = len(self._digits) // BATCH_SIZE

    def run(self, session: TrainingSession, progress: Progress) -> LoopCounts:
        """Train until the last epoch, or until a stop command arrives."""
        session.on(CommandType.CHANGE_LEARNING_RATE, self._change_learning_rate)
        batches = epochs = 0
        for epoch in range(1, self.options.epochs + 1):
            if epoch == self.options.mishaps.diverge_epoch:
                self._learning_rate = DIVERGING_LEARNING_RATE
            batches += self._epoch(session, epoch, progress)
            if session.should_stop:
                break
            epochs += 1
            self._learning_rate *= self._decay
        return LoopCounts(batches, epochs, stopped=epochs < self.options.epochs)

    def _epoch(self, session: TrainingSession, epoch: int, progress: Progress) -> int:
        order = self._random.permutation(len(self._digits))
        losses, hits = [], []
        for batch in range(self.batches_per_epoch):
            started = time.monotonic()
            chosen = self._digits.take(order[batch * BATCH_SIZE : (batch + 1) * BATCH_SIZE])
            truths = self._labels(chosen, epoch, batch)
            if self._other_rank:
                self._other_rank.all_reduce(epoch, batch)
            loss, probabilities = self._network.step(chosen.pixels, truths, self._learning_rate)
            session.log_batch(
                loss,
                epoch=epoch,
                batch=batch,
                images=chosen.pictures,
                predictions=probabilities,
                ground_truth=truths,
            )
            losses.append(loss)
            hits.append(accuracy(probabilities, truths))
            progress(epoch, loss)
            session.wait_while_paused()
            if session.should_stop:
                return batch + 1
            time.sleep(max(0.0, self.options.step_seconds - (time.monotonic() - started)))
        self._log_epoch(session, epoch, float(np.mean(losses)), float(np.mean(hits)))
        return self.batches_per_epoch

    def _labels(self, digits: Digits, epoch: int, batch: int) -> Classes:
        """Return the labels as a careless annotator left them: now and then a few batches are shuffled."""
        spike_every = self.options.mishaps.spike_every
        if not spike_every or epoch % spike_every or batch not in MISHAP_BATCHES:
            return digits.classes
        return self._random.permutation(digits.classes)

    def _log_epoch(
        self, session: TrainingSession, epoch: int, loss: float, hit_ratio: float
    ) -> None:
        with session.phase("validation"):
            probabilities = self._network.probabilities(self._held_out.pixels)
        session.log_epoch(
            epoch,
            loss=loss,
            accuracy=hit_ratio,
            validation_loss=cross_entropy(probabilities, self._held_out.classes),
            validation_accuracy=accuracy(probabilities, self._held_out.classes),
            learning_rate=self._learning_rate,
        )

    def _change_learning_rate(self, parameters: Mapping[str, str]) -> str:
        rate = float(parameters["learning_rate"])
        if not 0 < rate < 1:
            raise ValueError("learning_rate must be between 0 and 1")
        self._learning_rate = rate
        return f"learning rate is {rate:g} now"
