"""The confusion matrix shows every class by itself."""

from bridge.web.charts.confusion_matrix import confusion_matrix


def test_classes_of_one_name_are_told_apart():
    """Two classes may be called the same: each is a row of its own, with its number, and no mistake reads as none."""
    confusion = {("0", "0"): 3, ("0", "2"): 2, ("1", "1"): 1, ("2", "2"): 4}

    matrix = confusion_matrix("run", confusion, ("cat", "dog", "cat"))

    assert matrix.names == ("cat (0)", "dog", "cat (2)")
    assert [row.name for row in matrix.rows] == ["cat (0)", "dog", "cat (2)"]
    assert [(one.actual, one.predicted) for one in matrix.mistakes] == [("cat (0)", "cat (2)")]
