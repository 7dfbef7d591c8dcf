"""Reads what a session's constructor is given: what only describes the run never keeps it from training.

Such an argument is left out where it cannot be used, counted and logged once, or raised in strict mode.
One that decides where the session goes and how it works is refused with ValueError.
"""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, islice, takewhile
from typing import Any, TypeVar

from bridge.client.capture.reading import UINT32_MAX
from bridge.client.encoding.encoder import text
from bridge.client.encoding.isolation import fault_from
from bridge.client.encoding.scalars import number_of
from bridge.client.identity import ResumePoint, RunConfig
from bridge.client.left_out import LeftOut, Reason

T = TypeVar("T")

MAX_NAMES = 10_000
NAME_CHARACTERS = 256
ALL_NAMES_CHARACTERS = 256 * 1024
MAX_LABELS = 62
"""A bridge takes 64; two are the SDK's own, where each rank reports."""

LABEL_CHARACTERS = 256
LARGEST_BYTES = 1 << 50
LARGEST_STEP = 1 << 53
"""The last number before which all are exact in double precision."""


def resume_point(account: LeftOut, place: Any, step: Any) -> ResumePoint | None:
    """Return where a run goes on; what cannot be used is left out, into `account`."""
    nowhere: tuple[int | None, int | None] = (None, None)
    epoch, batch = read_argument(account, "resume_from", place, _place_of, nowhere)
    number = None
    if step is not None:
        number = read_argument(account, "resume_step", step, step_of, None)
    point = ResumePoint(epoch, batch, number)
    return None if point == ResumePoint() else point


def run_config(
    account: LeftOut,
    *,
    model: Any,
    dataset: Any,
    epochs: Any,
    batches_per_epoch: Any,
    batch_size: Any,
    class_names: Any,
    steps: Any = None,
) -> RunConfig:
    """Return the description of a run; what cannot be used is left out, into `account`.

    A run that is counted by steps is one epoch of that many batches, for every bridge.
    """

    def read(what: str, value: Any, reader: Callable[[Any], T], nothing: T) -> T:
        return read_argument(account, what, value, reader, nothing)

    nameless: tuple[str, ...] = ()
    names = read("class_names", class_names, _names, nameless)
    sent = _fitting(names)
    if len(sent) < len(names):
        error = ValueError(f"too many or too long: only the first {len(sent)} are sent")
        account.add("class_names", Reason.UNREADABLE, error=error)
    length = (
        read("epochs", epochs, count_of, 0),
        read("batches_per_epoch", batches_per_epoch, count_of, 0),
    )
    planned = read("steps", steps, count_of, 0)
    if planned and any(length):
        error = ValueError(
            "epochs are given as well; give steps where a run is counted by them alone"
        )
        account.add("steps", Reason.UNREADABLE, error=error)
    elif planned:
        length = (1, planned)
    return RunConfig(
        read("model", model, text_of, ""),
        read("dataset", dataset, text_of, ""),
        *length,
        read("batch_size", batch_size, count_of, 0),
        sent,
    )


def read_argument(
    account: LeftOut, what: str, value: Any, reader: Callable[[Any], T], nothing: T
) -> T:
    """Return what `reader` makes of a value; `nothing` for None, and for what it cannot use, which is counted."""
    if value is None:
        return nothing
    try:
        return reader(value)
    except BaseException as error:  # noqa: BLE001 -- anything may be given
        account.add(what, Reason.UNREADABLE, error=fault_from(error))
    return nothing


def step_of(value: Any) -> int:
    """Return the number of a training step. Raises ValueError."""
    return count_of(value, limit=LARGEST_STEP)


def _place_of(value: Any) -> tuple[int, int]:
    """Return epoch and batch. Raises ValueError."""
    try:
        epoch, batch = value
    except (TypeError, ValueError):
        raise ValueError(
            "give (epoch, batch), where the run goes on, or resume_step for a run that is counted by steps"
        ) from None
    return count_of(epoch), count_of(batch)


def client_text(account: LeftOut, what: str, value: Any, default: str) -> str:
    """Return the name or the version of a client; the default where none can be used."""
    return read_argument(account, what, value, text_of, default) or default


