"""Each argument of the SDK: what it may be, and what becomes of anything else."""

import inspect
import itertools
import logging
import math
from pathlib import Path

import numpy as np
import pytest

from bridge.client import CommandType, Status, TrainingSession
from bridge.client.arguments import MAX_LABELS
from bridge.client.testing import RecordingBridge


class Model:
    """What somebody may give in place of a name."""


class Unspeakable:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name):
        raise RuntimeError(name)


class Speechless:
    """Has no text."""

    def __str__(self):
        raise RuntimeError("no text")


def letters():
    """Yield names, as a generator does."""
    yield from ("cat", "dog")


ACCEPTED = [
    ("model", None, ""),
    ("model", "resnet18", "resnet18"),
    ("model", Path("nets/resnet18"), "nets/resnet18"),
    ("model", np.str_("resnet18"), "resnet18"),
    ("dataset", None, ""),
    ("dataset", Path("/data/cifar10"), "/data/cifar10"),
    ("epochs", None, 0),
    ("epochs", 90, 90),
    ("epochs", 90.0, 90),
    ("epochs", np.int64(90), 90),
    ("batches_per_epoch", None, 0),
    ("batches_per_epoch", np.array(12), 12),
    ("steps", None, (0, 0)),
    ("steps", 5_000, (1, 5_000)),
    ("steps", np.int64(5_000), (1, 5_000)),
    ("resume_from", None, None),
    ("resume_from", (3, 120), (3, 120, None)),
    ("resume_from", [np.int64(3), 0.0], (3, 0, None)),
    ("resume_step", None, None),
    ("resume_step", 5_000_000_000, (None, None, 5_000_000_000)),
    ("batch_size", None, 0),
    ("batch_size", 2**32 - 1, 2**32 - 1),
    ("config", None, {}),
    ("config", {"optimizer": {"rate": 0.1}}, {"optimizer.rate": 0.1}),
    ("class_names", None, ()),
    ("class_names", (), ()),
    ("class_names", ["cat", "dog"], ("cat", "dog")),
    ("class_names", letters(), ("cat", "dog")),
    ("class_names", np.array(["cat", "dog"]), ("cat", "dog")),
    ("class_names", range(3), ("0", "1", "2")),
    ("class_names", {1: "dog", 0: "cat"}, ("cat", "dog")),
    ("class_names", {"1": "dog", "0": "cat"}, ("cat", "dog")),
    ("class_names", {"dog": 1, "cat": 0}, ("cat", "dog")),
    ("class_names", {"cat": 0, "dog": 1}.keys(), ("cat", "dog")),
    ("class_names", {}, ()),
]
"""Argument, value, and what the bridge receives; as the table in docs/sdk.md."""

