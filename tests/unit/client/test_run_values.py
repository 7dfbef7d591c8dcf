"""What a run was configured with: flat, plain, bounded, and without secrets."""

import enum
import json
import logging
import math
import types
from argparse import Namespace
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from pathlib import Path

import attrs
import numpy as np
import pydantic
import pytest

from bridge.client import TrainingSession
from bridge.client.identity import Identity, RunConfig
from bridge.client.left_out import LeftOut
from bridge.client.run_values import config_json
from bridge.client.testing import RecordingBridge
from bridge.receiver.message_limits import MessageLimits
from bridge.receiver.run_info import client_of
from bridge.wire import metrics_pb2 as wire

torch = pytest.importorskip("torch")


@dataclass
class Optimizer:
    """A dataclass inside of another."""

    name: str = "adamw"
    betas: tuple = (0.9, 0.999)


@dataclass
class Settings:
    """A configuration as a dataclass."""

    rate: float = 3e-4
    optimizer: Optimizer = field(default_factory=Optimizer)


@attrs.define
class Attrs:
    """One of attrs."""

    rate: float = 0.1


class Model(pydantic.BaseModel):
    """One of Pydantic."""

    rate: float = 0.1


class Lazy:
    """A mapping that is none by inheritance, one of whose values is missing, as in OmegaConf or ml_collections."""

    def keys(self):
        """Return the names."""
        return ["rate", "missing"]

    def __getitem__(self, name):
        if name == "missing":
            raise LookupError("no value yet")
        return 0.1


class Level(enum.Enum):
    """An enumeration with values of its own."""

    LOW = 1


class Strategy(enum.StrEnum):
    """One of texts."""

    STEPS = "steps"


class Unspeakable:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name):
        raise RuntimeError(name)


class Speechless:
    """Has no text."""

    def __str__(self):
        raise RuntimeError("no text")


Shape = namedtuple("Shape", "width height")  # noqa: PYI024 -- the untyped kind


CONTAINERS = [
    ({"a": {"b": {"c": 1}}, "d": 2}, {"a.b.c": 1, "d": 2}),
    (OrderedDict(rate=0.1), {"rate": 0.1}),
    (types.MappingProxyType({"rate": 0.1}), {"rate": 0.1}),
    (
        Settings(),
        {"rate": 3e-4, "optimizer.name": "adamw", "optimizer.betas": "[0.9, 0.999]"},
    ),
    (Namespace(rate=0.1, inner=Namespace(depth=3)), {"rate": 0.1, "inner.depth": 3}),
    (types.SimpleNamespace(rate=0.1), {"rate": 0.1}),
    (Shape(3, 4), {"width": 3, "height": 4}),
    (Attrs(), {"rate": 0.1}),
    (Model(), {"rate": 0.1}),
    ({"layers": [{"units": 64}, {"units": 8}]}, {"layers.0.units": 64, "layers.1.units": 8}),
    ({1: "one", None: "none", (2, 3): "pair"}, {"1": "one", "None": "none", "(2, 3)": "pair"}),
    ({"empty": {}, "list": [], "nothing": None}, {"empty": "{}", "list": "[]", "nothing": None}),
    ({}, {}),
    (None, {}),
]
"""Configurations, and what is sent of them."""


@pytest.mark.parametrize(("config", "expected"), CONTAINERS)
def test_what_a_configuration_may_be(config, expected):
    """Anything that has names, one inside of another: the names are joined by dots."""
    bridge = RecordingBridge()
    with TrainingSession(bridge, config=config, strict=True) as session:
        pass

    assert bridge.config == expected
    assert session.stats.faults == 0


VALUES = [
    (True, True),
    (3, 3),
    (0.5, 0.5),
    ("text", "text"),
    (None, None),
    (math.nan, "nan"),
    (-math.inf, "-inf"),
    (2**63, "an integer of 64 bits"),
    (10**10_000, "an integer of 33220 bits"),
    ("x" * 5_000, "x" * 1_021 + "..."),
    ("\ud800", "?"),
    (b"1234", "4 bytes"),
    (np.float32(0.5), 0.5),
    (np.bool_(True), True),
    (np.int64(7), 7),
    (np.array([7]), 7),
    (np.float64(math.nan), "nan"),
    (np.zeros((3, 4)), "ndarray of shape (3, 4)"),
    (torch.tensor(0.5), 0.5),
    (torch.zeros(2, 3, requires_grad=True), "Tensor of shape (2, 3)"),
    (torch.zeros(1, device="meta"), "Tensor of shape (1,)"),
    (torch.bfloat16, "torch.bfloat16"),
    (torch.device("cpu"), "cpu"),
    (Level.LOW, "LOW"),
    (Strategy.STEPS, "steps"),
    (Path("/data/text"), "/data/text"),
    (date(2026, 1, 2), "2026-01-02"),
    (Fraction(1, 3), "1/3"),
    (torch.optim.Adam, "torch.optim.adam.Adam"),
    (math.sqrt, "math.sqrt"),
    (object(), "object"),
    (lambda: 0, "tests.unit.client.test_run_values.<lambda>"),
    ([64, "a", None], "[64, 'a', None]"),
    (range(10**9), "range(0, 1000000000)"),
    (list(range(100)), f"[{', '.join(map(str, range(32)))}, ... 100 in all]"),
    ({3, 1, 2}, "[1, 2, 3]"),
    ([math.nan], "['nan']"),
]
"""Values, and how each is sent."""


