"""What is kept of the numbers that a session logs by name and split."""

import pytest

from bridge.model import Scalars
from bridge.scalar_history import (
    ADMITTED,
    NAMES_LIMIT,
    OWN_FAMILIES,
    POINTS_LIMIT,
    SPLITS_LIMIT,
    ScalarHistory,
)
from bridge.storage.packed import packed, unpacked


@pytest.fixture
def history():
    """A history of nothing."""
    return ScalarHistory()


def scalars(values, step=None, split=""):
    """Return numbers logged at a step."""
    return Scalars(0, 0, values, step, split)


def test_each_split_of_a_name_has_a_curve_of_its_own(history):
    """Training and validation are distinct, and what has no split is neither."""
    history.add(scalars({"loss": 1.0}, 7, "train"), at=1.0, reached=0)
    history.add(scalars({"loss": 2.0}, 8, "validation"), at=2.0, reached=0)
    history.add(scalars({"loss": 3.0}), at=3.0, reached=9)

    steps = {key: curve.points[0].step for key, curve in history.curves.items()}
    assert steps == {("loss", "train"): 7, ("loss", "validation"): 8, ("loss", ""): 9}
    assert history.without_split() == {"loss": 3.0}
    assert history.by_split() == {"train": {"loss": 1.0}, "validation": {"loss": 2.0}}


def test_a_run_without_steps_counts_its_values(history):
    """A loop that sends nothing but numbers has a curve from 1, also after a restart."""
    for _ in range(2):
        history.add(scalars({"reward": 1.0}), at=1.0, reached=None)
    restored = ScalarHistory.restored(unpacked(packed(history.snapshot())), {})
    restored.add(scalars({"reward": 1.0}), at=1.0, reached=None)

    assert [point.step for point in restored.curves["reward", ""].points] == [1, 2, 3]


def test_names_and_splits_are_bounded_each_with_its_reason(history):
    """What is beyond the limits is refused; what was admitted stays."""
    names = [f"name{number}" for number in range(NAMES_LIMIT)]
    splits = [f"split{number}" for number in range(SPLITS_LIMIT)]

    assert {history.admit(name, "split0") for name in names} == {ADMITTED}
    assert history.admit("one more", "split0") == "names_limit"
    assert {history.admit("name0", split) for split in splits} == {ADMITTED}
    assert history.admit("name0", "one more") == "splits_limit"
    assert {history.admit(name, "split0") for name in OWN_FAMILIES} == {ADMITTED}


def test_a_refused_name_takes_no_split(history):
    """A refusal leaves nothing behind."""
    for number in range(NAMES_LIMIT):
        history.admit(f"name{number}", "")
    for number in range(SPLITS_LIMIT):
        history.admit("one more", f"split{number}")

    assert history.admit("name0", "late") == ADMITTED


def test_all_curves_together_have_a_budget(history):
    """With as many curves as there may be, logged for as long as it takes, memory stays where it is."""
    names = {f"name{number}": float(number) for number in range(NAMES_LIMIT)}
    for step in range(40):
        for split in range(SPLITS_LIMIT):
            history.add(scalars(names, step, f"split{split}"), at=step, reached=0)

    assert len(history.curves) == NAMES_LIMIT * SPLITS_LIMIT
    lengths = [len(curve) for curve in history.curves.values()]
    assert sum(lengths) <= POINTS_LIMIT
    assert min(lengths) >= POINTS_LIMIT / len(lengths) / 2
    first = history.curves["name0", "split0"].points
    assert (first[0].step, sum(point.finite for point in first)) == (0, 40)


def test_a_history_outlives_the_process(history):
    """Curves, newest values and what was admitted are the same after a restart."""
    for number in range(NAMES_LIMIT):
        history.add(scalars({f"name{number}": 1.0}, number, "train"), at=1.0, reached=0)

    rows = unpacked(packed(history.snapshot()))
    restored = ScalarHistory.restored(rows, {})

    assert restored.newest == history.newest
    assert {key: curve.points for key, curve in restored.curves.items()} == {
        key: curve.points for key, curve in history.curves.items()
    }
    assert restored.admit("one more", "train") == "names_limit"


def test_values_of_versions_without_curves_are_taken_over():
    """Their newest values stay, and their curves begin."""
    restored = ScalarHistory.restored([], {"cer": 0.5})

    restored.add(scalars({"cer": 0.4}), at=1.0, reached=3)

    assert restored.without_split() == {"cer": 0.4}
    assert len(restored.curves["cer", ""]) == 1


def test_a_snapshot_of_nothing_takes_no_room(history):
    """A session that logs nothing by name has nothing of it in its checkpoint."""
    assert history.snapshot() == []
