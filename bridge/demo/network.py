"""A small classifier that learns by stochastic gradient descent."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Classes = NDArray[np.int64]

MOMENTUM = 0.9


class Network:
    """Two layers: (N, inputs) -> rectified (N, hidden) -> probabilities (N, classes)."""

    def __init__(
        self,
        random: np.random.Generator,
        *,
        inputs: int,
        hidden: int,
        classes: int,
        dropout: float = 0.0,
    ) -> None:
        """Start with small random weights; `dropout` of the hidden units are left out of each step."""
        self._random = random
        self._kept = 1 - dropout
        self._weights = [
            random.normal(0, np.sqrt(2 / inputs), (inputs, hidden)),
            np.zeros(hidden),
            random.normal(0, np.sqrt(2 / hidden), (hidden, classes)),
            np.zeros(classes),
        ]
        self._velocities = [np.zeros_like(weight) for weight in self._weights]

    def probabilities(self, inputs: Floats) -> Floats:
        """Return the probability of each class, one row per input."""
        return self._forward(inputs)[1]

    def step(self, inputs: Floats, truths: Classes, learning_rate: float) -> tuple[float, Floats]:
        """Learn from one batch; return its mean cross-entropy and the probabilities before the step."""
        kept = (self._random.random(len(self._weights[1])) < self._kept) / self._kept
        hidden, probabilities = self._forward(inputs, kept)
        gradients = self._gradients(inputs, hidden, probabilities, truths, kept)
        self._velocities = [
            MOMENTUM * velocity - learning_rate * gradient
            for velocity, gradient in zip(self._velocities, gradients, strict=True)
        ]
        self._weights = [
            weight + velocity
            for weight, velocity in zip(self._weights, self._velocities, strict=True)
        ]
        return cross_entropy(probabilities, truths), probabilities

    def _forward(self, inputs: Floats, kept: Floats | float = 1.0) -> tuple[Floats, Floats]:
        """Return hidden units, each by how much of it is kept, and probabilities."""
        first, first_bias, second, second_bias = self._weights
        hidden = np.maximum(inputs @ first + first_bias, 0) * kept
        scores = hidden @ second + second_bias
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return hidden, powers / powers.sum(axis=1, keepdims=True)

    def _gradients(
        self,
        inputs: Floats,
        hidden: Floats,
        probabilities: Floats,
        truths: Classes,
        kept: Floats | float = 1.0,
    ) -> tuple[Floats, Floats, Floats, Floats]:
        error = probabilities.copy()
        error[np.arange(len(truths)), truths] -= 1
        error /= len(truths)
        back = (error @ self._weights[2].T) * (hidden > 0) * kept
        return inputs.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)


def cross_entropy(probabilities: Floats, truths: Classes) -> float:
    """Return the mean of -log p(truth)."""
    return float(-np.log(probabilities[np.arange(len(truths)), truths] + 1e-12).mean())


def accuracy(probabilities: Floats, truths: Classes) -> float:
    """Return the fraction of inputs whose likeliest class is the true one, 0..1."""
    return float((probabilities.argmax(axis=1) == truths).mean())
