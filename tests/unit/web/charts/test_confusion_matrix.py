"""The confusion matrix gives every class its own row."""

from bridge.web.charts.confusion_matrix import confusion_matrix


def test_classes_that_share_a_name_can_be_distinguished():
    """Classes may share a name: each has a row of its own, with its number, and no mistake looks right."""
    confusion = {("0", "0"): 3, ("0", "2"): 2, ("1", "1"): 1, ("2", "2"): 4}

    matrix = confusion_matrix("run", confusion, ("cat", "dog", "cat"))

    assert matrix.names == ("cat (0)", "dog", "cat (2)")
    assert [row.name for row in matrix.rows] == ["cat (0)", "dog", "cat (2)"]
    assert [(one.actual, one.predicted) for one in matrix.mistakes] == [("cat (0)", "cat (2)")]
