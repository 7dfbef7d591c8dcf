"""What differs between configurations."""

import math

from bridge.model import Client, Config
from bridge.session import Session
from bridge.web.comparison.configs import compare_configs
from bridge.web.session_view import session_view


def view(name, own=(), **config):
    """Return the view of a session with a configuration."""
    session = Session(name, Client(run_config=dict(own)), Config(**config), now=1.0)
    return session_view(session, 2.0)


def test_keys_that_differ_are_apart_from_those_that_are_equal():
    """What the protocol knows comes first, then the loop's own keys by name."""
    one = view("a", {"optimizer": "adam", "lr": 0.1}, model_name="resnet", batch_size=32)
    other = view("b", {"optimizer": "adam", "lr": 0.2}, model_name="resnet", batch_size=64)

    found = compare_configs([one, other])

    assert [(row.name, dict(row.values)) for row in found.different] == [
        ("batch_size", {"a": 32, "b": 64}),
        ("lr", {"a": 0.1, "b": 0.2}),
    ]
    assert [row.name for row in found.equal] == ["model", "optimizer"]


def test_a_key_that_one_has_not_reported_differs():
    """It is left out for that session, which is unlike a null that was reported."""
    found = compare_configs([view("a", {"seed": None}), view("b")])

    assert [(row.name, dict(row.values)) for row in found.different] == [("seed", {"a": None})]


def test_values_are_compared_as_what_they_are():
    """True is not 1, and NaN is equal to NaN; 1 and 1.0 are the same number."""
    own = {"flag": True, "nan": math.nan, "number": 1}
    found = compare_configs(
        [view("a", own), view("b", {"flag": 1, "nan": math.nan, "number": 1.0})]
    )

    assert [row.name for row in found.different] == ["flag"]
    assert [row.name for row in found.equal] == ["nan", "number"]


def test_what_the_loop_says_itself_wins():
    """A key that both know is shown once, as the loop has put it."""
    found = compare_configs([view("a", {"batch_size": "32 per rank"}, batch_size=32)])

    assert [dict(row.values) for row in found.equal] == [{"a": "32 per rank"}]
