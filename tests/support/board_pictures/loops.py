"""The training loops of the scene that boards are drawn from; run as a script it is one of them."""

import math
import os
import sys
import threading
import time

import numpy as np
from support.fake_nvml import Card, FakeNvml

CARDS = FakeNvml(
    Card("GPU-1", used_mb=52_000, total_mb=81_920), Card("GPU-2", used_mb=51_000, total_mb=81_920)
)
sys.modules["pynvml"] = CARDS  # before the SDK looks for it

from bridge.client import TrainingSession  # noqa: E402
from bridge.demo.digits import CLASS_NAMES  # noqa: E402
from bridge.demo.training import BATCH_SIZE, DemoOptions, Training  # noqa: E402

FOREVER = 10_000

HANG_STEPS = 600

EPOCHS = 150

MISHAP_EPOCHS = 18
"""A multiple of the demo's own; an epoch takes three seconds."""

TOKENS = 32_768


def busy_cards() -> None:
    """Have the cards go up and down as those of a real run do."""
    for second in range(FOREVER):
        for place, card in enumerate(CARDS.cards):
            card.utilization = int(88 + 8 * math.sin(second / 7 + place))
            card.temperature = int(66 + 6 * math.sin(second / 40 + place))
            card.milliwatts = int(520_000 + 90_000 * math.sin(second / 11 + place))
        CARDS.cards[1].throttle_bits = 0x20 if second % 90 > 70 else 0
        time.sleep(1)


class Careful(Training):
    """The demo's training, with a mishap about once a minute."""

    def _labels(self, digits, epoch, batch):
        return super()._labels(digits, 1 if epoch % MISHAP_EPOCHS else epoch, batch)


def digits(address: str, session_id: str, rate: float) -> None:
    """Train a real classifier."""
    training = Careful(DemoOptions(epochs=EPOCHS, learning_rate=rate, seed=len(session_id)))
    with TrainingSession(
        address,
        session_id=session_id,
        model="digits-mlp",
        dataset="digits",
        epochs=EPOCHS,
        batches_per_epoch=training.batches_per_epoch,
        batch_size=BATCH_SIZE,
        class_names=CLASS_NAMES,
        gpus="all",
        labels={"team": "vision"},
        config={"learning_rate": rate, "dropout": 0.3},
    ) as session:

        def progress(_epoch: int, loss: float) -> None:
            session.log_scalars(
                {"gradient_norm": 0.4 + loss * 0.9, "mfu": 0.41 + 0.02 * math.sin(loss)}
            )
            session.log_scalars({"regularization": 0.02 + loss / 50}, split="train")

        training.run(session, progress)


def language(address: str, session_id: str, *, hang: bool = False, rank: int = 0) -> None:
    """Count by steps and tokens; one that hangs waits for a rank that never comes."""
    random = np.random.default_rng(rank)
    with TrainingSession(
        address,
        session_id=session_id,
        model="gpt-small",
        dataset="books",
        steps=20_000,
        ranks="all" if "RANK" in os.environ else "zero",
        gpus="all",
    ) as session:
        for step in range(FOREVER):
            with session.phase("data"):
                time.sleep(0.01 + 0.03 * random.random())
            time.sleep(0.12 + 0.04 * rank)
            loss = 2.1 + 6 * math.exp(-step / 900) + 0.05 * random.standard_normal()
            loss = math.nan if step == 900 else loss
            session.log_batch(loss, step=step, tokens=TOKENS)
            session.log_scalars({"gradient_norm": 1 + random.random(), "learning_rate": 3e-4})
            if step % 300 == 299:
                with session.phase("checkpoint"):
                    time.sleep(2)
                session.event("checkpoint", f"step {step}")
            if hang and step == HANG_STEPS:
                threading.Barrier(2).wait()


LOOPS = {
    "vision": lambda address: digits(address, "digits-base", 0.02),
    "vision-fast": lambda address: digits(address, "digits-fast", 0.05),
    "language": lambda address: language(
        address, "gpt-small", rank=int(os.environ.get("RANK", "0"))
    ),
    "hanging": lambda address: language(address, "gpt-hangs", hang=True),
}


def main() -> None:
    """Train as the words say: which loop, and the address of its bridge."""
    threading.Thread(target=busy_cards, daemon=True).start()
    LOOPS[sys.argv[1]](sys.argv[2])


if __name__ == "__main__":
    main()