LEFT_OUT = [
    ("resume_from", 3, "resume_from: ValueError: give (epoch, batch)", None),
    ("resume_from", (3,), "resume_from: ValueError: give (epoch, batch)", None),
    ("resume_from", (3, -1), "resume_from: ValueError: -1 is not a number from 0", None),
    ("resume_step", 2.5, "resume_step: ValueError: 2.5 is not a whole number", None),
    ("resume_step", -1, "resume_step: ValueError: -1 is not a number from 0", None),
    ("model", Model(), "model: ValueError: a Model is not text; give its name", ""),
    ("model", 18, "a int is not text", ""),
    ("model", b"resnet", "a bytes is not text", ""),
    ("model", Unspeakable(), "model: RuntimeError", ""),
    ("dataset", ["train"], "dataset: ValueError: a list is not text", ""),
    ("epochs", -1, "epochs: ValueError: -1 is not a number from 0", 0),
    ("epochs", 2.5, "epochs: ValueError: 2.5 is not a whole number", 0),
    ("epochs", math.inf, "inf is not a whole number", 0),
    ("epochs", math.nan, "nan is not a whole number", 0),
    ("epochs", "90", "the text '90' is not a number", 0),
    ("epochs", [90], "a list is not a number", 0),
    ("epochs", 2**32, "is not a number from 0", 0),
    ("epochs", 10**400, "a number too large", 0),
    ("epochs", Unspeakable(), "epochs: RuntimeError", 0),
    ("batches_per_epoch", np.zeros(3), "an array of shape (3,)", 0),
    ("batch_size", -64, "batch_size: ValueError", 0),
    ("steps", -1, "steps: ValueError: -1 is not a number from 0", (0, 0)),
    ("steps", 2.5, "2.5 is not a whole number", (0, 0)),
    ("config", "rate=0.1", "a str is not a configuration; give a dictionary", {}),
    ("config", [("rate", 0.1)], "a list is not a configuration; give a dictionary", {}),
    ("config", Model, "a type is not a configuration", {}),
    ("config", np.zeros(3), "a ndarray is not a configuration", {}),
    ("config", Unspeakable(), "config: RuntimeError", {}),
    ("class_names", "cat", "the text 'cat' is one name; give a list of names", ()),
    ("class_names", 10, "a int is not a list of names", ()),
    ("class_names", {"cat", "dog"}, "a set has no order of its own", ()),
    ("class_names", [None], "a NoneType is not a name", ()),
    ("class_names", ["cat", Model()], "a Model is not a name", ()),
    ("class_names", {1: "cat", 2: "dog"}, "have to be 0 to 1, each once", ()),
    ("class_names", {"cat": 0, "dog": 0}, "have to be 0 to 1, each once", ()),
    ("class_names", {"a": "b"}, "the text 'b' is not a number", ()),
    (
        "class_names",
        itertools.count(),
        "only the first 10000 are sent",
        tuple(map(str, range(10_000))),
    ),
    ("class_names", ["x" * 300] * 2_000, "only the first 1024 are sent", ("x" * 256,) * 1_024),
]
"""Argument, value, what is logged once, and what the bridge receives instead."""

LABELS = [
    (None, {}, ""),
    ({}, {}, ""),
    ({"team": "vision"}, {"team": "vision"}, ""),
    ([("team", "vision")], {"team": "vision"}, ""),
    ({"seed": 7, "amp": True, "run": Path("a/b")}, {"seed": "7", "amp": "True", "run": "a/b"}, ""),
    ({1: "one"}, {"1": "one"}, ""),
    ({"team": None, "seed": 7}, {"seed": "7"}, "labels['team']: ValueError: None is not text"),
    ({"team": ["vision"]}, {}, "labels['team']: ValueError: a list is not text"),
    ({"team": "x" * 257}, {}, "257 characters are more than the 256 of a label"),
    ({("a",): "b"}, {}, "a tuple is not text"),
    ("team=vision", {}, "one text is not a set of labels"),
    (7, {}, "labels: TypeError"),
    (["team"], {}, "labels: ValueError"),
    (Unspeakable(), {}, "labels: RuntimeError"),
    (
        {f"l{n:06}": "x" for n in range(100_000)},
        {f"l{n:06}": "x" for n in range(MAX_LABELS)},
        "more than 62 labels",
    ),
]
"""Labels, what the bridge receives of them, and what is logged once."""

REFUSED = [
    ("session_id", "auto", "session_id='auto' needs a name that is the same after a restart"),
    ("address", 50051, "address: a int is not text"),
    ("address", "host:port", "address: "),
    ("address", RecordingBridge, "address: a type is not text"),
    ("session_id", "a b", "session_id: 'a b' is not up to 63 letters"),
    ("session_id", 7, "session_id: '7' is not"),
    ("session_id", "x" * 64, "session_id: "),
    ("session_id", "run\n", "session_id: "),
    ("buffer_bytes", "64", "buffer_bytes: the text '64' is not a number"),
    ("buffer_bytes", -1, "buffer_bytes: -1 is not a number from 0"),
    ("buffer_bytes", math.inf, "buffer_bytes: "),
    ("spool_dir", 7, "spool_dir: a int is not text"),
    ("spool_bytes", 5, "spool_bytes: '5' is not a number of at least"),
    ("close_seconds", "10", "close_seconds: the text '10' is not a number"),
    ("close_seconds", math.nan, "close_seconds: nan is not"),
    ("ranks", "one", "ranks: 'one' is not one of"),
    ("gpus", "some", "gpus: 'some' is not one of"),
    ("token", 7, "token: a int is not text"),
    ("token", "a\nb", "token: the argument token has a line break"),
    ("token_file", 7, "token_file: a int is not text"),
    ("ca_file", 7, "ca_file: a int is not text"),
    ("cert_file", 7, "cert_file: a int is not text"),
    ("key_file", 7, "key_file: a int is not text"),
]
"""Arguments that decide where the session goes and how it works: the constructor raises."""

