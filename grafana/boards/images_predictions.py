"""Panels of the images board: which class was taken for which, each cell a way to the images of that mistake."""

from typing import Any

from bridge.addresses import GO_TO_IMAGES
from grafana.counts import in_range
from grafana.links import OF_THE_BOARD
from grafana.panels import Query, bar_gauge, override, stat, table, timeseries
from grafana.promql import quantile
from grafana.transformations import chosen_columns, matrix

Json = dict[str, Any]

COUNTED = "training_predictions_total"

CONFIDENCE = "training_prediction_confidence"

CORRECT, WRONG = '{correct="true"}', '{correct="false"}'

MATRIX_HEIGHT = 12
"""The room of the names of the classes and of ten rows."""

GREEN = {"mode": "fixed", "fixedColor": "green"}
RED = {"mode": "fixed", "fixedColor": "red"}

CORNER = "true_class\\predicted_class"
"""What Grafana calls the first column of the matrix."""


def sortable(query: str, *labels: str) -> str:
    """Return a query with two digits in the classes of these labels, since Grafana sorts them as texts."""
    for label in labels:
        query = f'label_replace({query}, "{label}", "0$1", "{label}", "([0-9])")'
    return query


PAIRS = f"sum by (true_class, predicted_class) ({in_range(COUNTED)})"

OF_TRUE = f"sum by (true_class) ({in_range(COUNTED)})"

OF_PREDICTED = f"sum by (predicted_class) ({in_range(COUNTED)})"

RIGHT = in_range(COUNTED + CORRECT)

MISTAKES = f"sum by (true_class, predicted_class) ({in_range(COUNTED + WRONG)}) > 0"


def images_of(actual: str, predicted: str) -> Json:
    """Return the link to the images of one class that was taken for another within the time shown."""
    return {
        "title": "Images of this",
        "targetBlank": True,
        "oneClick": True,
        "url": f"{OF_THE_BOARD}/{GO_TO_IMAGES}?session=${{session}}"
        f"&actual={actual}&predicted={predicted}&from=${{__from}}&to=${{__to}}",
    }


OF_THE_CELL = images_of("${__data.fields[0]}", "${__field.name}")

OF_THE_ROW = images_of("${__data.fields.True}", "${__data.fields.Predicted}")

ONE_DIGIT: Json = {
    "id": "renameByRegex",
    "options": {"regex": "^0([0-9])$", "renamePattern": "$1"},
}
"""Shows a class as it is again, once it has been sorted."""

