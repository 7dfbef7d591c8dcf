"""Whether trainings are as fast as they could be: their steps, and their GPUs."""

from bridge.alert_rules.rule import (
    SESSION_BOARD,
    SESSION_PAGE,
    Alert,
    Group,
    Recording,
    Severity,
)

SPEED = Group(
    "trainbridge-speed",
    (
        Recording(
            name="training:step_rate:rate5m",
            expr="""
            max by (session_id, attempt) (
              training:attempt
                and on (job, instance, session_id) max_over_time(training_session_connected[5m]) == 1
                and on (job, instance, session_id) time() - training_session_start_timestamp_seconds > 300
            )
              * on (session_id) group_left ()
                sum by (session_id) (rate(training_batches_total[5m]))
              / on (session_id) group_left ()
                (sum by (session_id) (rate(training_phase_seconds_total{phase=~"training|data|compute"}[5m])) > 0)
            """,
            meaning="Steps of an attempt in a second of the phases training, data and compute, over five minutes.",
            note="""
            By the time in these phases, so that validation, checkpoints and pauses do not count as slowness. Steps and time are those
            of all copies: a session that has just moved to another bridge made most of them at the one before.
            """,
        ),
        Recording(
            name="training:step_rate:usual1h",
            expr="""
            quantile_over_time(0.75, training:step_rate:rate5m[1h] offset 10m)
            """,
            meaning="What that usually was within an hour, the last ten minutes left out.",
            note="""
            The upper quarter, so that it is what the session can do for most of an hour after it has become slow.
            """,
        ),
        Alert(
            name="TrainingThroughputDropped",
            severity=Severity.WARNING,
            wait="10m",
            expr="""
            max by (session_id) (
              (training:step_rate:rate5m > 0) < 0.5 * (training:step_rate:usual1h > 0.03)
            )
              unless on (session_id) training:canary
            """,
            summary="Training {{ $labels.session_id }} makes less than half of its usual steps",
            description="""
            For ten minutes, the session {{ $labels.session_id }} has made {{ $value | humanize }} steps in a second of training,
            less than half of what it usually made within the last hour; validation and pauses do not count. See on its page and
            board whether more of its time goes into the phase data (storage, CPU, data loaders), whether a GPU is throttled or
            another program shares it, and, for a run of several ranks, which one the others wait for. Where its steps are
            larger on purpose, nothing is wrong: the alert ends when the new speed has lasted for most of an hour.
            """,
            page=SESSION_PAGE,
            board=SESSION_BOARD,
            note="""
            No step at all is what TrainingStalled is about, or the validation of a client that does not report its phases. Each
            attempt is compared with itself. Less than one step in half a minute is too few to tell.
            """,
        ),
        Alert(
            name="TrainingGPUIdle",
            severity=Severity.WARNING,
            wait="10m",
            expr="""
            max by (session_id) (
              avg_over_time(training_gpu_utilization_ratio[10m])
                and on (job, instance, session_id) training_session_connected == 1
            ) < 0.1
              and on (session_id)
                sum by (session_id) (rate(training_phase_seconds_total{phase=~"training|data|compute"}[10m])) > 0.8
              unless on (session_id) max by (session_id) (training_gpu_memory_used_bytes) < 250e6
              unless on (session_id) training:canary
            """,
            summary="The GPUs of {{ $labels.session_id }} are idle",
            description="""
            For twenty minutes the session {{ $labels.session_id }} has trained, and even its busiest GPU was in use for only
            {{ $value | humanizePercentage }} of the time. Most often the loop waits for its data: see the share of the phase data
            on its page, and give it more loader processes, faster storage or larger batches. A model that is so small trains as
            well without a GPU.
            """,
            page=SESSION_PAGE,
            board=SESSION_BOARD,
            note="""
            The busiest one, since a process may see more GPUs than it uses. A process that trains on the CPU has next to nothing
            in the memory of the GPUs that it sees. What hangs is not training.
            """,
        ),
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
