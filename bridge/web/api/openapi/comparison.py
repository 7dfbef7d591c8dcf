"""Sessions side by side, for the OpenAPI document."""

from bridge.web.api.compare import get_comparison
from bridge.web.api.openapi.sessions import SCALARS, SCALARS_BY_SPLIT, SESSION_FIELDS
from bridge.web.api.openapi.shapes import (
    SESSION_NAME,
    Operation,
    Parameter,
    by_name,
    choice,
    flag,
    many,
    maybe,
    real,
    record,
    ref,
    text,
    whole,
)
from bridge.web.comparison.curves import CHOICES, By

COMPARED_SESSION = record(
    "A session, with all its attempts as one.",
    **SESSION_FIELDS,
    duration_seconds=real(),
    lost_seconds=maybe(real(), "Between attempts; null: there is only one."),
    goodput_ratio=maybe(real()),
    best=record(
        "The lowest losses and the highest accuracies.",
        loss=maybe(real()),
        validation_loss=maybe(real()),
        accuracy=maybe(real()),
        validation_accuracy=maybe(real()),
    ),
    nonfinite_losses=maybe(whole()),
    scalars=SCALARS,
    scalars_by_split=SCALARS_BY_SPLIT,
)

COMPARED_POINT = record(
    "Consecutive values of a session's curve.",
    session_id=SESSION_NAME,
    x=real("A step, seconds since the session began, or an epoch: what `by` says."),
    mean=ref("Number"),
    low=ref("Number"),
    high=ref("Number"),
)

CONFIG_KEY = record(
    "A key of configurations.",
    name=text(),
    values=by_name({}, "By session; one that has not reported the key is left out."),
)

COMPARISON = record(
    "Sessions side by side.",
    sessions=many(ref("ComparedSession")),
    unknown=many(text(), "Names that no session has."),
    left_out=many(text(), "Names beyond those that are compared at once."),
    curves=many(text(), "What can be asked for as `curve`."),
    curve=record(
        name=text(),
        by=choice(By),
        lines=many(record(session_id=SESSION_NAME, points=many(ref("ComparedPoint")))),
    ),
    config=record(
        different=many(ref("ConfigKey")),
        equal=many(ref("ConfigKey")),
        cells=many(
            record(name=text(), session_id=SESSION_NAME, value={}, is_different=flag()),
            "Each value by itself, as the row of a table.",
        ),
    ),
)

SCHEMAS = {
    "Comparison": COMPARISON,
    "ComparedSession": COMPARED_SESSION,
    "ComparedPoint": COMPARED_POINT,
    "ConfigKey": CONFIG_KEY,
}

OPERATIONS = {
    get_comparison: Operation(
        "Sessions",
        "Compare sessions: one curve of each, their results, and what differs in their configurations",
        {200: "The comparison."},
        ref("Comparison"),
        parameters=(
            Parameter(
                "sessions",
                "The sessions to compare.",
                many(SESSION_NAME, minItems=1),
                required=True,
                is_list=True,
            ),
            Parameter(
                "curve", "loss, or one of `curves` of an earlier response.", text(default="loss")
            ),
            Parameter("by", "What x is, except for the averages of epochs.", choice(CHOICES)),
        ),
        errors=(400,),
    ),
}