AS_A_MATRIX = (
    # Columns come in the sequence of the rows before, rows are sorted after.
    {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": "predicted_class"}]}},
    *matrix(row="true_class", column="predicted_class", value="Value"),
    {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": CORNER}]}},
    ONE_DIGIT,
)


def confusion(title: str, description: str, query: str, unit: str, **defaults: Any) -> Json:
    """Return a table with a row for each true class and a column for each predicted one, coloured by its values."""
    return table(
        title,
        description,
        sortable(query, "true_class", "predicted_class"),
        width=12,
        height=MATRIX_HEIGHT,
        unit=unit,
        color="continuous-BlPu",
        defaults={"min": 0, **defaults},
        custom={"align": "center", "cellOptions": {"type": "color-background", "mode": "basic"}},
        overrides=(
            # The first column has the names of the rows; Grafana adds links of an override to those of all fields.
            override("number", "byType", links=[OF_THE_CELL]),
            override(
                CORNER,
                displayName="true \\ predicted",
                unit="string",
                mappings=[
                    {
                        "type": "value",
                        "options": {
                            f"0{one}": {"text": f"{one}", "index": one} for one in range(10)
                        },
                    }
                ],
                custom__cellOptions={"type": "auto"},
                custom__width=120,
            ),
        ),
        transformations=AS_A_MATRIX,
    )


def right_by_class(title: str, description: str, label: str, counted: str) -> Json:
    """Return a bar for each class: the share of right predictions among those that are counted of it by a label."""
    right = f"(sum by ({label}) ({RIGHT}) or {counted} * 0) / ({counted} > 0)"
    return bar_gauge(
        title,
        description,
        Query(sortable(right, label), f"{{{{{label}}}}}", is_instant=True),
        height=9,
        unit="percentunit",
        color="continuous-RdYlGr",
        defaults={"max": 1, "decimals": 0},
        transformations=(ONE_DIGIT,),
    )


AT_A_GLANCE = (
    stat(
        "Accuracy",
        "Share of right predictions within the time shown, of those that came with their true classes.",
        Query(f"sum({RIGHT}) / (sum({in_range(COUNTED)}) > 0)", is_instant=True),
        unit="percentunit",
        defaults={"decimals": 1, "min": 0, "max": 1, "noValue": "no predictions"},
    ),
    stat(
        "Predictions",
        "Predictions within the time shown that came with their true classes; only those of the images of a batch that are sent count.",
        Query(f"round(sum({in_range(COUNTED)}))", is_instant=True),
        unit="short",
        defaults={"noValue": "none"},
    ),
    stat(
        "Mistakes",
        "Wrong predictions within the time shown; which ones is below, each with its images.",
        Query(f"round(sum({in_range(COUNTED + WRONG)}))", is_instant=True),
        unit="short",
        defaults={"noValue": "none"},
    ),
    stat(
        "Sure and wrong",
        "Share of the wrong predictions that had a confidence above 0.9. Many: look at their labels first, as they may be wrong themselves.",
        Query(
            f'1 - sum(increase({CONFIDENCE}_bucket{{correct="false", le="0.9"}}[$__range]))'
            f" / (sum(increase({CONFIDENCE}_count{WRONG}[$__range])) > 0)"
            f" or histogram_fraction(0.9, 1.1, sum(increase({CONFIDENCE}{WRONG}[$__range])))",
            is_instant=True,
        ),
        unit="percentunit",
        defaults={"decimals": 0, "min": 0, "max": 1, "noValue": "no confidence"},
    ),
)

PANELS = (
    confusion(
        "Confusion matrix",
        "How often each true class (row) was predicted as each class (column) within the time shown. What lies beside the diagonal is a mistake; a click opens its newest images. Classes have their numbers, and their names on the session's page.",
        PAIRS,
        "none",
        decimals=0,
    ),
    confusion(
        "Confusion by true class",
        "The same as shares of each true class (row): the diagonal is the recall. A cell beside it with more than a few percent: that class is often taken for the other one; a click opens its newest images.",
        f"{PAIRS} / on (true_class) group_left () ({OF_TRUE} > 0)",
        "percentunit",
        decimals=0,
        max=1,
    ),
    right_by_class(
        "Recall by class",
        "Of the samples of each class, the share that was found. A class far below the others has too few samples, or looks like another one.",
        "true_class",
        OF_TRUE,
    ),
    right_by_class(
        "Precision by class",
        "Of the predictions of each class, the share that was right. A class far below the others swallows what is not its own.",
        "predicted_class",
        OF_PREDICTED,
    ),
    table(
        "Most frequent mistakes",
        "The ten pairs of classes that were confused most often within the time shown. A click opens the newest images of that mistake.",
        f"topk(10, {MISTAKES})",
        width=8,
        height=9,
        unit="none",
        defaults={"decimals": 0, "links": [OF_THE_ROW]},
        options={"sortBy": [{"displayName": "Times", "desc": True}]},
        transformations=chosen_columns(
            {"true_class": "True", "predicted_class": "Predicted", "Value": "Times"}
        ),
    ),
    timeseries(
        "Predictions by class",
        "Share of each class in what was predicted. One that grows over all others: the model answers with the same class whatever it is shown.",
        Query(
            f"sum by (predicted_class) (rate({COUNTED}[$__rate_interval]))"
            f" / on () group_left () (sum(rate({COUNTED}[$__rate_interval])) > 0)",
            "{{predicted_class}}",
        ),
        unit="percentunit",
        defaults={"min": 0, "max": 1},
        custom={"fillOpacity": 60, "lineWidth": 0, "stacking": {"mode": "normal", "group": "A"}},
    ),
    timeseries(
        "Confidence",
        "Median confidence of right and of wrong predictions. Where they lie together, it says nothing; where both are near one, the model is too sure of itself.",
        Query(quantile(0.5, CONFIDENCE, "correct"), "{{correct}}"),
        unit="percentunit",
        defaults={"min": 0, "max": 1},
        overrides=(
            override("true", displayName="right", color=GREEN),
            override("false", displayName="wrong", color=RED),
            override("unknown", displayName="without a true class"),
        ),
    ),
)
