"""The ranks of a run, compared with each other."""

from bridge.alert_rules.rule import (
    RUN_PAGE,
    SESSION_BOARD,
    Alert,
    Group,
    Recording,
    Severity,
)

RUNS = Group(
    "trainbridge-runs",
    (
        Recording(
            name="run:rank_info",
            expr="""
            max by (session_id, run_id, rank) (
              training_session_info{run_id!="", rank!=""}
                and on (session_id, job, instance) training_session_connected == 1
            )
            """,
            meaning="1 for each connected rank of a run.",
        ),
        Recording(
            name="run:rank_step_seconds",
            expr="""
            (
              sum by (session_id) (rate(training_batch_duration_seconds_sum[5m]))
                / (sum by (session_id) (rate(training_batch_duration_seconds_count[5m])) > 0)
            )
              * on (session_id) group_left (run_id, rank) run:rank_info
            """,
            meaning="The time of a step of each rank, over five minutes.",
        ),
        Recording(
            name="run:rank_local_ratio",
            expr="""
            (
              sum by (session_id) (rate(training_phase_seconds_total{phase=~"data|compute"}[5m]))
                / (sum by (session_id) (rate(training_phase_seconds_total{phase=~"training|data|compute"}[5m])) > 0)
            )
              * on (session_id) group_left (run_id, rank) run:rank_info
            """,
            meaning="The share of its steps that a rank spends by itself, in the phases data and compute.",
        ),
        Recording(
            name="run:rank_straggler_ratio",
            expr="""
            (
              clamp_min(run:rank_local_ratio - on (run_id) group_left () quantile by (run_id) (0.5, run:rank_local_ratio), 0)
                > clamp_min(run:rank_step_seconds / on (run_id) group_left () quantile by (run_id) (0.5, run:rank_step_seconds) - 1, 0)
                or clamp_min(run:rank_step_seconds / on (run_id) group_left () quantile by (run_id) (0.5, run:rank_step_seconds) - 1, 0)
                or clamp_min(run:rank_local_ratio - on (run_id) group_left () quantile by (run_id) (0.5, run:rank_local_ratio), 0)
            )
              and on (run_id) count by (run_id) (run:rank_info) > 1
            """,
            meaning="By which share of a step a rank holds up the others; 0 for the median rank.",
            note="""
            The larger of the two, where both are known.
            """,
        ),
        Recording(
            name="run:step_seconds:max",
            expr="""
            max by (run_id) (run:rank_step_seconds)
            """,
            meaning="The time of a step of the slowest rank.",
        ),
        Recording(
            name="run:step_seconds:spread",
            expr="""
            max by (run_id) (run:rank_step_seconds) - min by (run_id) (run:rank_step_seconds)
            """,
            meaning="The difference between the slowest and the fastest rank.",
        ),
        Recording(
            name="run:straggler_ratio:max",
            expr="""
            max by (run_id) (run:rank_straggler_ratio)
            """,
            meaning="The straggler ratio of the slowest rank.",
        ),
        Alert(
            name="TrainingStraggler",
            severity=Severity.WARNING,
            wait="10m",
            expr="""
            topk by (run_id) (1, run:rank_straggler_ratio) > 0.2
            """,
            summary="Rank {{ $labels.rank }} holds up the run {{ $labels.run_id }}",
            description="""
            For ten minutes, each step of the run {{ $labels.run_id }} has waited for rank {{ $labels.rank }}, by {{
            $value | humanizePercentage }} of the time that a step takes at the median rank. The page of the run shows
            each rank: where its time goes, and whether its GPU is throttled. If it spends more in the phase data than the
            others, look at its storage and its CPU; else at the GPU and the machine of the session {{ $labels.session_id
            }}.
            """,
            page=RUN_PAGE,
            board=SESSION_BOARD,
        ),
    ),
    note="""
    The ranks of a run that are connected, compared with each other. What a rank does by itself, in the phases data and compute, is
    what the others wait for in each step; where ranks do not wait for each other, the slow one has longer steps.
    """,
)
