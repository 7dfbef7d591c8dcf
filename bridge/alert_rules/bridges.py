"""Whether the bridges themselves are well, and what they depend on."""

from bridge.alert_rules.rule import (
    BRIDGE_BOARD,
    Alert,
    Group,
    Severity,
)

BRIDGES = Group(
    "trainbridge-bridge",
    (
        Alert(
            name="BridgeDown",
            severity=Severity.CRITICAL,
            wait="2m",
            expr="""
            up == 0 and on (job, instance) count by (job, instance) (last_over_time(bridge_build_info[1h]))
            """,
            summary="The bridge {{ $labels.instance }} cannot be scraped",
            description="""
            {{ $labels.instance }} was a bridge within the last hour, and does not answer. Trainings go on and keep what
            they have to say for some time. See its log, and whether it was killed for want of memory.
            """,
            board=BRIDGE_BOARD,
        ),
        Alert(
            name="BridgesGone",
            severity=Severity.CRITICAL,
            wait="5m",
            expr="""
            max_over_time(count(bridge_build_info)[1h:1m]) unless on () count(bridge_build_info)
            """,
            summary="No bridge is up",
            description="""
            Up to {{ $value }} bridges were scraped within the last hour, and none is now. Either none runs, or Prometheus
            no longer knows where they are.
            """,
        ),
        Alert(
            name="BridgeCommitsFailing",
            severity=Severity.CRITICAL,
            wait="2m",
            expr="""
            increase(bridge_commit_failures_total[5m]) > 0
              unless rate(bridge_commit_duration_seconds_count[5m]) > 0
            """,
            summary="The bridge {{ $labels.instance }} commits nothing",
            description="""
            Every commit of {{ $labels.instance }} fails, so no Ack goes out. Most often the disk of the state folder is full
            or gone, or the PostgreSQL that bridges share is away: the log says which. Trainings keep what they have to say
            for some time.
            """,
            board=BRIDGE_BOARD,
        ),
        Alert(
            name="BridgeCommitsSlow",
            severity=Severity.WARNING,
            wait="10m",
            expr="""
            histogram_quantile(0.99, sum without (kind) (rate(bridge_commit_duration_seconds_bucket[5m]))) > 1
            """,
            summary="The bridge {{ $labels.instance }} commits slowly",
            description="""
            One commit in a hundred takes {{ $value | humanizeDuration }} or more on {{ $labels.instance }}, so Acks are
            late. Give the state folder a faster disk; where bridges share a PostgreSQL, see what that waits for: its disk,
            its standbys, or the network.
            """,
            board=BRIDGE_BOARD,
        ),
        Alert(
            name="BridgeUploadsFailing",
            severity=Severity.WARNING,
            wait="5m",
            expr="""
            increase(bridge_uploads_total{result="failed"}[15m]) > 0
              unless on (job, instance) increase(bridge_uploads_total{result="stored"}[15m]) > 0
            """,
            summary="The object store takes nothing from {{ $labels.instance }}",
            description="""
            Every upload of {{ $labels.instance }} has failed for a quarter of an hour. Images wait in its spool and
            nothing is lost until that is full. See whether the store answers, and whether the keys and the bucket are
            right: the log says what the store answered.
            """,
            board=BRIDGE_BOARD,
        ),
        Alert(
            name="BridgeSpoolFilling",
            severity=Severity.WARNING,
            wait="5m",
            expr="""
            bridge_spool_bytes / (bridge_spool_limit_bytes > 0) > 0.7
            """,
            summary="The spool of {{ $labels.instance }} is {{ $value | humanizePercentage }} full",
            description="""
            Images come faster to {{ $labels.instance }} than the object store takes them. From 90 % on only the first
            batch of each epoch keeps its images, from 95 % on none. See BridgeUploadsFailing; else raise
            --spool-max-bytes, or let fewer images be kept.
            """,
            board=BRIDGE_BOARD,
        ),
        Alert(
            name="BridgeSpoolDown",
            severity=Severity.WARNING,
            wait="2m",
            expr="""
            bridge_spool_up == 0
            """,
            summary="The bridge {{ $labels.instance }} cannot write images to its spool",
            description="""
            Images that reach {{ $labels.instance }} are dropped, since its spool cannot be written to; numbers are not affected.
            /readyz?verbose of that bridge and its log say what is wrong: most often the disk is full or read-only, or the
            folder was removed.
            """,
            board=BRIDGE_BOARD,
        ),
        Alert(
            name="BridgeSpansStuck",
            severity=Severity.WARNING,
            wait="5m",
            expr="""
            min_over_time(bridge_span_outbox[15m]) > 0
              unless on (job, instance) increase(bridge_spans_total{result="exported"}[15m]) > 0
            """,
            summary="Spans of {{ $labels.instance }} are not accepted",
            description="""
            {{ $value }} spans or more wait on {{ $labels.instance }} for the OTLP endpoint, and none was taken for a
            quarter of an hour. When the outbox is full the oldest are dropped. See whether the endpoint answers.
            """,
            board=BRIDGE_BOARD,
        ),
        Alert(
            name="BridgeConnectionDown",
            severity=Severity.WARNING,
            wait="10m",
            expr="""
            bridge_connection_up == 0
            """,
            summary="The bridge {{ $labels.instance }} cannot use its connection {{ $labels.connection }}",
            description="""
            Every check of {{ $labels.connection }} has failed on {{ $labels.instance }} for ten minutes. /readyz?verbose
            of that bridge, and its log, say in one sentence what is wrong and what to change; trainbridge check-config
            --connect with its settings tries again at once. Without object_store images wait in the spool, without otlp
            spans wait in the outbox, and nothing is lost until these are full; what cannot be written to state_folder or
            database is not acknowledged, and clients keep it.
            """,
            board=BRIDGE_BOARD,
            note="""
            A connection that works again is checked five minutes later at the latest.
            """,
        ),
        Alert(
            name="BridgeSessionsNearLimit",
            severity=Severity.WARNING,
            wait="5m",
            expr="""
            sum by (job, instance) (bridge_sessions) / on (job, instance) (bridge_sessions_limit > 0) > 0.9
            """,
            summary="The bridge {{ $labels.instance }} holds {{ $value | humanizePercentage }} of the sessions it may",
            description="""
            Above the limit of {{ $labels.instance }} new trainings are refused, and get no telemetry. Raise --max-sessions if its
            memory and your Prometheus have room for more series, add a bridge, or shorten session_linger_seconds and
            session_lost_seconds, for which sessions stay after their end. `trainbridge sessions` lists what is there: many short
            sessions of one kind are most often a loop that crashes and begins anew under another name.
            """,
            board=BRIDGE_BOARD,
        ),
        Alert(
            name="BridgeRefusing",
            severity=Severity.WARNING,
            expr="""
            sum by (job, instance) (
              increase(bridge_errors_total{code="RESOURCE_EXHAUSTED"}[10m]) > 0
                or bridge_errors_total{code="RESOURCE_EXHAUSTED"}
                  unless bridge_errors_total{code="RESOURCE_EXHAUSTED"} offset 10m
            )
            """,
            summary="The bridge {{ $labels.instance }} refuses clients for a limit",
            description="""
            About {{ $value | printf "%.0f" }} times in ten minutes {{ $labels.instance }} has refused a stream or a session, since
            there are as many as it may hold. The clients go on training, keep what they can, and try again. Its log names the
            limit and the setting to raise; bridge_streams_refused_total says which limits of streams were met.
            """,
            board=BRIDGE_BOARD,
            note="""
            A counter of refusals begins with the first one, which is not an increase: a new one counts as it is.
            """,
        ),
        Alert(
            name="BridgeSlow",
            severity=Severity.WARNING,
            wait="5m",
            expr="""
            min_over_time(bridge_event_loop_lag_seconds[5m]) > 1
            """,
            summary="The bridge {{ $labels.instance }} does not keep up",
            description="""
            The event loop of {{ $labels.instance }} has been late by {{ $value | humanizeDuration }} or more in every interval of
            five minutes, so Acks, scrapes and pages are late, too. See whether its CPU is throttled by a limit or shared with
            others, and what it receives: fewer images or sessions on it, more CPU, or one more bridge.
            """,
            board=BRIDGE_BOARD,
        ),
        Alert(
            name="BridgeDropping",
            severity=Severity.WARNING,
            expr="""
            sum without (reason) (
              increase(bridge_dropped_total[10m]) > 0
                or bridge_dropped_total unless bridge_dropped_total offset 10m
            )
            """,
            summary="The bridge {{ $labels.instance }} loses what it cannot keep ({{ $labels.what }})",
            description="""
            About {{ $value | printf "%.0f" }} times in ten minutes {{ $labels.instance }} met a limit and left something
            out. bridge_dropped_total says what and why.
            """,
            board=BRIDGE_BOARD,
            note="""
            A counter of drops begins with the first one, which is not an increase: a new one counts as it is.
            """,
        ),
    ),
)
