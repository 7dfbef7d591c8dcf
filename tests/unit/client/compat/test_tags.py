"""What the tags of other trackers mean."""

import pytest

from bridge.client.compat.tags import read_tag


@pytest.mark.parametrize(
    ("tag", "name", "split", "is_loss"),
    [
        ("loss", "loss", "", True),
        ("Loss/train", "Loss", "train", True),
        ("train/loss", "loss", "train", True),
        ("train_loss", "loss", "train", True),
        ("Train Loss", "Loss", "train", True),
        ("training loss", "training loss", "", True),
        ("Loss/val", "Loss", "validation", False),
        ("eval/loss", "loss", "validation", False),
        ("val_acc", "acc", "validation", False),
        ("test/f1", "f1", "test", False),
        ("losses/value_loss", "losses/value_loss", "", False),
        ("charts/episodic_return", "charts/episodic_return", "", False),
        ("train/lr", "learning_rate", "", False),
        ("train/grad_norm", "gradient_norm", "", False),
        ("mfu", "mfu_reported", "", False),
        ("train", "train", "", False),
        ("testimony", "testimony", "", False),
        ("/", "/", "", False),
    ],
)
def test_a_tag(tag, name, split, is_loss):
    """Its name, its split, and whether it is the loss of a step."""
    read = read_tag(tag)
    assert (read.name, read.split, read.is_loss) == (name, split, is_loss)


def test_what_a_tag_does_not_say():
    """Is what its writer is for."""
    assert read_tag("loss", "validation").is_loss is False
    assert read_tag("train/loss", "validation").split == "train"
