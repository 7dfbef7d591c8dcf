"""What the names under which frameworks log numbers say about them."""

import re
from collections.abc import Mapping
from typing import Any

from bridge.client.split_names import SPLITS

SEPARATORS = "/_-."

EPOCH_NUMBERS = {
    ("train", "loss"): "loss",
    ("", "loss"): "loss",
    ("train", "accuracy"): "accuracy",
    ("", "accuracy"): "accuracy",
    ("validation", "loss"): "validation_loss",
    ("validation", "accuracy"): "validation_accuracy",
}
"""Arguments of log_epoch, by split and short name."""

SHORT = {"acc": "accuracy"}

GRADIENT_NORM = re.compile(r"grad_[^_/]+_norm_total")
"""The norm of all gradients, as Lightning's grad_norm names it."""


def split_of(name: str) -> tuple[str, str]:
    """Return the split that a name means, or "", and the name without it: `val_loss` is (validation, loss)."""
    for prefix, split in SPLITS.items():
        rest = name[len(prefix) :]
        if name.lower().startswith(prefix) and len(rest) > 1 and rest[0] in SEPARATORS:
            return split, rest[1:]
    return "", name


def by_split(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return numbers by the split that their names mean, and by the names without it."""
    splits: dict[str, dict[str, Any]] = {}
    for name, value in metrics.items():
        split, short = split_of(name)
        common_name = "grad_norm" if GRADIENT_NORM.fullmatch(short) else short
        splits.setdefault(split, {})[common_name] = value
    return splits


def is_of_step(name: str) -> bool:
    """Return whether a number is of one step: Lightning says so where there is one of the epoch beside it."""
    return name.endswith("_step")


def epoch_numbers(metrics: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what log_epoch takes of the numbers of an epoch, by argument, and the others by name."""
    numbers: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, value in metrics.items():
        argument = EPOCH_NUMBERS.get(_meaning(name))
        if argument is None or is_of_step(name) or f"{name}_epoch" in metrics:
            others[name] = value
        elif argument not in numbers:
            numbers[argument] = value
        else:
            others[name] = value
    return numbers, others


def _meaning(name: str) -> tuple[str, str]:
    split, short = split_of(name.removesuffix("_epoch"))
    return split, SHORT.get(short.lower(), short.lower())