FALLBACKS = [("client_name", Model()), ("client_version", 7)]
"""Arguments that have a value of their own in place of one that cannot be used."""


def session_of(bridge, **options):
    """Return a closed session, made with these options, and what it has in its account."""
    with TrainingSession(bridge, **options) as session:
        session.log_batch(0.5, epoch=0, batch=0)
    return session


def received(bridge, argument):
    """Return what the bridge has received of an argument."""
    config = bridge.identity.config
    if argument == "config":
        return bridge.config
    if argument == "steps":  # for every bridge, the batches of one epoch
        return config.epochs, config.batches_per_epoch
    if argument in ("resume_from", "resume_step"):
        return bridge.identity.resume_from
    return getattr(config, argument)


@pytest.mark.parametrize(("argument", "value", "expected"), ACCEPTED)
def test_what_an_argument_may_be(argument, value, expected):
    """None is not reported, everywhere; all others mean what the table says."""
    bridge = RecordingBridge()
    session = session_of(bridge, strict=True, **{argument: value})

    assert received(bridge, argument) == expected
    assert session.stats.faults == 0


@pytest.mark.parametrize("place", range(len(LEFT_OUT)))
def test_what_describes_a_run_and_cannot_be_used_is_left_out(place, caplog):
    """Training begins without it; it is counted and logged once, and raised in strict mode."""
    argument, value, words, expected = LEFT_OUT[place]  # pytest itself would ask the values things
    bridge = RecordingBridge()
    with caplog.at_level(logging.WARNING, "trainbridge"):
        session = session_of(bridge, **{argument: value})

    assert received(bridge, argument) == expected
    assert session.stats.faults == 1
    (sentence,) = (r.getMessage() for r in caplog.records if "left out" in r.getMessage())
    assert sentence.startswith(f"{argument} left out (unreadable)")
    assert words.removeprefix(f"{argument}: ") in sentence
    if type(value) is not itertools.count:
        with pytest.raises(ValueError, match=f"^{argument}: "):
            TrainingSession(RecordingBridge(), strict=True, **{argument: value})


@pytest.mark.parametrize("others", [{"epochs": 3}, {"batches_per_epoch": 10}])
def test_a_run_is_counted_by_epochs_or_by_steps(others, caplog):
    """Steps beside epochs are left out, which is said."""
    bridge = RecordingBridge()
    session = session_of(bridge, steps=500, **others)

    config = bridge.identity.config
    assert {"epochs": config.epochs, "batches_per_epoch": config.batches_per_epoch} == {
        "epochs": 0,
        "batches_per_epoch": 0,
    } | others
    assert session.stats.faults == 1
    assert "epochs are given as well" in caplog.text


@pytest.mark.parametrize("place", range(len(LABELS)))
def test_labels(place, caplog):
    """Text and numbers, as many as a bridge takes; the others are left out one by one."""
    labels, expected, words = LABELS[place]
    bridge = RecordingBridge()
    with caplog.at_level(logging.WARNING, "trainbridge"):
        session = session_of(bridge, labels=labels)

    assert dict(bridge.identity.labels) == expected
    assert session.stats.faults == (1 if words else 0)
    assert words.rpartition(": ")[2] in caplog.text
    if words:
        with pytest.raises(ValueError, match="labels"):
            TrainingSession(RecordingBridge(), strict=True, labels=labels)


@pytest.mark.parametrize(("argument", "value", "words"), REFUSED)
def test_what_decides_where_a_session_goes_is_refused(argument, value, words):
    """By its name, strict or not, before anything is started."""
    options = {"address": RecordingBridge()} | {argument: value}
    if argument in ("token", "token_file", "ca_file", "cert_file", "key_file"):
        options["address"] = ""
    for strict in (False, True):
        with pytest.raises(ValueError) as refusal:  # noqa: PT011 -- see below
            TrainingSession(strict=strict, **options)
        assert str(refusal.value).startswith(words)