@pytest.mark.parametrize("place", range(len(VALUES)))
def test_values_are_plain_and_short(place):
    """As JSON can hold them: what has no short text is described, and nothing large is read."""
    value, expected = VALUES[place]  # pytest itself would write some of them out
    account = LeftOut(strict=True)
    sent = json.loads(config_json(account, {"value": value}))["value"]

    if isinstance(expected, str) and "<lambda>" in expected:
        assert sent.endswith("<lambda>")
    else:
        assert sent == expected
        assert type(sent) is type(expected)


@pytest.mark.parametrize("kind", [Unspeakable, Speechless])
def test_a_value_that_cannot_be_read_costs_itself(kind, caplog):
    """The others are sent; it is counted and logged once, and raised in strict mode."""
    value = kind()
    bridge = RecordingBridge()
    with (
        caplog.at_level(logging.WARNING, "trainbridge"),
        TrainingSession(bridge, config={"good": 1, "bad": value}) as session,
    ):
        pass

    assert bridge.config == {"good": 1}
    assert session.stats.left_out == {"config['bad']: unreadable": 1}
    assert "config['bad'] left out (unreadable)" in caplog.text
    with pytest.raises(ValueError, match=r"^config\['bad'\]: "):
        TrainingSession(RecordingBridge(), config={"bad": value}, strict=True)


def test_a_missing_value_of_a_lazy_mapping_costs_itself():
    """As with OmegaConf's `???`, which raises where it is read."""
    account = LeftOut()

    assert json.loads(config_json(account, {"inner": Lazy()})) == {"inner.rate": 0.1}
    assert account.counts == {("config['inner.missing']", "unreadable"): 1}


def test_a_configuration_that_contains_itself_ends():
    """Nothing is followed without end."""
    config = {"rate": 0.1}
    config["self"] = config
    config["list"] = [config]
    account = LeftOut()

    assert json.loads(config_json(account, config))["self.self.rate"] == 0.1


def test_too_many_names(caplog):
    """The first hundred are sent, which is said, and the rest is not even read."""
    endless = {f"name{number}": number for number in range(100_000)}
    bridge = RecordingBridge()
    with caplog.at_level(logging.WARNING, "trainbridge"), TrainingSession(bridge, config=endless):
        pass

    assert list(bridge.config) == list(endless)[:100]
    assert "more than 100 names: only the first are sent" in caplog.text


def test_names_that_cannot_be_sent_are_left_out():
    """Too long, empty, or the same as another's."""
    account = LeftOut()
    config = {"a.b": 1, "a": {"b": 2}, "x" * 257: 3, "": 4, "good": 5}

    assert json.loads(config_json(account, config)) == {"a.b": 1, "good": 5}
    assert sum(account.counts.values()) == 3


SECRETS = {
    "hf_token": "abc",
    "hubToken": "abc",
    "token": "abc",
    "wandb": {"api_key": "abc", "key": "abc"},
    "APIKey": "abc",
    "aws_access_key_id": "abc",
    "db_password": 12_345,
    "credentials": {"user": "me"},
    "auth": "me:abc",
    "url": "postgres://me:abc@db/runs",
    "anything": "hf_abcdefghijklmnopqrstuv",
    "list": ["sk-abcdefghijklmnopqrstuv"],
}
OPEN = {
    "max_tokens": 4_096,
    "eos_token": "</s>",
    "pad_token_id": 0,
    "tokenizer": "gpt2",
    "sort_key": "length",
    "key": "value",
    "num_kv_heads": 8,
    "use_auth_token": True,
    "hub_token": None,
    "password": "",
    "monkey": "banana",
    "url": "https://example.org/data",
}


def test_what_looks_like_a_secret_is_not_sent(caplog):
    """By its name or its value: whoever can open the pages would see it. It is said once, and raises nowhere."""
    bridge = RecordingBridge()
    with (
        caplog.at_level(logging.WARNING, "trainbridge"),
        TrainingSession(bridge, config=SECRETS | {"rate": 0.1}, strict=True) as session,
    ):
        pass

    assert bridge.config == {"rate": 0.1}
    assert session.stats.left_out == {"config: secret": 13}
    assert session.stats.faults == 0
    (sentence,) = (line for line in caplog.messages if line.startswith("config: "))
    assert sentence.startswith(
        "config: hf_token, hubToken, token, wandb.api_key, wandb.key ... not sent"
    )
    assert "abc" not in caplog.text


def test_what_only_sounds_like_a_secret_is_sent(caplog):
    """The words of language models, and what is empty."""
    bridge = RecordingBridge()
    with caplog.at_level(logging.WARNING, "trainbridge"), TrainingSession(bridge, config=OPEN):
        pass

    assert bridge.config == OPEN
    assert not caplog.messages


def test_a_bridge_takes_whatever_is_sent():
    """Even the longest is within its limits, and it keeps every name and value as it is."""
    config = {f"{number:03}" + "\u0001" * 250: "\u0001" * 2_000 for number in range(150)}
    account = LeftOut()
    sent = config_json(account, config)
    limits = MessageLimits()
    kept = client_of(wire.SessionInfo(config_json=sent), None, limits).run_config

    assert len(sent) <= limits.config_characters
    assert kept == json.loads(sent)
    assert 20 < len(kept) < 100
    assert account.mistakes == 2  # more than a hundred names, and too long


def test_a_spooled_identity_has_the_configuration():
    """And one of an earlier version, or of a run without any, opens as before."""
    given = Identity("run", "instance", "c", "1", RunConfig(), config_json='{"rate": 0.1}', rank=0)
    plain = Identity("run", "instance", "c", "1", RunConfig())

    assert Identity.from_json(given.to_json()) == given
    assert Identity.from_json(plain.to_json()) == plain
    assert {"config_json", "rank", "resume_from", "run_id", "world_size"}.isdisjoint(
        json.loads(plain.to_json())
    )
