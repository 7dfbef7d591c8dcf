"""The images board leads from each mistake to its images."""

from urllib.parse import parse_qs, urlsplit

import pytest

from bridge.web.pages.image_selection import read_selection, usable_parameters
from grafana.boards.images import IMAGES_BOARD, sheet_in_range
from grafana.boards.images_predictions import CORNER, OF_THE_CELL, OF_THE_ROW, sortable

PANELS = {panel["title"]: panel for panel in IMAGES_BOARD["panels"]}

COUNTS = ("Kept", "Sampled out", "Dropped", "Predictions", "Mistakes")

MATRICES = ("Confusion matrix", "Confusion by true class")


@pytest.mark.parametrize("link", [OF_THE_CELL, OF_THE_ROW], ids=["cell", "row"])
def test_a_cell_leads_to_the_images_of_that_mistake(link):
    """The bridge reads every parameter, and classes as the numbers that they are, two digits or not."""
    url = (
        link["url"]
        .replace("${__data.fields[0]}", "03")
        .replace("${__field.name}", "12")
        .replace("${__data.fields.True}", "3")
        .replace("${__data.fields.Predicted}", "12")
        .replace("${__from}", "1700000000000")
        .replace("${__to}", "1700000900000")
    )
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    query["session"] = "run-1"

    selection, unusable = read_selection(usable_parameters(query), ())

    assert (selection.actual, selection.predicted) == (3, 12)
    assert (selection.from_ms, selection.to_ms) == (1_700_000_000_000, 1_700_000_900_000)
    assert not unusable


@pytest.mark.parametrize("title", MATRICES)
def test_every_cell_is_a_link_and_the_first_column_is_none(title):
    """It has the names of the rows, no colour, and leads nowhere."""
    fields = PANELS[title]["fieldConfig"]
    cells, first = fields["overrides"]
    properties = {one["id"]: one["value"] for one in first["properties"]}

    assert "links" not in fields["defaults"]
    assert cells["matcher"] == {"id": "byType", "options": "number"}
    assert cells["properties"] == [{"id": "links", "value": [OF_THE_CELL]}]
    assert first["matcher"]["options"] == CORNER
    assert "links" not in properties
    assert properties["custom.cellOptions"] == {"type": "auto"}


@pytest.mark.parametrize("title", MATRICES)
def test_rows_and_columns_are_in_the_sequence_of_classes(title):
    """Grafana keeps the sequence of the rows for the columns, and sorts as text: ten after nine, not after one."""
    ids = [one["id"] for one in PANELS[title]["transformations"]]
    query = PANELS[title]["targets"][0]["expr"]

    assert ids == ["sortBy", "groupingToMatrix", "sortBy", "renameByRegex"]
    assert query.startswith("label_replace(label_replace(")
    assert (
        sortable("x", "true_class")
        == 'label_replace(x, "true_class", "0$1", "true_class", "([0-9])")'
    )


def test_a_sheet_and_its_link_mean_the_same_batch():
    """What is clicked is what is seen, and the time shown decides which it is."""
    html = sheet_in_range("max_loss", "worst").replace("&amp;", "&")

    link, picture = html.split('"')[1], html.split('src="')[1].split('"')[0]

    assert "/go/images?session=${session}&from=${__from}&to=${__to}&prefer=max_loss" in link
    assert picture.endswith("/sheet.jpg?from=${__from}&to=${__to}&prefer=max_loss")


@pytest.mark.parametrize("title", MATRICES)
def test_a_matrix_of_ten_classes_is_seen_without_scrolling(title):
    """The names of the columns and ten rows, each 36 pixels high in Grafana, below the title."""
    room = PANELS[title]["gridPos"]["h"] * 38 - 8 - 48

    assert room >= 11 * 36


def test_counts_are_whole_and_to_three_digits():
    """Rises between scrapes are fractions, and 2 K may be anything from 1,500 to 2,500."""
    counts = [
        panel
        for panel in IMAGES_BOARD["panels"]
        if panel["type"] == "stat" and panel["title"] in COUNTS
    ]

    assert len(counts) == len(COUNTS)
    for panel in counts:
        assert panel["targets"][0]["expr"].startswith("round(")
        assert "decimals" not in panel["fieldConfig"]["defaults"]