@pytest.mark.parametrize(
    "argument",
    ["session_id", "spool_dir", "spool_bytes", "buffer_bytes", "close_seconds", "labels"],
)
def test_nothing_is_the_default(argument):
    """None is not given, for every argument that has a default."""
    assert session_of(RecordingBridge(), strict=True, **{argument: None}).stats.faults == 0


@pytest.mark.parametrize("place", range(len(FALLBACKS)))
def test_a_client_has_a_name(place):
    """One that cannot be used is the SDK's own."""
    argument, value = FALLBACKS[place]
    bridge = RecordingBridge()
    session = session_of(bridge, **{argument: value})

    assert (
        getattr(bridge.identity, argument)
        == inspect.signature(TrainingSession).parameters[argument].default
    )
    assert session.stats.faults == 1


CALLS = [
    ("log_batch", {"loss": "0.5"}, "loss", "the text '0.5' is not a number"),
    ("log_batch", {"epoch": -1}, "batches", "epoch: -1 is not a number from 0"),
    (
        "log_batch",
        {"epoch": None},
        "batches",
        "epoch: None is not a number; give epoch and batch, or neither of them",
    ),
    ("log_batch", {"batch": None}, "batches", "batch: None is not a number; give epoch and batch"),
    ("log_batch", {"step": -1}, "step", "-1 is not a number from 0"),
    ("log_batch", {"step": 2.5}, "step", "2.5 is not a whole number"),
    ("log_batch", {"step": "9"}, "step", "the text '9' is not a number"),
    ("log_batch", {"step": 2**63}, "step", "is not a number from 0"),
    (
        "log_batch",
        {"epoch": None, "batch": None, "step": -1},
        "batches",
        "step: -1 is not a number from 0",
    ),
    ("log_batch", {"tokens": -1}, "tokens", "-1 is not a number from 0"),
    ("log_batch", {"tokens": 0.5}, "tokens", "0.5 is not a whole number"),
    ("log_batch", {"tokens": "4k"}, "tokens", "the text '4k' is not a number"),
    ("log_batch", {"epoch": 2.5}, "batches", "2.5 is not a whole number"),
    ("log_batch", {"epoch": 2**32}, "batches", "epoch: 4294967296 is not a number from 0"),
    ("log_batch", {"batch": -1}, "batches", "batch: -1 is not a number from 0"),
    ("log_batch", {"batch": "0"}, "batches", "the text '0' is not a number"),
    ("log_batch", {"images": "cat.jpg"}, "images", ""),
    ("log_batch", {"predictions": "cat"}, "predictions", "a str is neither an array nor a list"),
    (
        "log_batch",
        {"predictions": letters()},
        "predictions",
        "a generator is neither an array nor a list",
    ),
    ("log_batch", {"ground_truth": ["cat"]}, "ground_truth", "give class numbers"),
    ("log_batch", {"sample_count": -1}, "sample_count", "-1 samples"),
    ("log_batch", {"sample_count": 2.5}, "sample_count", "2.5 is not a whole number"),
    ("log_epoch", {"epoch": -1}, "epochs", "epoch: -1 is not a number from 0"),
    ("log_epoch", {"loss": [1.0]}, "loss", "a list is not a number"),
    ("log_epoch", {"accuracy": 98.1}, "accuracy", "98.1 is not between 0 and 1; give 0.981"),
    ("log_epoch", {"accuracy": -0.1}, "accuracy", "-0.1 is not between 0 and 1"),
    ("log_epoch", {"validation_loss": "x"}, "validation_loss", "is not a number"),
    ("log_epoch", {"validation_accuracy": 55}, "validation_accuracy", "55 is not between 0 and 1"),
    ("log_epoch", {"learning_rate": math.nan}, "learning_rate", "nan is not a learning rate"),
    ("log_epoch", {"learning_rate": math.inf}, "learning_rate", "inf is not a learning rate"),
    ("log_epoch", {"learning_rate": -0.1}, "learning_rate", "-0.1 is not a learning rate"),
    ("log_epoch", {"learning_rate": [0.1]}, "learning_rate", "a list is not a number"),
    ("log_scalars", {"values": 7}, "scalars", "not iterable"),
    ("log_scalars", {"values": {"x": "1"}}, "values['x']", "the text '1' is not a number"),
    ("log_scalars", {"values": {"x": None}}, "values['x']", "leave the name out"),
    (
        "log_scalars",
        {"values": {str(n): 1.0 for n in range(5_000)}},
        "scalars",
        "only 1000 are taken",
    ),
    ("log_scalars", {"epoch": -1}, "scalars", "epoch: -1 is not a number from 0"),
    ("log_scalars", {"batch": 0.5}, "scalars", "0.5 is not a whole number"),
    ("log_scalars", {"step": -1}, "scalars", "step: -1 is not a number from 0"),
    ("log_scalars", {"epoch": 1, "batch": 2, "step": 0.5}, "step", "0.5 is not a whole number"),
    ("log_scalars", {"split": 7}, "scalars", "split: a int is not a short text; give train"),
    ("log_scalars", {"split": "x" * 65}, "scalars", "is not a short text; give train"),
    (
        "log_scalars",
        {"values": {"mfu": 42.0}},
        "values['mfu']",
        "42 is not between 0 and 1; give 0.42",
    ),
    (
        "log_scalars",
        {"values": {"learning_rate": math.nan}},
        "values['learning_rate']",
        "nan is not a learning rate",
    ),
    ("event", {"name": ""}, "events", "an empty text is not the name of an event"),
    ("event", {"name": None}, "events", "a NoneType is not the name of an event"),
    ("event", {"message": Speechless()}, "message", "RuntimeError: no text"),
    (
        "event",
        {"level": "fatal"},
        "level",
        "'fatal' is not a level; give one of info, warning, error",
    ),
    ("event", {"details": Speechless()}, "details['details']", "RuntimeError: no text"),
    ("alert", {"title": 7}, "events", "a int is not the name of an event"),
    ("alert", {"message": Speechless()}, "message", "RuntimeError: no text"),
    ("alert", {"level": 40}, "level", "a int is not a level"),
    ("alert", {"details": Speechless()}, "details['details']", "RuntimeError: no text"),
    ("log_status", {"status": "paused"}, "statuses", "'paused' is not a Status"),
    ("log_status", {"status": None}, "statuses", "a NoneType is not a Status"),
    ("log_status", {"status": 99}, "statuses", "99 is not a valid Status"),
    ("log_status", {"message": Speechless()}, "statuses", "RuntimeError: no text"),
    ("phase", {"name": "two words"}, "phases", "'two words' is not the name of a phase"),
    ("phase", {"name": None}, "phases", "a NoneType is not the name of a phase"),
    ("phase", {"name": "stalled"}, "phases", "'stalled' is counted by itself"),
    (
        "on",
        {"type": "pause"},
        "on",
        "'pause' is not a CommandType; give CommandType.PAUSE_TRAINING",
    ),
    ("on", {"type": "change-learning-rate"}, "on", "give CommandType.CHANGE_LEARNING_RATE"),
    ("on", {"type": "halt"}, "on", "give one of PAUSE_TRAINING, "),
    ("on", {"type": 1}, "on", "a int is not a CommandType"),
    ("on", {"type": None}, "on", "a NoneType is not a CommandType"),
    ("on", {"type": Unspeakable()}, "on", "RuntimeError"),
    (
        "on",
        {"callback": "stop"},
        "on",
        "the callback of SAVE_CHECKPOINT is a str, which cannot be called",
    ),
    ("on", {"callback": None}, "on", "is a NoneType, which cannot be called"),
    ("flush", {"timeout": "10"}, "timeout", "the text '10' is not a number"),
    ("flush", {"timeout": math.nan}, "timeout", "nan is not a number of seconds"),
    ("close", {"timeout": [1]}, "timeout", "a list is not a number"),
]
"""Method, arguments that replace good ones, what is left out, and what is logged once."""

