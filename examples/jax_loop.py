"""A JAX training loop that reports to a bridge.

Start a bridge with `trainbridge serve`, then:  python examples/jax_loop.py
Needs, in a checkout of trainbridge: pip install '.[images,system,gpu]' jax optax
"""

import argparse
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bridge.client import TrainingSession

Parameters = dict[str, jax.Array]
CLASSES = 10
SIZE = 12


def pictures(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy pictures (N, 12, 12, 1) with values 0..1, of bars at ten heights, and which height each has (N,)."""
    generator = np.random.default_rng(seed)
    images = generator.random((count, SIZE, SIZE, 1), dtype=np.float32) * 0.6
    labels = generator.integers(0, CLASSES, count)
    images[np.arange(count), labels] += 0.4
    return images, labels


def batches(images: np.ndarray, labels: np.ndarray, size: int) -> Iterator[tuple[Any, Any]]:
    """Yield whole batches in a new order."""
    order = np.random.default_rng().permutation(len(images))
    for at in range(0, len(images) - size + 1, size):
        chosen = order[at : at + size]
        yield images[chosen], labels[chosen]


def logits_of(parameters: Parameters, images: jax.Array) -> jax.Array:
    """Return the logits (N, 10) of a network of two layers."""
    hidden = jax.nn.relu(images.reshape(len(images), -1) @ parameters["first"])
    return hidden @ parameters["second"]


# Rates that are part of the state may be changed while the loop runs.
OPTIMIZER = optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)


@functools.partial(jax.jit, donate_argnums=(0, 1))
def train_step(
    parameters: Parameters, state: Any, images: jax.Array, labels: jax.Array
) -> tuple[Parameters, Any, jax.Array, jax.Array]:
    """Return the next parameters and state, and loss and logits of this batch."""

    def loss_of(given: Parameters) -> tuple[jax.Array, jax.Array]:
        logits = logits_of(given, images)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return jnp.mean(losses), logits

    (loss, logits), gradients = jax.value_and_grad(loss_of, has_aux=True)(parameters)
    updates, state = OPTIMIZER.update(gradients, state, parameters)
    return optax.apply_updates(parameters, updates), state, loss, logits


def train(session: TrainingSession, epochs: int) -> None:
    """Train; arrays are passed as they are, and no call waits for the device."""
    first, second = jax.random.split(jax.random.key(0))
    parameters: Parameters = {
        "first": jax.random.normal(first, (SIZE * SIZE, 64)) * 0.1,
        "second": jax.random.normal(second, (64, CLASSES)) * 0.1,
    }
    state = OPTIMIZER.init(parameters)
    images, labels = pictures(0, 2_000)
    seen, truth = pictures(1, 200)

    def change_rate(rate: float) -> None:
        state.hyperparams["learning_rate"] = jnp.asarray(rate)

    session.controls(lr=change_rate)
    for epoch in range(epochs):
        for index, (inputs, targets) in enumerate(batches(images, labels, 50)):
            parameters, state, loss, logits = train_step(parameters, state, inputs, targets)
            session.log_batch(
                loss,
                epoch=epoch,
                batch=index,
                images=inputs,
                predictions=logits,
                ground_truth=targets,
            )
            if session.agree_to_stop():
                return
        with session.phase("validation"):
            guesses = jnp.argmax(logits_of(parameters, seen), axis=1)
            accuracy = float(jnp.mean(guesses == truth))
        session.log_epoch(
            epoch,
            loss=loss,
            validation_accuracy=accuracy,
            learning_rate=state.hyperparams["learning_rate"],
        )


def main() -> None:
    """Train, and say what has arrived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="localhost:50051", help="host:port of the bridge")
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    with TrainingSession(
        options.address, model="two-layers", dataset="bars", epochs=options.epochs, batch_size=50
    ) as session:
        train(session, options.epochs)
    stats = session.stats
    print(
        f"{session.session_id}: {stats.batches_acknowledged} of {stats.batches} batches acknowledged"
    )


if __name__ == "__main__":
    main()
