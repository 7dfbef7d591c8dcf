"""What Grafana does with answers is written once, from what a table shows."""

from grafana.transformations import joined, matrix


def test_a_joined_table_has_its_columns_in_their_sequence():
    """What is not named is left out, such as the times that each query has."""
    join, keep, arrange = joined("instance", {"instance": "Bridge", "Value #B": "Since"})

    assert join["options"] == {"byField": "instance", "mode": "outer"}
    assert keep["options"]["include"]["names"] == ["instance", "Value #B"]
    assert arrange["options"]["indexByName"] == {"instance": 0, "Value #B": 1}
    assert arrange["options"]["renameByName"]["Value #B"] == "Since"


def test_a_matrix_has_a_row_and_a_column_for_each_value():
    """What never occurred is empty, not zero, unless that is asked for."""
    [made] = matrix(row="true_class", column="predicted_class", value="Value")

    assert made == {
        "id": "groupingToMatrix",
        "options": {
            "rowField": "true_class",
            "columnField": "predicted_class",
            "valueField": "Value",
            "emptyValue": "null",
        },
    }
