"""The series of one session."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bridge.model import Batch, Client, Config, Stage, Status
from bridge.protocol import LOST_PHASE, STALLED_PHASE
from bridge.session import Session
from bridge.sinks.metrics.classes import Classes
from bridge.sinks.metrics.families import CONFIDENCE_BUCKETS, DURATION_BUCKETS, LOSS_BUCKETS
from bridge.sinks.metrics.labels import (
    label_suffix,
    own_labels,
    pair,
    phase_label,
    place_in_run,
    quoted,
)
from bridge.sinks.metrics.observations import Exemplar, Extremes, Histogram
from bridge.telemetry import Telemetry

STATUSES = (
    *(Status.UNKNOWN, Status.INITIALIZING, Status.RUNNING, Status.PAUSED),
    *(Status.COMPLETED, Status.FAILED, "disconnected"),
)
"""Those that each session has a series of, at 0 while it is not of this status; others appear when it is."""

STATUS_LABELS = {
    name: label_suffix(("status", name)) for name in (*STATUSES, *Status, str(Stage.LOST))
}

GOING_ON = (Status.UNKNOWN, Status.INITIALIZING, Status.RUNNING)

END_OF_LABELS = "} "
"""What follows the session's label if there is no other."""

BATCH_LOSS_FIELD = label_suffix(("field", "batch_loss"))

TRACE_ID_LIMIT = 64
"""Characters; keeps the labels of an exemplar below the 128 that OpenMetrics allows."""

Labelled = dict[str, float]
"""Values by the labels that follow the session's own."""

Histograms = dict[str, Histogram]
"""Histograms by the labels between the session's own and `le`."""


CHECKPOINT_KEY = "series"
"""The key of a session's series in a checkpoint."""

PLAIN = (
    *("session_last_update_timestamp_seconds", "epoch", "batch", "batches", "epochs_completed"),
    *("loss", "tells_durations", "samples", "epoch_loss", "epoch_accuracy_ratio"),
    *("validation_loss", "validation_accuracy_ratio", "learning_rate", "epoch_duration_seconds"),
    *("estimated_time_remaining_seconds", "frames_per_second", "frames_per_second_average"),
    *("cpu_utilization_ratio", "memory_used_bytes", "labels_left_out"),
)
LATER = ("gradient_norm", "mfu_ratio")
"""Attributes that a checkpoint has only where they were reported."""

LABELLED = (
    *("gpus", "gpu_utilization_ratio", "gpu_memory_used_bytes", "gpu_memory_total_bytes"),
    *("gpu_temperature_celsius", "gpu_power_watts", "gpu_sm_clock_hertz"),
    *("gpu_throttled", "gpu_ecc_errors", "gpu_xid_errors"),
    *("predictions", "metric", "nonfinite_values", "commands", "events"),
)
OBSERVATIONS = ("losses", "negative_losses", "durations", "right", "wrong", "unjudged")
"""Attributes that a checkpoint keeps under these names; an unknown or a missing one does no harm."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the series of all sessions use."""

    telemetry: Telemetry
    clock: Callable[[], float]
    classes: Classes
    monotonic: Callable[[], float]


