"""What is kept of what a client says of itself and its run."""

from bridge.receiver.message_limits import MessageLimits
from bridge.receiver.run_info import client_of, config_of
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