def labels_of(account: LeftOut, labels: Any) -> dict[str, str]:
    """Return labels as text; those that cannot be used, and those that are too many, are left out."""
    without: list[tuple[Any, Any]] = []
    pairs = read_argument(account, "labels", labels, _pairs, without)
    read: dict[str, str] = {}
    for name, value in pairs[:MAX_LABELS]:
        key = read_argument(account, "labels", name, _label_text, "")
        if key and value is None:
            error = ValueError("None is not text; leave the label out")
            account.add(f"labels[{key[:64]!r}]", Reason.UNREADABLE, error=error)
        elif key and (
            given := read_argument(account, f"labels[{key[:64]!r}]", value, _label_text, "")
        ):
            read[key] = given
    if len(pairs) > MAX_LABELS:
        error = ValueError(f"more than {MAX_LABELS} labels: only the first are sent")
        account.add("labels", Reason.UNREADABLE, error=error)
    return read


def text_of(value: Any) -> str:
    """Return text or a path as text. Raises ValueError for anything else."""
    if not isinstance(value, str | os.PathLike):
        raise ValueError(f"a {type(value).__name__} is not text; give its name")
    return text(os.fspath(value))


def count_of(value: Any, *, limit: int = UINT32_MAX) -> int:
    """Return a number of things. Raises ValueError for what is not whole, negative or above the limit."""
    number = number_of(value)
    if not number.is_integer():
        raise ValueError(f"{number:g} is not a whole number; leave it out where it is not known")
    if not 0 <= number <= limit:
        raise ValueError(f"{number:g} is not a number from 0 to {limit}")
    return int(number)


def seconds_of(value: Any) -> float:
    """Return a timeout, which is no less than 0. Raises ValueError for what is not a number."""
    number = number_of(value)
    if math.isnan(number):
        raise ValueError("nan is not a number of seconds")
    return max(0.0, number)


def bytes_of(what: str, value: Any, default: int) -> int:
    """Return a size in bytes that decides how a session works; None: the default. Raises ValueError."""
    try:
        return default if value is None else count_of(value, limit=LARGEST_BYTES)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None


def duration_of(what: str, value: Any, default: float) -> float:
    """Return how many seconds something may take; None: the default. Raises ValueError."""
    try:
        return default if value is None else seconds_of(value)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None


def _names(given: Any) -> tuple[str, ...]:
    """Return names by class: of an iterable, or of a mapping from class to name or from name to class."""
    if isinstance(given, str | bytes):
        raise ValueError(f"the text {given[:32]!r} is one name; give a list of names")
    if isinstance(given, set | frozenset):
        raise ValueError(
            "a set has no order of its own; give a list whose item i is the name of class i"
        )
    if isinstance(given, Mapping):
        return tuple(map(_name, _by_class(given)))
    if not isinstance(given, Iterable):
        raise ValueError(f"a {type(given).__name__} is not a list of names")
    return tuple(map(_name, islice(given, MAX_NAMES + 1)))


def _fitting(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return as many of the first names as a bridge takes."""
    ends = accumulate(map(len, names[:MAX_NAMES]))
    return names[: sum(1 for _ in takewhile(lambda end: end <= ALL_NAMES_CHARACTERS, ends))]


def _by_class(given: Mapping[Any, Any]) -> Sequence[Any]:
    """Return the names of {class: name}, or of {name: class}, by class."""
    pairs = list(islice(given.items(), MAX_NAMES + 1))
    if pairs and all(type(name) is str and not _is_number(name) for name, _ in pairs):
        pairs = [(class_, name) for name, class_ in pairs]
    by_class = {
        count_of(int(key) if type(key) is str and _is_number(key) else key): name
        for key, name in pairs
    }
    if sorted(by_class) != list(range(len(pairs))):
        raise ValueError(
            f"the classes of a dictionary have to be 0 to {max(0, len(pairs) - 1)}, each once"
        )
    return [by_class[class_] for class_ in range(len(pairs))]


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _name(value: Any) -> str:
    if type(value) is int:
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"a {type(value).__name__} is not a name; give text")
    return text(value)[:NAME_CHARACTERS]


def _pairs(labels: Any) -> list[tuple[Any, Any]]:
    if isinstance(labels, str | bytes):
        raise ValueError("one text is not a set of labels; give a dictionary of text")
    given = labels.items() if isinstance(labels, Mapping) else labels
    return [(name, value) for name, value in islice(given, MAX_LABELS + 1)]


def _label_text(value: Any) -> str:
    """Return a label as text: a number says as much as its digits."""
    if isinstance(value, bool | int | float):
        return str(value)
    label = text_of(value)
    if len(label) > LABEL_CHARACTERS:
        raise ValueError(f"{len(label)} characters are more than the {LABEL_CHARACTERS} of a label")
    return label
