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
            The disk of {{ $labels.instance }} refuses every commit, so no Ack goes out. Most often the disk of the state
            folder is full or gone: the log says which. Trainings keep what they have to say for some time.
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
            late. Give the state folder a faster disk.
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
            spans wait in the outbox, and nothing is lost until these are full; what cannot be written to state_folder is
            not acknowledged, and clients keep it.
            """,
            board=BRIDGE_BOARD,
            note="""
            A connection that works again is checked five minutes later at the latest.
            """,
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
