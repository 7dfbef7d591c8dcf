"""Whether trainings make progress: those that hang, that were cut off and that failed."""

from bridge.alert_rules.rule import (
    SESSION_BOARD,
    SESSION_IMAGES,
    SESSION_PAGE,
    Alert,
    Group,
    Recording,
    Severity,
)
from bridge.protocol import CANARY_CLIENT

PROGRESS = Group(
    "trainbridge-training",
    (
        Recording(
            name="training:last_update_timestamp_seconds",
            expr="""
            max by (session_id) (last_over_time(training_session_last_update_timestamp_seconds[2h]))
            """,
            meaning="When any bridge has heard from the session last, within two hours.",
            note="""
            Two hours are longer than a bridge shows a session that has left it (session_lost_seconds and session_linger_seconds:
            65 minutes together by default; where they are longer, these two hours have to be, too).
            """,
        ),
        Recording(
            name="training:canary",
            expr=f"""
            max by (session_id) (last_over_time(training_session_info{{client_name="{CANARY_CLIENT}"}}[2h]))
            """,
            meaning="1 for the sessions of `trainbridge canary`, which are no trainings.",
            note="""
            A canary judges its own sessions and has rules of its own, so none of them raises an alert about a training.
            """,
        ),
        Recording(
            name="training:attempt",
            expr="""
            count_values without () ("attempt", training_attempt)
            """,
            meaning="1 for each copy of a session, with its attempt as a label: what was before is of another attempt.",
            note="""
            Without (), since with three labels to keep Prometheus 2 loses one of them where the expression is evaluated for several times.
            """,
        ),
        Recording(
            name="training:goodput_ratio",
            expr="""
            sum by (session_id) (
              training_phase_seconds_total{phase="training"}
                and ignoring (phase) training_session_last_update_timestamp_seconds
                  >= on (session_id) group_left () training:last_update_timestamp_seconds
            )
              / (
                sum by (session_id) (
                  training_phase_seconds_total
                    and ignoring (phase) training_session_last_update_timestamp_seconds
                      >= on (session_id) group_left () training:last_update_timestamp_seconds
                ) > 0
              )
            """,
            meaning="The share of its time that the session has trained, since it began.",
            note="""
            Time between attempts (lost) and without steps (stalled) counts.
            """,
        ),
        Recording(
            name="training:goodput_ratio:increase1h",
            expr="""
            sum by (session_id) (increase(training_phase_seconds_total{phase="training"}[1h]))
              / (sum by (session_id) (increase(training_phase_seconds_total[1h])) > 0)
            """,
            meaning="The same within the last hour.",
        ),
        Alert(
            name="TrainingStalled",
            severity=Severity.WARNING,
            wait="1m",
            expr="""
            (
              time() - max by (session_id) (training_last_batch_timestamp_seconds) > 300
                unless on (session_id)
                  time() - max by (session_id) (training_last_batch_timestamp_seconds)
                    <= 20 * sum by (session_id) (training_batch_duration_seconds_sum)
                      / sum by (session_id) (training_batch_duration_seconds_count)
                or max by (session_id) (
                  training_phase_seconds_total{phase="stalled"}
                    and increase(training_phase_seconds_total{phase="stalled"}[5m]) > 0
                )
                  unless on (session_id) training_last_batch_timestamp_seconds
            )
              and on (session_id) (
                training_session_status{status="running"} == 1
                  and ignoring (status) training_session_connected == 1
              )
              unless on (session_id) (
                max_over_time(training_phase{phase!~"training|data|stalled"}[5m]) == 1
                  and on (session_id) training_session_connected == 1
              )
              unless on (session_id) training:canary
            """,
            summary="Training {{ $labels.session_id }} makes no step",
            description="""
            The loop of the session {{ $labels.session_id }} is connected and reports that it runs, but has finished no
            step for {{ $value | humanizeDuration }}. Most often it waits in a collective operation for a rank that has
            ended or fallen behind, or for its data. Its page shows the last step, what it is busy with, and, for a run of
            several ranks, each rank: look at the one with the fewest steps or another phase, and see what it does (py-spy
            dump --pid PID). A loop that hangs does not obey a stop command: end its processes, and resume from its last
            checkpoint.
            """,
            page=SESSION_PAGE,
            images=SESSION_IMAGES,
            board=SESSION_BOARD,
            note="""
            By steps, never by messages: a loop that hangs keeps its heartbeats. What is busy with something else, such as
            validation, is not stalled, nor is it within five minutes after that, and neither is what has not begun. The bridge and the SDK count time as phase="stalled" by
            the same 300 seconds and 20 steps; that is what is left of a session that hung before it came to a bridge without its state.
            """,
        ),
        Alert(
            name="TrainingDisconnected",
            severity=Severity.WARNING,
            wait="5m",
            expr="""
            time() - training:last_update_timestamp_seconds
              and on (session_id) (
                (
                  training_session_status{status=~"disconnected|lost"} == 1
                    or last_over_time(training_session_status{status=~"unknown|initializing|running|paused|disconnected"}[2h]) == 1
                      unless ignoring (status) training_session_connected
                )
                  and ignoring (status) last_over_time(training_session_last_update_timestamp_seconds[2h])
                    >= on (session_id) group_left () training:last_update_timestamp_seconds
              )
              unless on (session_id) training_session_connected == 1
              and on () count(bridge_build_info)
              unless on (session_id) training:canary
            """,
            summary="Training {{ $labels.session_id }} is connected to no bridge",
            description="""
            Nothing has come from the session {{ $labels.session_id }} for {{ $value | humanizeDuration }}, not even a
            heartbeat, and no bridge saw it end. Its process was killed, its machine is gone, or no bridge can be reached
            from there: see which with your scheduler and in the log of the training. What it has reported is kept. Where
            its process lives, it reconnects and delivers the rest by itself; where not, start it again under the same
            name, from its last checkpoint.
            """,
            page=SESSION_PAGE,
            images=SESSION_IMAGES,
            board=SESSION_BOARD,
            note="""
            The newest copy is not connected and has not ended; or the bridge that had it is gone, or came back without it, and no
            other has heard from the session since. Where no bridge is up at all, that is what BridgesGone says.
            """,
        ),
        Alert(
            name="TrainingFailed",
            severity=Severity.INFO,
            expr="""
            max by (session_id) (
              last_over_time(training_session_status{status="failed"}[1h]) == 1
                and ignoring (status) last_over_time(training_session_last_update_timestamp_seconds[2h])
                  >= on (session_id) group_left () training:last_update_timestamp_seconds
            )
              unless on (session_id) training:canary
            """,
            summary="Training {{ $labels.session_id }} has failed",
            description="""
            The session {{ $labels.session_id }} reported that it failed, or its process ended with an exception. Its page
            says which. The alert ends as soon as the session is trained again, or an hour after its series ended.
            """,
            page=SESSION_PAGE,
            images=SESSION_IMAGES,
            board=SESSION_BOARD,
            note="""
            Ends by stop, Ctrl-C or SIGTERM are no failures. It stays for an hour, though the series go minutes after the end.
            """,
        ),
    ),
    note="""
    A session may move from one bridge to another, so whatever is about a session is identified by session_id, never by bridge.
    A copy is what one bridge knows of a session. The newest copy counts: that of the bridge that heard from the session last.
    """,
)