GOOD = {
    "log_batch": {"loss": 0.5, "epoch": 0, "batch": 0},
    "log_epoch": {"epoch": 0, "loss": 0.5},
    "log_scalars": {"values": {"x": 1.0}},
    "event": {"name": "drop"},
    "alert": {"title": "spike"},
    "log_status": {"status": Status.RUNNING},
    "phase": {"name": "validation"},
    "on": {"type": CommandType.SAVE_CHECKPOINT, "callback": print},
    "flush": {},
    "close": {},
}


@pytest.mark.parametrize("place", range(len(CALLS)))
def test_what_a_call_cannot_use_is_left_out(place, caplog):
    """Training goes on; it is counted and logged once, and raised in strict mode, at the call."""
    method, changed, what, words = CALLS[place]
    arguments = GOOD[method] | changed
    with (
        caplog.at_level(logging.WARNING, "trainbridge"),
        TrainingSession(RecordingBridge()) as session,
    ):
        for _ in range(2):
            getattr(session, method)(**arguments)

    assert session.stats.faults >= 1
    (sentence,) = (r.getMessage() for r in caplog.records if " left out (" in r.getMessage())
    assert sentence.startswith(what)
    assert words in sentence
    with TrainingSession(RecordingBridge(), strict=True) as strict:
        with pytest.raises(ValueError) as refusal:  # noqa: PT011 -- see below
            getattr(strict, method)(**arguments)
        assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("method", "changed"),
    [
        ("log_batch", {"loss": None}),
        ("log_batch", {"epoch": np.int64(3), "batch": 4.0}),
        ("log_batch", {"sample_count": None}),
        ("log_batch", {"step": None, "tokens": None}),
        ("log_batch", {"step": np.int64(7), "tokens": 4096.0}),
        ("log_batch", {"epoch": None, "batch": None}),
        ("log_batch", {"epoch": None, "batch": None, "step": np.array([7])}),
        ("log_epoch", {"loss": None, "accuracy": None, "learning_rate": None}),
        ("log_epoch", {"learning_rate": 0}),
        ("log_scalars", {"values": (pair for pair in [("x", 1.0)])}),
        ("log_scalars", {"epoch": None, "batch": None, "step": None, "split": None}),
        ("log_scalars", {"step": 7, "split": np.str_("validation")}),
        ("log_scalars", {"values": {"mfu": 0.42, "learning_rate": 0, "gradient_norm": math.nan}}),
        ("event", {"message": None, "level": "ERROR"}),
        ("event", {"name": "x" * 500, "rate": math.nan, "list": [1, 2]}),
        ("log_status", {"message": None}),
        ("log_status", {"status": 2}),
        ("flush", {"timeout": None}),
        ("flush", {"timeout": -1}),
        ("flush", {"timeout": math.inf}),
        ("close", {"timeout": None}),
        ("close", {"timeout": 10**30}),
    ],
)
def test_what_a_call_may_be_given(method, changed):
    """None is not reported, or the default."""
    bridge = RecordingBridge()
    with TrainingSession(bridge, strict=True) as session:
        getattr(session, method)(**(GOOD[method] | changed))

    assert session.stats.faults == 0
    assert all(message == "" for _, message in bridge.statuses)


ELSEWHERE = {
    "on": {"callback", "type"},
    "agree_to_stop": {"all_gather"},
    "controls": {"batch_size", "checkpoint", "lr", "optimizer", "scheduler"},
    "track": {"agree_every", "epoch", "epochs", "loader", "resume"},
}
"""Arguments that are functions and objects of a loop; what they may be is tried in the tests of commands and tracking."""


def test_every_argument_has_a_case():
    """A new one needs a line in these tables."""
    tried = {argument for argument, *_ in [*ACCEPTED, *LEFT_OUT, *REFUSED, *FALLBACKS]}
    assert set(inspect.signature(TrainingSession).parameters) - tried == {
        "labels",
        "panel",
        "strict",
    }
    methods = {
        name: set(inspect.signature(method).parameters) - {"self"}
        for name, method in inspect.getmembers(TrainingSession, inspect.isfunction)
        if not name.startswith("_")
    }
    changed = {name: set(ELSEWHERE.get(name, ())) for name in methods}
    for method, arguments, *_ in CALLS:
        changed[method] |= set(arguments)
    assert changed == methods
