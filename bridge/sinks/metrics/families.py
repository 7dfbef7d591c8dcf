"""The table of families of series about training sessions."""

from bridge.families import Family, Type

LOSS_BUCKETS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0),
)
"""Three per decade, so that a spike has a bucket of its own, and with it an exemplar."""

DURATION_BUCKETS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
CONFIDENCE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def _gauge(name: str, help: str, source: str, attribute: str = "", *labels: str) -> Family:
    attribute = attribute or name.removeprefix("training_")
    return Family(name, Type.GAUGE, help, source, ("session_id", *labels), attribute)


def _counter(name: str, help: str, source: str, *labels: str) -> Family:
    attribute = name.removeprefix("training_").removesuffix("_total")
    return Family(name, Type.COUNTER, help, source, ("session_id", *labels), attribute)


def _histogram(
    name: str, help: str, source: str, buckets: tuple[float, ...], *labels: str
) -> Family:
    attribute = name.removeprefix("training_")
    labels = ("session_id", *labels)
    return Family(name, Type.HISTOGRAM, help, source, labels, attribute, buckets)


TRAINING_FAMILIES = (
    _gauge(
        "training_session_info",
        "Labels that describe the session; always 1.",
        "SessionInfo, TrainingConfig",
        "session_info",
        *("client_name", "client_version", "model_name", "dataset_name", "trace_id"),
        *("run_id", "rank", "world_size", "label_*"),
    ),
    _gauge(
        "training_session_status",
        "1 for the status the training loop reported last, or for disconnected or lost; 0 for the others.",
        "StatusUpdate.status and ending, the stream",
        "session_status",
        "status",
    ),
    _gauge(
        "training_session_connected",
        "1 while a stream of the session is open and not silent, else 0.",
        "the stream",
    ),
    _gauge(
        "training_session_start_timestamp_seconds",
        "When this attempt of the session was registered.",
        "the clock of the bridge",
    ),
    _gauge(
        "training_session_last_update_timestamp_seconds",
        "When the last message of the session arrived, heartbeats included.",
        "the clock of the bridge",
    ),
    _gauge(
        "training_attempt",
        "Which attempt of the session this is, from 1; counters start anew with each.",
        "the registry",
    ),
    _gauge(
        "training_last_batch_timestamp_seconds",
        "When the last batch arrived; nothing else moves it.",
        "BatchData; PerformanceData.batch_count and global_step of processes that send none",
    ),
    _gauge(
        "training_phase",
        "1 for what the training loop is busy with, 0 for what it was busy with before; all 0 while it is disconnected.",
        "StatusUpdate.phase, PerformanceData.phase; else statuses and batches",
        "phase",
        "phase",
    ),
    _counter(
        "training_phase_seconds_total",
        "Time spent in each phase; stalled: without the steps that were to come; lost: between attempts.",
        "phase_seconds of StatusUpdate and PerformanceData; else the clock of the bridge",
        "phase",
    ),
    _gauge("training_epoch", "Epoch of the last batch.", "BatchData.epoch"),
    _gauge(
        "training_epochs_planned",
        "Epochs the run is planned to have.",
        "TrainingConfig.total_epochs",
    ),
    _gauge("training_batch", "Index of the last batch within its epoch.", "BatchData.batch_idx"),
    _gauge(
        "training_batches_per_epoch",
        "Batches per epoch.",
        "TrainingConfig.batches_per_epoch",
    ),
    _gauge("training_batch_size", "Samples per batch.", "TrainingConfig.batch_size"),
    _counter(
        "training_batches_total",
        "Batches of this attempt.",
        "BatchData, or PerformanceData.batch_count of ranks that report lightly",
    ),
    _gauge(
        "training_step",
        "Training step reached, counted over the whole run.",
        "BatchData.global_step, else ScalarData.global_step or PerformanceData.global_step",
    ),
    _counter("training_tokens_total", "Tokens trained on.", "BatchData.token_count"),
    _counter(
        "training_epochs_completed_total", "Epochs whose averages were reported.", "EpochData"
    ),
    _gauge("training_loss", "Loss of the last batch that reported one.", "BatchData.batch_loss"),
    _gauge(
        "training_loss_interval_max",
        "Highest finite batch loss in this and the previous 15 s interval.",
        "BatchData.batch_loss",
    ),
    _gauge(
        "training_loss_interval_min",
        "Lowest finite batch loss in this and the previous 15 s interval.",
        "BatchData.batch_loss",
    ),
    _histogram(
        "training_batch_loss",
        "Finite batch losses that are not negative.",
        "BatchData.batch_loss",
        LOSS_BUCKETS,
    ),
    _histogram(
        "training_batch_loss_negative",
        "Finite negative batch losses, without their sign.",
        "BatchData.batch_loss",
        LOSS_BUCKETS,
    ),
    _histogram(
        "training_batch_duration_seconds",
        "Time a batch took.",
        "BatchData.duration_ms; for sessions that never report it, PerformanceData.time_per_batch_ms",
        DURATION_BUCKETS,
    ),
    _counter(
        "training_samples_total",
        "Samples trained on.",
        "BatchData.sample_count, else the number of ground_truth, predictions or images",
    ),
    _gauge(
        "training_epoch_loss",
        "Average loss of the last epoch that reported one.",
        "EpochData.average_loss",
    ),
    _gauge(
        "training_epoch_accuracy_ratio",
        "Average accuracy of the last epoch that reported one.",
        "EpochData.average_accuracy",
    ),
    _gauge(
        "training_validation_loss",
        "Validation loss of the last epoch that reported one.",
        "EpochData.validation_loss",
    ),
    _gauge(
        "training_validation_accuracy_ratio",
        "Validation accuracy of the last epoch that reported one.",
        "EpochData.validation_accuracy",
    ),
    _gauge(
        "training_learning_rate",
        "Learning rate last reported.",
        "EpochData.learning_rate, ScalarData.values under learning_rate",
    ),
    _gauge(
        "training_gradient_norm",
        "Norm of the gradients last reported.",
        "ScalarData.values under gradient_norm",
    ),
    _gauge(
        "training_mfu_ratio",
        "Model FLOPs utilization last reported: the share of what the hardware could do, 0 to 1.",
        "ScalarData.values under mfu",
    ),
    _gauge(
        "training_epoch_duration_seconds",
        "Time that the epoch took.",
        "PerformanceData.total_time_for_epoch_sec",
    ),
    _gauge(
        "training_estimated_time_remaining_seconds",
        "Time until the end of the run, as estimated by the training loop; of runs that go on.",
        "PerformanceData.estimated_time_remaining_sec",
        "remaining_seconds",
    ),
    _gauge(
        "training_frames_per_second", "Recent samples per second.", "PerformanceData.current_fps"
    ),
    _gauge(
        "training_frames_per_second_average",
        "Average samples per second.",
        "PerformanceData.average_fps",
    ),
    _gauge(
        "training_cpu_utilization_ratio",
        "CPU in use by the training process; 1 is one core.",
        "ResourceUsage.cpu_percent",
    ),
    _gauge(
        "training_memory_used_bytes",
        "Memory in use by the training process.",
        "ResourceUsage.memory_mb (of 2^20 bytes)",
    ),
    _gauge(
        "training_gpu_utilization_ratio",
        "Share of the time that the GPU was busy.",
        'ResourceUsage.gpus, or gpu_percent as gpu="0"',
        *("gpu_utilization_ratio", "gpu", "gpu_uuid"),
    ),
    _gauge(
        "training_gpu_memory_used_bytes",
        "GPU memory in use.",
        'ResourceUsage.gpus, or gpu_memory_mb as gpu="0"',
        *("gpu_memory_used_bytes", "gpu", "gpu_uuid"),
    ),
    _gauge(
        "training_gpu_memory_total_bytes",
        "Total GPU memory.",
        "ResourceUsage.gpus",
        *("gpu_memory_total_bytes", "gpu", "gpu_uuid"),
    ),
    _gauge(
        "training_gpu_temperature_celsius",
        "Temperature of the GPU.",
        "ResourceUsage.gpus",
        *("gpu_temperature_celsius", "gpu", "gpu_uuid"),
    ),
    _gauge(
        "training_gpu_power_watts",
        "Power drawn by the GPU.",
        "ResourceUsage.gpus",
        *("gpu_power_watts", "gpu", "gpu_uuid"),
    ),
    _gauge(
        "training_gpu_sm_clock_hertz",
        "Clock of the GPU's multiprocessors.",
        "GpuUsage.sm_clock_mhz",
        *("gpu_sm_clock_hertz", "gpu", "gpu_uuid"),
    ),
    _gauge(
        "training_gpu_throttled",
        "1 while the GPU runs slower than it could for this reason, else 0.",
        "GpuUsage.throttle_reasons",
        *("gpu_throttled", "gpu", "gpu_uuid", "reason"),
    ),
    _counter(
        "training_gpu_ecc_errors_total",
        "Memory errors that could not be corrected, since the driver was loaded.",
        "GpuUsage.ecc_errors",
        *("gpu", "gpu_uuid"),
    ),
    _counter(
        "training_gpu_xid_errors_total",
        "XID errors since the training process began.",
        "GpuUsage.xid_errors",
        *("gpu", "gpu_uuid"),
    ),
    _counter(
        "training_predictions_total",
        "Predictions by true and predicted class.",
        "BatchData.predictions with ground_truth",
        *("true_class", "predicted_class", "correct"),
    ),
    _histogram(
        "training_prediction_confidence",
        "Confidences of predictions, if reported and between 0 and 1.",
        "BatchData.predictions",
        CONFIDENCE_BUCKETS,
        "correct",
    ),
    _gauge(
        "training_metric",
        "User-defined numbers, by name and, where it was reported, split.",
        "ScalarData.values",
        *("metric", "name", "split"),
    ),
    _gauge(
        "training_metric_interval_max",
        "Highest finite value of a user-defined number in this and the previous 15 s interval.",
        "ScalarData.values",
        *("metric_interval_max", "name", "split"),
    ),
    _gauge(
        "training_metric_interval_min",
        "Lowest finite value of a user-defined number in this and the previous 15 s interval.",
        "ScalarData.values",
        *("metric_interval_min", "name", "split"),
    ),
    _counter(
        "training_events_total",
        "Events that the training loop reported, by name.",
        "Event",
        "name",
    ),
    _counter(
        "training_nonfinite_values_total",
        "NaN and infinite values, by field of the protocol.",
        "any float",
        "field",
    ),
    _counter(
        "training_images_total", "Images received, by what became of them.", "the sampler", "result"
    ),
    _gauge(
        "training_last_image_timestamp_seconds",
        "When the newest stored image arrived.",
        "the clock of the bridge",
    ),
    _counter(
        "training_commands_total",
        "Commands sent to the training loop, and its results.",
        "ControlCommand, CommandResult",
        *("type", "result"),
    ),
)
"""All of them, in the order of the page."""
