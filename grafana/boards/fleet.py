"""The board of all sessions and bridges."""

from bridge.alert_rules.inlined import inlined
from grafana.board import SESSIONS, board
from grafana.links import images_at_point
from grafana.panels import Query, bar_gauge, row, stat, table, timeseries
from grafana.promql import with_bridge


def _count_of(alert: str) -> str:
    """Return the query for how many sessions an alert is about, whether the rules are loaded or not."""
    return f"count({inlined(alert)}) or vector(0)"


FLEET = board(
    uid="trainbridge-fleet",
    title="Fleet",
    description="All training sessions and the bridges that report them.",
    variables=(SESSIONS,),
    panels=(
        stat(
            "Running",
            "Sessions that report running and are connected. One that hangs is among them, and counts as stalled, too.",
            'count(max by (session_id) (training_session_status{status="running"} == 1 and ignoring (status) training_session_connected == 1)) or vector(0)',
            steps=((None, "green"),),
        ),
        stat(
            "Stalled",
            "Connected sessions that report running and have finished no step for five minutes, or twenty times as long as a step takes. The same as the alert TrainingStalled, which says what to do.",
            _count_of("TrainingStalled"),
            steps=((None, "green"), (1, "red")),
        ),
        stat(
            "Disconnected",
            "Sessions that no bridge has connected and none saw end. The same as the alert TrainingDisconnected, which says what to do.",
            _count_of("TrainingDisconnected"),
            steps=((None, "green"), (1, "red")),
        ),
        stat(
            "Failed",
            "Sessions that failed within the last hour and have not begun again; a stop, Ctrl-C and SIGTERM are not failures. Their pages say why.",
            _count_of("TrainingFailed"),
            width=2,
            steps=((None, "green"), (1, "red")),
        ),
        stat(
            "Goodput",
            "Share of the last hour that sessions spent in training. The rest went into start-up, validation, checkpoints, waiting for data, stalls, and what was lost between attempts: see Sessions by phase.",
            'sum(increase(training_phase_seconds_total{phase="training"}[1h])) / (sum(increase(training_phase_seconds_total[1h])) > 0)',
            unit="percentunit",
            sparkline=True,
            defaults={"decimals": 0, "min": 0, "max": 1},
        ),
        stat(
            "Batches",
            "Batches of all sessions in a second.",
            "sum(rate(training_batches_total[$__rate_interval]))",
            unit="suffix:/s",
            sparkline=True,
            defaults={"decimals": 1},
        ),
        stat(
            "Samples",
            "Samples that all sessions trained on in a second.",
            "sum(rate(training_samples_total[$__rate_interval]))",
            unit="suffix:/s",
            sparkline=True,
            defaults={"decimals": 0},
        ),
        stat(
            "GPU use",
            "Mean use of all GPUs of all sessions. Low while sessions run: something else holds them up, most often their data.",
            "avg(max by (session_id, gpu) (training_gpu_utilization_ratio))",
            width=2,
            unit="percentunit",
            sparkline=True,
            defaults={"decimals": 0, "min": 0, "max": 1},
        ),
        stat(
            "Bridges up",
            "Bridges that are scraped, of all that were within the last hour. Red: one does not answer.",
            "sum(up and on (job, instance) last_over_time(bridge_build_info[1h])) / count(up and on (job, instance) last_over_time(bridge_build_info[1h]))",
            width=2,
            unit="percentunit",
            steps=((None, "red"), (1, "green")),
            defaults={"decimals": 0, "min": 0, "max": 1},
        ),
        table(
            "Sessions",
            "Every session that has series, those without a step for longest first. A click on its name opens its page on its bridge, with curves and images.",
            "max by (session_id, model_name, dataset_name, public_url) ((training_session_info and on (job, instance, session_id) training_session_last_update_timestamp_seconds >= on (session_id) group_left () (max by (session_id) (last_over_time(training_session_last_update_timestamp_seconds[2h])))) * on (job, instance) group_left (public_url) bridge_build_info)",
            'max by (session_id) ((training_session_status{status="initializing"} * 1 or training_session_status{status="running"} * 2 or training_session_status{status="paused"} * 3 or training_session_status{status="completed"} * 4 or training_session_status{status="failed"} * 5 or training_session_status{status="stopped"} * 6 or training_session_status{status="interrupted"} * 7 or training_session_status{status="terminated"} * 8 or training_session_status{status="disconnected"} * 9 or training_session_status{status="lost"} * 10) and on (job, instance, session_id) training_session_last_update_timestamp_seconds >= on (session_id) group_left () (max by (session_id) (last_over_time(training_session_last_update_timestamp_seconds[2h]))))',
            "clamp_max((max by (session_id) (training_epochs_completed_total) > 0) / (max by (session_id) (training_epochs_planned) > 0) or (max by (session_id) (training_batch + 1)) / (max by (session_id) (training_batches_per_epoch) * max by (session_id) (training_epochs_planned) > 0), 1)",
            "max by (session_id) (training_epoch) unless on (session_id) (max by (session_id) (training_epoch) == 0 and max by (session_id) (training_epochs_planned) == 1 and max by (session_id) (training_step) >= 0)",
            Query("max by (session_id) (training_step)", ref="M"),
            Query("max by (session_id) (training_loss)", ref="E"),
            Query(
                "max by (session_id) (training_validation_accuracy_ratio) or max by (session_id) (training_epoch_accuracy_ratio)",
                ref="F",
            ),
            Query("max by (session_id) (training_frames_per_second)", ref="G"),
            Query("avg by (session_id) (training_gpu_utilization_ratio)", ref="H"),
            Query(
                'max by (session_id) (training_estimated_time_remaining_seconds and on (job, instance, session_id) training_session_status{status=~"running|paused"} == 1)',
                ref="I",
            ),
            Query("time() - max by (session_id) (training_last_batch_timestamp_seconds)", ref="J"),
            Query(
                'sum by (session_id) (training_phase_seconds_total{phase="training"} and ignoring (phase) training_session_last_update_timestamp_seconds >= on (session_id) group_left () (max by (session_id) (last_over_time(training_session_last_update_timestamp_seconds[2h])))) / (sum by (session_id) (training_phase_seconds_total and ignoring (phase) training_session_last_update_timestamp_seconds >= on (session_id) group_left () (max by (session_id) (last_over_time(training_session_last_update_timestamp_seconds[2h])))) > 0)',
                ref="K",
            ),
            Query(
                "max by (session_id, phase) (training_phase == 1 and on (job, instance, session_id) training_session_last_update_timestamp_seconds >= on (session_id) group_left () (max by (session_id) (last_over_time(training_session_last_update_timestamp_seconds[2h]))))",
                ref="L",
            ),
            width=24,
            height=10,
            unit="none",
            overrides=[
                {
                    "matcher": {"id": "byName", "options": "Session"},
                    "properties": [
                        {"id": "custom.minWidth", "value": 180},
                        {
                            "id": "links",
                            "value": [
                                {
                                    "title": "Page of this session",
                                    "targetBlank": True,
                                    "url": "${__data.fields.Bridge}/sessions/${__data.fields.Session}",
                                }
                            ],
                        },
                    ],
                },
                {
                    "matcher": {"id": "byName", "options": "Bridge"},
                    "properties": [{"id": "custom.hidden", "value": True}],
                },
                {
                    "matcher": {"id": "byName", "options": "Status"},
                    "properties": [
                        {"id": "custom.cellOptions", "value": {"type": "color-text"}},
                        {"id": "custom.width", "value": 110},
                        {
                            "id": "mappings",
                            "value": [
                                {
                                    "type": "value",
                                    "options": {
                                        "0": {"text": "unknown", "color": "text", "index": 0},
                                        "1": {"text": "initializing", "color": "blue", "index": 1},
                                        "2": {"text": "running", "color": "green", "index": 2},
                                        "3": {"text": "paused", "color": "yellow", "index": 3},
                                        "4": {"text": "completed", "color": "purple", "index": 4},
                                        "5": {"text": "failed", "color": "red", "index": 5},
                                        "6": {"text": "stopped", "color": "purple", "index": 6},
                                        "7": {"text": "interrupted", "color": "orange", "index": 7},
                                        "8": {"text": "terminated", "color": "orange", "index": 8},
                                        "9": {
                                            "text": "disconnected",
                                            "color": "orange",
                                            "index": 9,
                                        },
                                        "10": {"text": "lost", "color": "red", "index": 10},
                                    },
                                }
                            ],
                        },
                    ],
                },
                {
                    "matcher": {"id": "byName", "options": "Progress"},
                    "properties": [
                        {"id": "unit", "value": "percentunit"},
                        {"id": "min", "value": 0},
                        {"id": "max", "value": 1},
                        {
                            "id": "custom.cellOptions",
                            "value": {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
                        },
                        {"id": "color", "value": {"mode": "fixed", "fixedColor": "blue"}},
                        {"id": "custom.minWidth", "value": 140},
                    ],
                },
                {
                    "matcher": {"id": "byName", "options": "Loss"},
                    "properties": [{"id": "decimals", "value": 4}],
                },
                {
                    "matcher": {"id": "byName", "options": "Accuracy"},
                    "properties": [
                        {"id": "unit", "value": "percentunit"},
                        {"id": "decimals", "value": 1},
                    ],
                },
                {
                    "matcher": {"id": "byName", "options": "Samples/s"},
                    "properties": [
                        {"id": "unit", "value": "short"},
                        {"id": "decimals", "value": 1},
                    ],
                },
                {
                    "matcher": {"id": "byName", "options": "GPU"},
                    "properties": [
                        {"id": "unit", "value": "percentunit"},
                        {"id": "decimals", "value": 0},
                    ],
                },
                {
                    "matcher": {"id": "byName", "options": "Time to go"},
                    "properties": [{"id": "unit", "value": "s"}, {"id": "decimals", "value": 0}],
                },
                {
                    "matcher": {"id": "byName", "options": "Last step"},
                    "properties": [
                        {"id": "unit", "value": "s"},
                        {"id": "decimals", "value": 0},
                        {"id": "custom.cellOptions", "value": {"type": "color-text"}},
                        {
                            "id": "thresholds",
                            "value": {
                                "mode": "absolute",
                                "steps": [
                                    {"color": "text", "value": None},
                                    {"color": "yellow", "value": 60},
                                    {"color": "red", "value": 300},
                                ],
                            },
                        },
                    ],
                },
                {
                    "matcher": {"id": "byName", "options": "Goodput"},
                    "properties": [
                        {"id": "unit", "value": "percentunit"},
                        {"id": "decimals", "value": 0},
                    ],
                },
            ],
            options={"sortBy": [{"displayName": "Last step", "desc": True}]},
            transformations=[
                {"id": "joinByField", "options": {"byField": "session_id", "mode": "outer"}},
                {
                    "id": "filterFieldsByName",
                    "options": {
                        "include": {
                            "names": [
                                "session_id",
                                "Value #B",
                                "phase",
                                "Value #C",
                                "Value #D",
                                "Value #M",
                                "Value #E",
                                "Value #F",
                                "Value #G",
                                "Value #H",
                                "Value #K",
                                "Value #I",
                                "Value #J",
                                "model_name",
                                "dataset_name",
                                "public_url",
                            ]
                        }
                    },
                },
                {
                    "id": "organize",
                    "options": {
                        "excludeByName": {},
                        "indexByName": {
                            "session_id": 0,
                            "Value #B": 1,
                            "phase": 2,
                            "Value #C": 3,
                            "Value #D": 4,
                            "Value #M": 5,
                            "Value #E": 6,
                            "Value #F": 7,
                            "Value #G": 8,
                            "Value #H": 9,
                            "Value #K": 10,
                            "Value #I": 11,
                            "Value #J": 12,
                            "model_name": 13,
                            "dataset_name": 14,
                            "public_url": 15,
                        },
                        "renameByName": {
                            "session_id": "Session",
                            "model_name": "Model",
                            "dataset_name": "Data set",
                            "public_url": "Bridge",
                            "Value #B": "Status",
                            "Value #C": "Progress",
                            "Value #D": "Epoch",
                            "Value #M": "Step",
                            "Value #E": "Loss",
                            "Value #F": "Accuracy",
                            "Value #G": "Samples/s",
                            "Value #H": "GPU",
                            "Value #I": "Time to go",
                            "Value #K": "Goodput",
                            "phase": "Phase",
                            "Value #J": "Last step",
                        },
                    },
                },
            ],
        ),
        row("Training"),
        timeseries(
            "Loss",
            "The highest loss of each session between two points, so that no spike hides. A click opens the images of that moment.",
            Query(
                with_bridge("max_over_time(training_loss_interval_max[$__interval])"),
                "{{session_id}}",
            ),
            width=12,
            is_log=True,
            links=(images_at_point(),),
        ),
        timeseries(
            "Accuracy",
            "Accuracy after each epoch: of the validation where there is one, else of the training.",
            Query(
                "max by (session_id) (training_validation_accuracy_ratio) or max by (session_id) (training_epoch_accuracy_ratio)",
                "{{session_id}}",
            ),
            width=12,
            unit="percentunit",
            defaults={"min": 0, "max": 1},
        ),
        timeseries(
            "Batches per second",
            "How fast each session goes. A session that falls while the others do not has a trouble of its own.",
            Query(
                "sum by (session_id) (rate(training_batches_total[$__rate_interval]))",
                "{{session_id}}",
            ),
            unit="suffix:/s",
            defaults={"min": 0},
        ),
        timeseries(
            "Time of a batch, p95",
            "Nineteen batches of twenty take no longer than this.",
            Query(
                "histogram_quantile(0.95, sum by (session_id, le) (rate(training_batch_duration_seconds_bucket[$__rate_interval])))",
                "{{session_id}}",
            ),
            unit="s",
            defaults={"min": 0},
        ),
        timeseries(
            "GPU use by session",
            "Mean use of the GPUs of each session.",
            Query("avg by (session_id) (training_gpu_utilization_ratio)", "{{session_id}}"),
            unit="percentunit",
            defaults={"min": 0, "max": 1},
        ),
        timeseries(
            "Goodput by session",
            "Share of its time that each session spent in training. Low: its phases say what it does instead; none: it makes no step.",
            Query(
                'sum by (session_id) (rate(training_phase_seconds_total{phase="training"}[$__rate_interval])) / (sum by (session_id) (rate(training_phase_seconds_total[$__rate_interval])) > 0)',
                "{{session_id}}",
            ),
            unit="percentunit",
            defaults={"min": 0, "max": 1},
        ),
        timeseries(
            "Sessions by phase",
            "How many sessions are busy with what. Stalled: no step comes. Lost: the time between two attempts of a session, in one piece as the next one begins.",
            Query(
                "sum by (phase) (rate(training_phase_seconds_total[$__rate_interval]))", "{{phase}}"
            ),
            defaults={"min": 0},
            custom={"fillOpacity": 40, "stacking": {"mode": "normal", "group": "A"}},
        ),
        bar_gauge(
            "Ends by kind",
            "Sessions that ended within the time shown, by how. Terminated is SIGTERM, as at a preemption; lost is what fell silent and never came back.",
            Query(
                'count by (status) (max by (session_id, status) (last_over_time(training_session_status{status=~"completed|failed|stopped|interrupted|terminated"}[$__range]) == 1 or (last_over_time(training_session_status{status="lost"}[$__range]) == 1 and ignoring (status) last_over_time(training_session_last_update_timestamp_seconds[$__range]) >= on (session_id) group_left () max by (session_id) (last_over_time(training_session_last_update_timestamp_seconds[$__range])))))',
                "{{status}}",
                is_instant=True,
            ),
            overrides=[
                {
                    "matcher": {"id": "byName", "options": "completed"},
                    "properties": [
                        {"id": "color", "value": {"mode": "fixed", "fixedColor": "purple"}}
                    ],
                },
                {
                    "matcher": {"id": "byName", "options": "failed"},
                    "properties": [
                        {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}}
                    ],
                },
                {
                    "matcher": {"id": "byName", "options": "stopped"},
                    "properties": [
                        {"id": "color", "value": {"mode": "fixed", "fixedColor": "blue"}}
                    ],
                },
                {
                    "matcher": {"id": "byName", "options": "interrupted"},
                    "properties": [
                        {"id": "color", "value": {"mode": "fixed", "fixedColor": "orange"}}
                    ],
                },
                {
                    "matcher": {"id": "byName", "options": "terminated"},
                    "properties": [
                        {"id": "color", "value": {"mode": "fixed", "fixedColor": "yellow"}}
                    ],
                },
                {
                    "matcher": {"id": "byName", "options": "lost"},
                    "properties": [
                        {"id": "color", "value": {"mode": "fixed", "fixedColor": "dark-red"}}
                    ],
                },
            ],
        ),
        row("Bridges"),
        timeseries(
            "Commit duration",
            "How long the disk takes; no Ack goes out before. Near a second: give the state folder a faster disk.",
            Query(
                "histogram_quantile(0.99, sum by (instance, le) (rate(bridge_commit_duration_seconds_bucket[$__rate_interval])))",
                "{{instance}} p99",
            ),
            Query(
                "histogram_quantile(0.5, sum by (instance, le) (rate(bridge_commit_duration_seconds_bucket[$__rate_interval])))",
                "{{instance}} p50",
            ),
            unit="s",
            defaults={"min": 0},
        ),
        timeseries(
            "Uploads",
            "Shards of images that went to the object store, or did not. What failed is tried again.",
            Query("sum by (result) (rate(bridge_uploads_total[$__rate_interval]))", "{{result}}"),
            unit="suffix:/s",
            defaults={"min": 0},
            overrides=[
                {
                    "matcher": {"id": "byName", "options": "stored"},
                    "properties": [
                        {"id": "color", "value": {"mode": "fixed", "fixedColor": "green"}}
                    ],
                },
                {
                    "matcher": {"id": "byName", "options": "failed"},
                    "properties": [
                        {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}}
                    ],
                },
            ],
        ),
        timeseries(
            "Spool",
            "How full the room for images is that wait for the object store. From 90 % on most are left out, from 95 % all.",
            Query(
                "max by (instance) (bridge_spool_bytes / (bridge_spool_limit_bytes > 0))",
                "{{instance}}",
            ),
            unit="percentunit",
            steps=((None, "transparent"), (0.9, "orange"), (0.95, "red")),
            defaults={"min": 0, "max": 1},
            custom={"thresholdsStyle": {"mode": "line"}},
        ),
        timeseries(
            "Streams",
            "Open streams of each bridge; a stream stays where it is until it ends.",
            Query("sum by (instance) (bridge_streams)", "{{instance}}"),
            defaults={"min": 0},
        ),
        timeseries(
            "Messages",
            "Messages that trainers sent in a second, by kind.",
            Query(
                "sum by (kind) (rate(bridge_requests_received_total[$__rate_interval]))", "{{kind}}"
            ),
            unit="suffix:/s",
            defaults={"min": 0},
        ),
        timeseries(
            "Errors and drops",
            "What was answered with an error, and what was left out at a limit. Anything above zero has a reason in the log.",
            Query("sum by (code) (rate(bridge_errors_total[$__rate_interval]))", "error {{code}}"),
            Query(
                "sum by (what, reason) (rate(bridge_dropped_total[$__rate_interval]))",
                "dropped {{what}}: {{reason}}",
            ),
            unit="suffix:/s",
            defaults={"min": 0},
        ),
    ),
)
