"""Whether trainings are as fast as they could be: their steps, and their GPUs."""

from bridge.alert_rules.rule import (
    SESSION_BOARD,
    SESSION_PAGE,
    Alert,
    Group,
    Severity,
)

SPEED = Group(
    "trainbridge-speed",
    (
        Alert(
            name="TrainingGPUThrottled",
            severity=Severity.WARNING,
            wait="5m",
            expr="""
            max by (session_id, gpu, gpu_uuid, reason) (
              avg_over_time(training_gpu_throttled{reason!~"power|sync_boost"}[10m])
            ) > 0.5
              unless on (session_id) training:canary
            """,
            summary="GPU {{ $labels.gpu }} of {{ $labels.session_id }} is throttled ({{ $labels.reason }})",
            description="""
            For {{ $value | humanizePercentage }} of the last ten minutes the GPU {{ $labels.gpu_uuid }} of the session {{
            $labels.session_id }} has run slower than it could, for the reason {{ $labels.reason }}. Ranks that train with
            it wait for it. See to the cooling and the power of its machine, or train on another one; docs/metrics.md has
            the reasons.
            """,
            page=SESSION_PAGE,
            board=SESSION_BOARD,
            note="""
            At its power limit a GPU usually is under full load, and sync_boost only says that it waits for another one.
            """,
        ),
        Alert(
            name="TrainingGPUErrors",
            severity=Severity.WARNING,
            expr="""
            (
              sum by (session_id, gpu, gpu_uuid) (increase(training_gpu_ecc_errors_total[1h])) > 0
                or sum by (session_id, gpu, gpu_uuid) (increase(training_gpu_xid_errors_total[1h])) > 0
            )
              unless on (session_id) training:canary
            """,
            summary="GPU {{ $labels.gpu }} of {{ $labels.session_id }} reports errors",
            description="""
            The GPU {{ $labels.gpu_uuid }} of the session {{ $labels.session_id }} has reported memory errors that could
            not be corrected, or XID errors, within the last hour. The kernel's log of its machine has their numbers: 13,
            31, 43 and 45 are most often the program's own; any other, such as 48, 63, 79 or 94, is a reason to drain the
            machine and have the GPU looked at. Compare the loss since then with a checkpoint from before.
            """,
            page=SESSION_PAGE,
            board=SESSION_BOARD,
        ),
    ),
)
