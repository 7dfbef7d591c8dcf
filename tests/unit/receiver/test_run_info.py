"""What is kept of what a client says of itself and its run."""

import json

import pytest

from bridge.model import ResumePoint
from bridge.receiver.message_limits import MessageLimits
from bridge.receiver.run_info import client_of, config_of, details_of
from bridge.session_snapshot import client_of as client_of_state
from bridge.session_snapshot import client_state
from bridge.storage.packed import packed, unpacked
from bridge.wire import metrics_pb2 as wire


def test_so_many_labels_are_kept():
    """The first ones by name, however they were sent; a long value is cut, and a long name left out."""
    labels = {f"label-{i:03d}": "x" * 1_000 for i in reversed(range(200))}
    info = wire.SessionInfo(labels={**labels, "a" * 300: "y"})

    kept = client_of(info, None, MessageLimits(labels=3, label=10)).labels

    assert kept == {f"label-{i:03d}": "x" * 10 for i in range(3)}


def test_class_names_have_a_limit_of_characters():
    """Those above it are left out: their classes are shown by number."""
    config = wire.TrainingConfig(class_names=["cat", "dog", "horse"])

    assert config_of(config, MessageLimits(class_names=6)).class_names == ("cat", "dog")


def run_config(text: str, /, **limits) -> dict:
    """Return what is kept of a configuration."""
    return dict(
        client_of(wire.SessionInfo(config_json=text), None, MessageLimits(**limits)).run_config
    )


def test_a_run_is_configured_by_plain_values():
    """Names and values as the client has put them, in its order."""
    values = {"optimizer.lr": 0.1, "seed": 7, "amp": True, "note": "größe", "resume": None}

    assert list(run_config(json.dumps(values)).items()) == list(values.items())


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", '{"a": {"b": 1}}', '{"a": [1]}', "[" * 100_000]
)
def test_anything_but_a_flat_object_is_left_out(text):
    """The registration is good all the same."""
    assert run_config(text) == {}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"a": NaN}', {"a": "nan"}),
        ('{"a": -Infinity}', {"a": "-inf"}),
        (f'{{"a": {10**30}}}', {"a": str(10**30)}),
        ('{"a": "\\ud800"}', {"a": "?"}),
        ('{"\\ud800": 1}', {"?": 1}),
    ],
)
def test_every_value_can_be_stored_and_shown(text, kept):
    """JSON can spell what a checkpoint and a page cannot hold."""
    client = client_of(wire.SessionInfo(config_json=text), None, MessageLimits())

    assert client.run_config == kept
    assert client_of_state(unpacked(packed(client_state(client)))) == client


def test_a_configuration_has_limits():
    """Of its names, of the length of each, and of its text."""
    text = json.dumps({"long" * 10: 1, "a": "x" * 100, "b": 2, "c": 3})

    assert run_config(text, config_keys=2, label=10, text=5) == {"a": "x" * 5, "b": 2}
    assert run_config(text, config_characters=10) == {}


def test_a_rank_names_its_run():
    """Rank 0 is reported; without one there is none, and a name that breaks the rule is left out."""
    rank = client_of(wire.SessionInfo(run_id="job-7", rank=0, world_size=4), None, MessageLimits())
    alone = client_of(wire.SessionInfo(run_id="no name"), None, MessageLimits())

    assert (rank.run_id, rank.rank, rank.world_size) == ("job-7", 0, 4)
    assert (alone.run_id, alone.rank, alone.world_size) == ("", None, 0)


def test_a_resume_point_is_where_an_attempt_goes_on():
    """Epoch 0 is a place; nothing set is none, and a checkpoint brings it back."""
    point = wire.ResumePoint(epoch=0, batch_idx=7)
    client = client_of(wire.SessionInfo(resume_point=point), None, MessageLimits())

    assert client.resume_point == ResumePoint(0, 7)
    assert client_of_state(unpacked(packed(client_state(client)))) == client
    empty = wire.SessionInfo(resume_point=wire.ResumePoint())
    assert client_of(empty, None, MessageLimits()).resume_point is None


def test_so_many_details_of_an_event_are_kept():
    """The first ones by name, each cut."""
    details = {"b": "x" * 100, "a": "1", "c": "2", "long" * 10: "3"}

    assert details_of(details, MessageLimits(labels=2, label=10)) == {"a": "1", "b": "x" * 10}
