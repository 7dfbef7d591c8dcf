"""A NumPy training loop that reports to a bridge.

Start a bridge with `trainbridge serve`, then:  python examples/numpy_loop.py
Needs, in a checkout of trainbridge: pip install '.[images,system]' numpy
"""

import argparse

import numpy as np

from bridge.client import TrainingSession

CLASSES = ("left", "right", "top", "bottom")
SIDE = 32


def make_batch(random: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures (N, 32, 32) with one brighter side, and which side that is (N,)."""
    truths = random.integers(0, len(CLASSES), size)
    images = random.integers(0, 160, (size, SIDE, SIDE), dtype=np.uint8)
    half = SIDE // 2
    sides = (np.s_[:, :half], np.s_[:, half:], np.s_[:half, :], np.s_[half:, :])
    for image, truth in zip(images, truths, strict=True):
        image[sides[truth]] += 60
    return images, truths


def train(session: TrainingSession, *, epochs: int, batches: int, size: int = 64) -> None:
    """Train a linear classifier; the lines with `session` are all that reports to the bridge."""
    random = np.random.default_rng(0)
    weights = np.zeros((SIDE * SIDE, len(CLASSES)))
    rate = 0.02

    def change_rate(to: float) -> None:
        nonlocal rate
        rate = to

    session.controls(lr=change_rate)
    for epoch in range(epochs):
        losses, hits = [], []
        for batch in range(batches):
            images, truths = make_batch(random, size)
            inputs = images.reshape(size, -1) / 255 - 0.5
            scores = inputs @ weights
            exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
            probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
            loss = -np.log(probabilities[np.arange(size), truths]).mean()
            weights -= rate * inputs.T @ (probabilities - np.eye(len(CLASSES))[truths]) / size
            losses.append(loss)
            hits.append((probabilities.argmax(axis=1) == truths).mean())
            session.log_batch(
                loss,
                epoch=epoch,
                batch=batch,
                images=images,
                predictions=probabilities,
                ground_truth=truths,
            )
            session.wait_while_paused()
            if session.should_stop:
                return
        session.log_epoch(epoch, loss=np.mean(losses), accuracy=np.mean(hits), learning_rate=rate)


def main() -> None:
    """Train, and report to a bridge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", help="else TRAINBRIDGE_ADDRESS, else 127.0.0.1:50051")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batches", type=int, default=200)
    arguments = parser.parse_args()
    with TrainingSession(
        arguments.address,
        model="linear",
        dataset="bright sides",
        epochs=arguments.epochs,
        batches_per_epoch=arguments.batches,
        class_names=CLASSES,
    ) as session:
        train(session, epochs=arguments.epochs, batches=arguments.batches)
    stats = session.stats
    print(
        f"{session.session_id}: {stats.batches_acknowledged} of {stats.batches} batches acknowledged"
    )


if __name__ == "__main__":
    main()
