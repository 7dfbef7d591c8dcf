"""Whether the losses of trainings are what they should be."""

from bridge.alert_rules.rule import (
    SESSION_BOARD,
    SESSION_PAGE,
    WORST_IMAGES,
    Alert,
    Group,
    Severity,
)

LEARNING = Group(
    "trainbridge-learning",
    (
        Alert(
            name="TrainingLossNotFinite",
            severity=Severity.WARNING,
            expr="""
            sum by (session_id) (increase(training_nonfinite_values_total{field="batch_loss"}[5m])) > 0
              unless on (session_id) training:canary
            """,
            summary="Training {{ $labels.session_id }} has a loss of NaN or infinity",
            description="""
            About {{ $value | printf "%.0f" }} batches of the session {{ $labels.session_id }} had a loss that is not a
            number in the last five minutes. Lower the learning rate or go back to a checkpoint; the page of the session
            shows the images of these batches.
            """,
            page=SESSION_PAGE,
            images=WORST_IMAGES,
            board=SESSION_BOARD,
        ),
    ),
)
