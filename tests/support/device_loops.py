"""Training loops that never wait for their device, and what a loop that does would have read."""

import io

import numpy as np
import torch
from PIL import Image

STEPS = 100
SAMPLES = 4
CLASSES = 10
SIDE = 32

BUSY_SIDE = {"cpu": 16, "cuda": 2048}
"""Of the matrices that keep a device busy: about half a millisecond a product on a card."""


class Busy:
    """Work that a device needs longer for than the loop takes to give it, so the loop is far ahead."""

    def __init__(self, device):
        self._zeros = torch.zeros(BUSY_SIDE[device], BUSY_SIDE[device], device=device)

    def zero(self):
        """Return a 0 that is there when the work is done."""
        result = self._zeros
        for _ in range(4):
            result = result @ self._zeros
        return result.sum()


class Buffers:
    """What a step computes: every value says of which step it is."""

    def __init__(self, device, *, dtype=torch.float32):
        self.busy = Busy(device)
        self.loss = torch.zeros((), device=device, dtype=dtype)
        self.images = torch.zeros(SAMPLES, 3, SIDE, SIDE, device=device, dtype=torch.uint8)
        self.logits = torch.zeros(SAMPLES, CLASSES, device=device, dtype=dtype)
        self.labels = torch.zeros(SAMPLES, device=device, dtype=torch.int64)

    def fill(self, step):
        """Overwrite all of them, when the device comes to it."""
        late = self.busy.zero()
        self.loss.copy_(late + loss_of(step))
        self.images.copy_((late + shade_of(step)).expand_as(self.images))
        self.logits.zero_()
        self.logits[:, class_of(step)] = 5
        self.labels.fill_(class_of(step))

    def copies(self):
        """Return fresh tensors with the same content, by the names that log_batch has for them."""
        return {name: tensor.clone() for name, tensor in self.arguments().items()}

    def arguments(self):
        """Return the buffers themselves, by the same names."""
        return {
            "loss": self.loss,
            "images": self.images,
            "predictions": self.logits,
            "ground_truth": self.labels,
        }


def loss_of(step):
    """Return the loss of a step; a half-precision number."""
    return float(step) / 4


def shade_of(step):
    """Return how light the pictures of a step are."""
    return 2 * step + 20


def class_of(step):
    """Return what a step's samples are, and are taken for."""
    return step % CLASSES


def log(session, step, loss, **more):
    """Log one step."""
    session.log_batch(loss, epoch=0, batch=step, **more)


def mean_of(jpeg):
    """Return the mean of all pixels of a file."""
    return float(np.asarray(Image.open(io.BytesIO(jpeg))).mean())


def check_losses(bridge, expected):
    """Assert that every loss is that of its step."""
    assert [batch.batch for batch in bridge.batches] == list(range(len(expected)))
    assert [batch.loss for batch in bridge.batches] == expected


def check_pictures(batch, step):
    """Assert that all pictures of a batch are those of a step."""
    means = [mean_of(jpeg) for jpeg in batch.images]
    assert len(means) == SAMPLES
    assert all(abs(mean - shade_of(step)) <= 2 for mean in means), (step, means)


def check_classes(batch, step):
    """Assert that predictions and labels of a batch are those of a step."""
    assert [class_ for class_, _ in batch.predictions] == [class_of(step)] * SAMPLES
    assert list(batch.ground_truth) == [class_of(step)] * SAMPLES


def check(bridge, session, steps=STEPS):
    """Assert that everything is as a loop that waits for each step would have read it."""
    check_losses(bridge, [loss_of(step) for step in range(steps)])
    for step, batch in enumerate(bridge.batches):
        check_pictures(batch, step)
        check_classes(batch, step)
    assert session.stats.left_out == {}