@dataclass(slots=True, eq=False)
class SessionSeries:
    """All series of one attempt of a session.

    Each family of the table finds its values in the attribute it names. None, and what is not in a
    dictionary, was not reported and is not on the page.
    """

    session: Session
    shared: Shared
    label: str = ""
    """The beginning of every sample of the session, after the name: its label, without the closing brace."""
    exemplar: str = ""
    """The beginning of every exemplar of the session."""

    session_info: Labelled = field(default_factory=dict)
    session_status: Labelled = field(default_factory=dict)
    session_connected: int = 0
    session_start_timestamp_seconds: float = 0.0
    session_last_update_timestamp_seconds: float | None = None
    epoch: int | None = None
    epochs_planned: int | None = None
    batch: int | None = None
    batches_per_epoch: int | None = None
    batch_size: int | None = None
    batches: int = 0
    epochs_completed: int = 0
    loss: float | None = None
    extremes: Extremes = field(default_factory=Extremes)
    losses: Histogram = field(default_factory=lambda: Histogram(LOSS_BUCKETS))
    negative_losses: Histogram = field(default_factory=lambda: Histogram(LOSS_BUCKETS))
    """Their magnitudes."""
    durations: Histogram = field(default_factory=lambda: Histogram(DURATION_BUCKETS))
    tells_durations: bool = False
    """Its batches report their duration, so that of PerformanceData is not counted as well."""
    samples: int | None = None
    epoch_loss: float | None = None
    epoch_accuracy_ratio: float | None = None
    validation_loss: float | None = None
    validation_accuracy_ratio: float | None = None
    learning_rate: float | None = None
    gradient_norm: float | None = None
    mfu_ratio: float | None = None
    epoch_duration_seconds: float | None = None
    estimated_time_remaining_seconds: float | None = None
    frames_per_second: float | None = None
    frames_per_second_average: float | None = None
    cpu_utilization_ratio: float | None = None
    memory_used_bytes: float | None = None
    gpus: dict[int, tuple[str, str]] = field(default_factory=dict)
    """UUID and labels by index."""
    gpu_utilization_ratio: Labelled = field(default_factory=dict)
    gpu_memory_used_bytes: Labelled = field(default_factory=dict)
    gpu_memory_total_bytes: Labelled = field(default_factory=dict)
    gpu_temperature_celsius: Labelled = field(default_factory=dict)
    gpu_power_watts: Labelled = field(default_factory=dict)
    gpu_sm_clock_hertz: Labelled = field(default_factory=dict)
    gpu_throttled: Labelled = field(default_factory=dict)
    gpu_ecc_errors: Labelled = field(default_factory=dict)
    gpu_xid_errors: Labelled = field(default_factory=dict)
    predictions: dict[str, int] = field(default_factory=dict)
    right: Histogram = field(default_factory=lambda: Histogram(CONFIDENCE_BUCKETS))
    wrong: Histogram = field(default_factory=lambda: Histogram(CONFIDENCE_BUCKETS))
    unjudged: Histogram = field(default_factory=lambda: Histogram(CONFIDENCE_BUCKETS))
    metric: Labelled = field(default_factory=dict)
    metric_extremes: dict[str, Extremes] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    nonfinite_values: dict[str, int] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    last_image_timestamp_seconds: float | None = None
    commands: dict[str, int] = field(default_factory=dict)
    phase_seconds_seen: Labelled = field(default_factory=lambda: {phase_label(LOST_PHASE): 0.0})
    """Nothing lost is shown as such, so that the first loss is an increase."""
    labels_left_out: int = 0
    """How many of the client's own labels have been counted as dropped."""
    own_labels_of: Client | None = None
    own_labels: str = ""
    """The client's own labels as text; kept, since a status, which may come often, writes all labels anew."""

    batch_loss: Histograms = field(init=False)
    batch_loss_negative: Histograms = field(init=False)
    batch_duration_seconds: Histograms = field(init=False)
    prediction_confidence: Histograms = field(init=False)

    def __post_init__(self) -> None:
        """Begin with what is known of the session; after a restart, with all that was counted before."""
        session = self.session
        self.label = f'{{session_id="{quoted(session.id)}"'
        self.session_connected = int(session.connected)
        self.session_start_timestamp_seconds = session.registered_at
        self.nonfinite_values[BATCH_LOSS_FIELD] = 0
        self.batch_loss = {"": self.losses}
        self.batch_loss_negative = {"": self.negative_losses}
        self.batch_duration_seconds = {"": self.durations}
        self.prediction_confidence = {
            pair("correct", "true"): self.right,
            pair("correct", "false"): self.wrong,
            pair("correct", "unknown"): self.unjudged,
        }
        before = session.restored_state.pop(CHECKPOINT_KEY, None)
        if before is not None and before["attempt"] == session.attempt:
            self._restore(before)
        self.session_status = {STATUS_LABELS[name]: 0 for name in STATUSES}
        self.show_status(session.state)
        self.describe(session.config)

    def snapshot(self) -> dict[str, Any]:
        """Return what the series of the same attempt continue from after a restart.

        Images are not in it: they are counted where they are kept, see `TrainingMetrics.on_images_resolved`.
        """
        return {
            "attempt": self.session.attempt,
            **{name: getattr(self, name) for name in PLAIN},
            **{name: getattr(self, name).copy() for name in LABELLED},
            **{name: getattr(self, name).snapshot() for name in OBSERVATIONS},
            **self._later(),
            "extremes": self.extremes.snapshot(self.shared.monotonic()),
            "written_at": self.shared.clock(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        for name in (*PLAIN, *LABELLED, *LATER):
            if name in state:
                setattr(self, name, state[name])
        self.gpus = {index: tuple(gpu) for index, gpu in self.gpus.items()}  # type: ignore[misc]
        for name in OBSERVATIONS:
            if name in state:
                getattr(self, name).restore(state[name])
        self.losses.is_shown_empty = any(self.negative_losses.counts)
        if "written_at" in state:
            age = max(0.0, self.shared.clock() - state["written_at"])
            then = self.shared.monotonic() - age
            self.extremes.restore(state["extremes"], then)
            for label, extremes in state.get("metric_extremes", {}).items():
                self.metric_extremes[label] = Extremes()
                self.metric_extremes[label].restore(extremes, then)

    def _later(self) -> dict[str, Any]:
        """Return what is in a snapshot only where it was reported."""
        known = {name: getattr(self, name) for name in LATER}
        if self.metric_extremes:
            now = self.shared.monotonic()
            known["metric_extremes"] = {
                label: extremes.snapshot(now) for label, extremes in self.metric_extremes.items()
            }
        return {name: value for name, value in known.items() if value is not None}

    @property
    def attempt(self) -> int:
        """Which attempt of its session this is."""
        return self.session.attempt

    @property
    def step(self) -> int | None:
        """The training step reached, whatever has reported it."""
        return self.session.step

    @property
    def tokens(self) -> int | None:
        """How many were trained on."""
        return self.session.tokens or None

    @property
    def last_batch_timestamp_seconds(self) -> float | None:
        """When the last batch came."""
        return self.session.stepped_at or None

    @property
    def remaining_seconds(self) -> float | None:
        """The estimate of the loop while it goes on; a run that is over, paused or silent has none that holds."""
        return self.estimated_time_remaining_seconds if self.session.state in GOING_ON else None

    @property
    def phase(self) -> Labelled:
        """1 for the phase now, 0 for the others and where nobody knows; without those that no loop is in by its own account."""
        now = self.session.phase
        last = self.session.phases.name
        names = dict.fromkeys([*self.session.phases.seconds, *([last] if last else [])])
        return {phase_label(name): int(name == now) for name in names if name != STALLED_PHASE}

    @property
    def phase_seconds(self) -> Labelled:
        """Seconds by phase, never less than a scrape has seen before."""
        seen = self.phase_seconds_seen
        for name, seconds in self.session.run_phase_seconds(self.shared.clock()).items():
            label = phase_label(name)
            seen[label] = max(seconds, seen.get(label, 0.0))
        return seen

    @property
    def loss_interval_min(self) -> float | None:
        """The lowest recent loss."""
        extremes = self.extremes.at(self.shared.monotonic())
        return extremes and extremes[0]

    @property
    def loss_interval_max(self) -> float | None:
        """The highest recent loss."""
        extremes = self.extremes.at(self.shared.monotonic())
        return extremes and extremes[1]

    @property
    def metric_interval_min(self) -> Labelled:
        """The lowest recent value of each user-defined number."""
        return self._recent(0)

    @property
    def metric_interval_max(self) -> Labelled:
        """The highest recent value of each user-defined number."""
        return self._recent(1)

    def _recent(self, which: int) -> Labelled:
        if not self.metric_extremes:
            return {}
        now = self.shared.monotonic()
        recent = ((label, each.at(now)) for label, each in self.metric_extremes.items())
        return {label: extremes[which] for label, extremes in recent if extremes is not None}

    def observe_loss(self, batch: Batch, loss: float, at: float) -> None:
        """Observe the finite loss of a batch.

        Once one was negative both histograms are on the page, since the mean is computed from both.
        """
        histogram = self.losses
        if loss < 0:
            histogram, loss = self.negative_losses, -loss
            self.losses.is_shown_empty = True
        exemplar: Exemplar = (batch.epoch, batch.index, loss, at)
        if batch.step is not None:
            exemplar = (batch.epoch, batch.index, loss, at, batch.step)
        histogram.exemplars[histogram.observe(loss)] = exemplar

    def show_status(self, state: str) -> None:
        """Set the series of a status, of `disconnected` or of `lost` to 1 and the others to 0."""
        for label in self.session_status:
            self.session_status[label] = 0
        self.session_status[STATUS_LABELS[state]] = 1

    def describe(self, config: Config) -> None:
        """Set the labels that describe the session, and the gauges of its configuration."""
        client, trace_id = self.session.client, self.session.trace_id
        if client is not self.own_labels_of:
            self._update_own_labels(client)
        known = (
            ("client_name", client.name),
            ("client_version", client.version),
            ("model_name", config.model_name),
            ("dataset_name", config.dataset_name),
            ("trace_id", trace_id),
            *place_in_run(client),
        )
        self.session_info = {
            "".join(pair(*label) for label in known) + self.own_labels + END_OF_LABELS: 1
        }
        self.exemplar = f' # {{trace_id="{quoted(trace_id, TRACE_ID_LIMIT)}",batch="'
        self.epochs_planned = config.total_epochs or None
        self.batches_per_epoch = config.batches_per_epoch or None
        self.batch_size = config.batch_size or None
        for label in self.shared.classes.diagonal(len(config.class_names)):
            self.predictions.setdefault(label, 0)

    def _update_own_labels(self, client: Client) -> None:
        self.own_labels_of = client
        self.own_labels, left_out = own_labels(client.labels)
        if left_out > self.labels_left_out:
            self.shared.telemetry.dropped("label", "limit", left_out - self.labels_left_out)
            self.labels_left_out = left_out
