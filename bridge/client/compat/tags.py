"""What the tags of other trackers mean: the name of a number, its split, and whether it is the loss of a step."""

import re
from functools import lru_cache
from typing import NamedTuple

from bridge.client.split_names import SPLITS

SPLIT_PREFIX = re.compile(r"(train|val|valid|validation|eval|test)[_ ]+(?=.)", re.IGNORECASE)
"""A first word that stands for a split without a slash: train_loss, "Val Accuracy"."""

LOSS_NAMES = frozenset(
    ["loss", "training_loss", "running_loss", "batch_loss", "step_loss", "loss_step", "total_loss"]
)
"""Names of numbers that are the loss of a training step, where their split is train or none."""

OWN_SERIES = {
    "lr": "learning_rate",
    "learning_rate": "learning_rate",
    "grad_norm": "gradient_norm",
    "gradient_norm": "gradient_norm",
    "mfu": "mfu_reported",
}
"""Names that a bridge has series of its own for. What scripts call mfu may be a percentage: it keeps apart."""


CACHED = 1024
"""Tags whose meaning is kept: scripts write the same ones again at each step."""


class Tag(NamedTuple):
    """What a tag means."""

    name: str
    split: str = ""
    """train, validation or test; "": the tag does not say."""

    @property
    def is_loss(self) -> bool:
        """Whether this is what scripts call the loss of a training step."""
        return self.split in ("", "train") and _plain(self.name) in LOSS_NAMES


def read_tag(tag: object, split: str = "") -> Tag:
    """Return what a tag means; `split` is that of numbers whose tag does not say.

    The first or the last part between slashes may be the split, or else the first word: Loss/train,
    train/loss, train_loss.
    """
    return _read(str(tag), split)


@lru_cache(CACHED)
def _read(tag: str, split: str) -> Tag:
    text = tag.strip("/ ") or tag
    parts = text.split("/")
    for place in (0, -1):
        word = SPLITS.get(parts[place].strip().lower())
        if word and len(parts) > 1:
            del parts[place]
            return _tag("/".join(parts), word)
    if len(parts) == 1 and (prefix := SPLIT_PREFIX.match(text)):
        return _tag(text[prefix.end() :], SPLITS[prefix[1].lower()])
    return _tag(text, split)


def split_of(folder: str) -> str:
    """Return the split that the name of a folder stands for; "": none."""
    return SPLITS.get(folder.strip().lower(), "")


def _tag(name: str, split: str) -> Tag:
    own = OWN_SERIES.get(_plain(name.rpartition("/")[2]))
    return Tag(own, "") if own else Tag(name, split)


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())
