"""Whether the losses of trainings are what they should be."""

from bridge.alert_rules.rule import (
    SESSION_BOARD,
    SESSION_PAGE,
    WORST_IMAGES,
    Alert,
    Group,
    Recording,
    Severity,
)

LEARNING = Group(
    "trainbridge-learning",
    (
        Recording(
            name="training:low_loss:median10m",
            expr="""
            min by (session_id, attempt) (
              quantile_over_time(0.5, training_loss_interval_min[10m])
                * on (job, instance, session_id) group_left (attempt) training:attempt
                and on (job, instance, session_id) time() - training_session_start_timestamp_seconds > 600
                and on (job, instance, session_id) training_attempt offset 10m
            )
            """,
            meaning="What the lowest losses of an attempt usually are, over ten minutes.",
            note="""
            Of the lowest loss in each interval, since one good batch among many says nothing. Not before an attempt is as old as
            what it is taken of, which otherwise would be of the one before, nor before a bridge has had it for so long.
            """,
        ),
        Recording(
            name="training:low_loss:lowest1h",
            expr="""
            min by (session_id, attempt) (min_over_time(training:low_loss:median10m[1h] offset 10m))
            """,
            meaning="How low they have been within an hour, the last ten minutes left out.",
        ),
        Alert(
            name="TrainingDiverging",
            severity=Severity.WARNING,
            expr="""
            max by (session_id) (
              max by (session_id, attempt) (
                training:attempt
                  and on (job, instance, session_id) max_over_time(training_session_connected[5m]) == 1
              )
                * on (session_id) group_left ()
                  min by (session_id) (min_over_time(training_loss_interval_min[10m]))
                > training:low_loss:lowest1h + 0.5 * abs(training:low_loss:lowest1h)
            )
              and on (session_id) sum by (session_id) (increase(training_batches_total[10m])) >= 20
              unless on (session_id) training:canary
            """,
            summary="Training {{ $labels.session_id }} has a loss far above where it was",
            description="""
            Not one batch of the session {{ $labels.session_id }} in the last ten minutes had a loss below
            {{ $value | humanize }}, more than half above what its lowest losses were within the hour before. Look at the
            batches with the highest loss and at the norm of the gradients from where it began to rise: bad data, a learning
            rate that is too high, or a change of the data. If it does not come down by itself, pause it, and go back to a
            checkpoint from before, with a lower learning rate. After an hour at its new level the alert ends.
            """,
            page=SESSION_PAGE,
            images=WORST_IMAGES,
            board=SESSION_BOARD,
            note="""
            The lowest of many batches: noise, a spike that recovers and a few bad batches leave it where it was; of all copies, since
            a session that has just moved to another bridge had most of them at the one before. The distance is
            by the absolute value, since losses may be negative; each attempt is compared with itself, since one that begins anew
            begins high; and an attempt of less than twenty minutes with nothing. Where a step takes longer than half a minute,
            there are too few of them to tell.
            """,
        ),
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
