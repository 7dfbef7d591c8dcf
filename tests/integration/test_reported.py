"""From the wire to series, API and page: what was not reported is absent there, and never 0."""

import asyncio
import json
import re
from dataclasses import dataclass

import pytest
from aiohttp.test_utils import TestClient, TestServer
from support.pages import deps_in
from support.series import Scene

from bridge.lifecycle import Connected, Registered
from bridge.model import Update
from bridge.receiver.decode import decode_request
from bridge.receiver.message_limits import MessageLimits
from bridge.receiver.run_info import client_of, config_of
from bridge.session_snapshot import session_from, snapshot_of
from bridge.sinks.journal.records import JournalRecord, decode, encode
from bridge.storage.packed import packed, unpacked
from bridge.web import build_app
from bridge.wire import metrics_pb2 as wire

GIB = 2.0**30

NO_VALUES = {
    "where it is or who it is from": (
        "BatchData.epoch",
        "BatchData.batch_idx",
        "EpochData.epoch",
        "ScalarData.epoch",
        "ScalarData.batch_idx",
        "PerformanceData.timestamp_ms",
        "StatusUpdate.timestamp_ms",
        "SessionInfo.timestamp_ms",
        "SessionInfo.session_id",
        "GpuUsage.index",
        "Prediction.predicted_class",
    ),
    "what says whether another one is reported": (
        "BatchData.loss_missing",
        "EpochData.loss_missing",
        "EpochData.accuracy_reported",
    ),
    "lists and messages, whose parts stand here": (
        "BatchData.images",
        "BatchData.predictions",
        "BatchData.ground_truth",
        "StatusUpdate.config",
        "SessionInfo.config",
        "PerformanceData.resource_usage",
        "ResourceUsage.gpus",
        "ScalarData.values",
    ),
    "what changes another one, or says where a value belongs": (
        *("StatusUpdate.ending", "ScalarData.global_step", "ScalarData.split"),
        *("GpuUsage.throttle_reported", "SessionInfo.resume_point"),
    ),
    "what the tests of its part hold: phases, ranks, configurations, the health of GPUs": (
        *("StatusUpdate.phase", "StatusUpdate.phase_seconds"),
        *("PerformanceData.phase", "PerformanceData.phase_seconds"),
        *("PerformanceData.batch_count", "PerformanceData.global_step"),
        *(
            "SessionInfo.run_id",
            "SessionInfo.rank",
            "SessionInfo.world_size",
            "SessionInfo.config_json",
        ),
        *(
            "GpuUsage.ecc_errors",
            "GpuUsage.xid_errors",
            "GpuUsage.sm_clock_mhz",
            "GpuUsage.throttle_reasons",
        ),
    ),
    "what is not shown": ("SessionInfo.client_instance_id",),
}
"""Fields that need no row in the table below, by reason."""


@dataclass(frozen=True)
class Field:
    """One field of the protocol, without a value and with one, and where the value shows."""

    name: str
    without: object
    given: object
    series: str = ""
    value: object = None
    """Of the series; of an info series, the label and its value."""
    api: tuple = ()
    answer: object = None
    page: str = ""
    """A pattern in the text of the page."""


def tile(name, value):
    """Return the pattern of a fact on the page."""
    return rf"<dt>{name}</dt><dd>{re.escape(value)}"


def cell(value):
    """Return the pattern of a cell on the page."""
    return rf"<td>{re.escape(value)}"


def batch(**fields):
    """Return a step that reports nothing but itself, or what is given."""
    fields = (
        {}
        if "batch_loss" in fields
        else {"batch_loss": float("nan"), "loss_missing": True, **fields}
    )
    return wire.BatchData(epoch=1, batch_idx=2, **fields)


def epoch(**fields):
    """Return an epoch that reports nothing but its number and the values given."""
    values = {"average_loss": float("nan"), "loss_missing": True, **fields}
    return wire.EpochData(epoch=1, **values)


def perf(**fields):
    """Return a measurement."""
    return wire.PerformanceData(**fields)


def used(**fields):
    """Return a measurement of resources."""
    return perf(resource_usage=wire.ResourceUsage(**fields))


def gpu(**fields):
    """Return a measurement of one GPU."""
    return used(gpus=[wire.GpuUsage(index=0, uuid="u", **fields)])


def status(**fields):
    """Return a status that says something, so that it is one."""
    return wire.StatusUpdate(**fields)


def config(**fields):
    """Return a status that brings a configuration."""
    return status(status=wire.RUNNING, config=wire.TrainingConfig(**fields))


def info(**fields):
    """Return a registration."""
    return wire.SessionInfo(session_id="run", **fields)


PREDICTED = {"predictions": [wire.Prediction(predicted_class=1)], "ground_truth": [1]}
SURE = {"predictions": [wire.Prediction(predicted_class=1, confidence=0.75)], "ground_truth": [1]}
FIRST = {"gpu": "0", "gpu_uuid": "u"}
OLD = {"gpu": "0", "gpu_uuid": ""}
GPU_API = ("performance", "resources", "gpus", 0)

FIELDS = (
    Field("BatchData.batch_loss", batch(), wire.BatchData(batch_loss=0.5),
          "training_loss", 0.5, ("loss",), 0.5, tile("Loss", "0.5000")),
    Field("BatchData.batch_loss", batch(), wire.BatchData(),
          "training_loss", 0.0, ("loss",), 0.0, tile("Loss", "0")),
    Field("BatchData.batch_loss", batch(), wire.BatchData(batch_loss=0.5), "training_batch_loss_count", 1),
    Field("BatchData.batch_loss", batch(), wire.BatchData(batch_loss=0.5), "training_loss_interval_max", 0.5,
          ("losses", 0, "mean"), 0.5, "<polyline"),
    Field("BatchData.duration_ms", batch(), batch(duration_ms=0.0), "training_batch_duration_seconds_count", 1),
    Field("BatchData.sample_count", batch(), batch(sample_count=8), "training_samples_total", 8),
    Field("BatchData.global_step", batch(), batch(global_step=0), "training_step", 0),
    Field("BatchData.token_count", batch(), batch(token_count=9), "training_tokens_total", 9),
    Field("Prediction.confidence", batch(**PREDICTED), batch(**SURE), "training_prediction_confidence_sum", 0.75),
    Field("EpochData.average_loss", epoch(), epoch(average_loss=0.0, loss_missing=False),
          "training_epoch_loss", 0.0, ("epochs", 0, "loss"), 0.0, cell("0</td>")),
    Field("EpochData.average_accuracy", epoch(), epoch(average_accuracy=0.25),
          "training_epoch_accuracy_ratio", 0.25, ("epochs", 0, "accuracy"), 0.25, cell("25.0%")),
    Field("EpochData.average_accuracy", epoch(), epoch(accuracy_reported=True),
          "training_epoch_accuracy_ratio", 0.0, ("accuracy_ratio",), 0.0, tile("Accuracy", "0.0%")),
    Field("EpochData.average_accuracy", epoch(), epoch(accuracy_reported=True), page="Accuracy by epoch"),
    Field("EpochData.validation_loss", epoch(), epoch(validation_loss=0.0),
          "training_validation_loss", 0.0, ("epochs", 0, "validation_loss"), 0.0, cell("0</td>")),
    Field("EpochData.validation_accuracy", epoch(), epoch(validation_accuracy=0.0),
          "training_validation_accuracy_ratio", 0.0, ("accuracy_ratio",), 0.0, tile("Accuracy", "0.0%")),
    Field("EpochData.learning_rate", epoch(), epoch(learning_rate=0.0),
          "training_learning_rate", 0.0, ("epochs", 0, "learning_rate"), 0.0, cell("0</td>")),
    Field("PerformanceData.time_per_batch_ms", perf(), perf(time_per_batch_ms=500.0),
          "training_batch_duration_seconds_sum", 0.5,
          ("performance", "batch_duration_seconds"), 0.5, tile("Time per batch", "500 ms")),
    Field("PerformanceData.total_time_for_epoch_sec", perf(), perf(total_time_for_epoch_sec=30.0),
          "training_epoch_duration_seconds", 30,
          ("performance", "epoch_duration_seconds"), 30, tile("Last epoch", "30 s")),
    Field("PerformanceData.estimated_time_remaining_sec", perf(), perf(estimated_time_remaining_sec=30.0),
          "training_estimated_time_remaining_seconds", 30,
          ("estimated_time_remaining_seconds",), 30, tile("Remaining", "30 s")),
    Field("PerformanceData.current_fps", perf(), perf(current_fps=30.0),
          "training_frames_per_second", 30, ("frames_per_second",), 30, tile("Frames/s", "30")),
    Field("PerformanceData.average_fps", perf(), perf(average_fps=30.0), "training_frames_per_second_average", 30,
          ("performance", "frames_per_second_average"), 30, tile("Frames/s, average", "30")),
    Field("ResourceUsage.cpu_percent", used(memory_mb=1.0), used(cpu_percent=50.0),
          "training_cpu_utilization_ratio", 0.5,
          ("performance", "resources", "cpu_utilization_ratio"), 0.5, tile("CPU", "50%")),
    Field("ResourceUsage.memory_mb", used(cpu_percent=1.0), used(memory_mb=1024.0),
          "training_memory_used_bytes", GIB,
          ("performance", "resources", "memory_used_bytes"), GIB, tile("Memory", "1 GiB")),
    Field("ResourceUsage.gpu_percent", used(cpu_percent=1.0), used(gpu_memory_mb=1024.0),
          "training_gpu_utilization_ratio", 0.0, ("gpu_utilization_ratio",), 0.0, tile("GPU", "0%")),
    Field("ResourceUsage.gpu_percent", used(cpu_percent=1.0), used(gpu_percent=50.0),
          "training_gpu_utilization_ratio", 0.5, ("gpu_utilization_ratio",), 0.5, tile("GPU", "50%")),
    Field("ResourceUsage.gpu_memory_mb", used(gpu_percent=50.0), used(gpu_memory_mb=1024.0),
          "training_gpu_memory_used_bytes", GIB, (*GPU_API, "memory_used_bytes"), GIB, cell("1 GiB")),
    Field("GpuUsage.uuid", used(gpus=[wire.GpuUsage()]), gpu(), api=(*GPU_API, "uuid"), answer="u", page='title="u"'),
    Field("GpuUsage.utilization_percent", gpu(), gpu(utilization_percent=0.0),
          "training_gpu_utilization_ratio", 0.0, ("gpu_utilization_ratio",), 0.0, tile("GPU", "0%")),
    Field("GpuUsage.memory_used_mb", gpu(), gpu(memory_used_mb=0.0),
          "training_gpu_memory_used_bytes", 0.0, (*GPU_API, "memory_used_bytes"), 0.0, cell("0 B")),
    Field("GpuUsage.memory_total_mb", gpu(), gpu(memory_total_mb=0.0),
          "training_gpu_memory_total_bytes", 0.0, (*GPU_API, "memory_total_bytes"), 0.0, " of 0 B"),
    Field("GpuUsage.temperature_celsius", gpu(), gpu(temperature_celsius=0.0),
          "training_gpu_temperature_celsius", 0.0, (*GPU_API, "temperature_celsius"), 0.0, " °C"),
    Field("GpuUsage.power_watts", gpu(), gpu(power_watts=0.0),
          "training_gpu_power_watts", 0.0, (*GPU_API, "power_watts"), 0.0, cell("0 W")),
    Field("StatusUpdate.status", status(message="m"), status(status=wire.PAUSED), api=("status",), answer="paused",
          page="is-paused"),
    Field("StatusUpdate.message", status(status=wire.PAUSED), status(message="low"),
          api=("status_message",), answer="low", page='<p class="message'),
    Field("TrainingConfig.total_epochs", config(), config(total_epochs=9),
          "training_epochs_planned", 9, ("total_epochs",), 9, "of 9"),
    Field("TrainingConfig.batches_per_epoch", config(), config(batches_per_epoch=9),
          "training_batches_per_epoch", 9, ("batches_per_epoch",), 9, "Batches per epoch"),
    Field("TrainingConfig.batch_size", config(), config(batch_size=9),
          "training_batch_size", 9, ("batch_size",), 9, "<dt>Batch size</dt><dd>9"),
    Field("TrainingConfig.model_name", config(), config(model_name="net"),
          "training_session_info", ("model_name", "net"), ("model_name",), "net", "net"),
    Field("TrainingConfig.dataset_name", config(), config(dataset_name="cifar"),
          "training_session_info", ("dataset_name", "cifar"), ("dataset_name",), "cifar", "cifar"),
    Field("TrainingConfig.class_names", config(), config(class_names=["cat"]),
          api=("class_names",), answer=["cat"], page="<dt>Classes</dt><dd>cat"),
    Field("SessionInfo.client_name", info(), info(client_name="sdk"),
          "training_session_info", ("client_name", "sdk"), ("client_name",), "sdk", "sdk"),
    Field("SessionInfo.client_version", info(), info(client_version="9.9"),
          "training_session_info", ("client_version", "9.9"), ("client", "version"), "9.9"),
    Field("SessionInfo.labels", info(), info(labels={"team": "v"}), "training_session_info", ("label_team", "v"),
          ("client", "labels", "team"), "v", "<dt>team</dt>"),
)  # fmt: skip  # one row a case
IDS = [f"{number}-{row.name}" for number, row in enumerate(FIELDS)]
KINDS = {
    wire.BatchData: "batch_data",
    wire.EpochData: "epoch_data",
    wire.PerformanceData: "performance_data",
    wire.StatusUpdate: "status_update",
    wire.ScalarData: "scalar_data",
}


class Run:
    """One session, whose messages pass the wire and the journal, with its series and pages."""

    def __init__(self, folder):
        """Register it without saying anything."""
        self.deps, _ = deps_in(folder)
        self.scene = Scene()
        self.register(info())

    def register(self, message):
        """Register, perhaps again."""
        client = client_of(message, None, MessageLimits())
        known = self.deps.sessions.register(
            "run", client, config_of(message.config, MessageLimits())
        )
        self.session = known.session
        self._take(Registered(), Connected())

    def say(self, *messages):
        """Send messages, or register again."""
        for message in messages:
            if isinstance(message, wire.SessionInfo):
                self.register(message)
                continue
            request = wire.MetricsRequest(session_id="run", **{KINDS[type(message)]: message})
            (update,) = decode_request(request.SerializeToString(), MessageLimits())
            assert isinstance(update, Update), update
            row = unpacked(packed(encode(JournalRecord("run", 0, 0.0, update.message))))
            self._take(decode(row).event)

    def restart(self):
        """Go on from what a checkpoint holds."""
        series = unpacked(packed(self.scene.metrics.snapshot(self.session)))
        restored = session_from(unpacked(packed(snapshot_of(self.session))))
        restored.restored_state = {"series": series}
        self.deps.sessions.expire(self.session)
        self.deps.sessions.restore(restored)
        self.session = restored
        self._take(Registered())

    def _take(self, *events):
        self.scene.tell(self.session, *events)

    def series(self, name):
        """Return the values of a family by labels."""
        return self.scene.values(name)

    def look(self):
        """Return what the API answers, and the pages of the session and of all sessions."""
        return asyncio.run(self._look())

    async def _look(self):
        async with TestClient(TestServer(build_app(self.deps))) as client:
            answer = await client.get("/api/v1/sessions/run")
            page = await client.get("/sessions/run")
            overview = await client.get("/")
            assert (answer.status, page.status, overview.status) == (200, 200, 200)
            return json.loads(await answer.text()), await page.text(), await overview.text()


@pytest.fixture
def run(tmp_path):
    """Return a run that has only registered."""
    run = Run(tmp_path)
    yield run
    run.deps.index._database.close()


def found(answer, path):
    """Return what stands at a path of an answer, None where there is no such place."""
    for step in path:
        try:
            answer = answer[step]
        except (KeyError, IndexError, TypeError):
            return None
    return answer


def shown(run, row):
    """Return the value of a row's series, None where there is none."""
    values = run.series(row.series)
    if row.series == "training_session_info":
        (labels,) = values
        return dict(labels).get(row.value[0]) or None
    return next(iter(values.values()), None)


def expected(row):
    """Return what a row's series should show."""
    return row.value[1] if row.series == "training_session_info" else row.value


@pytest.mark.parametrize("row", FIELDS, ids=IDS)
def test_what_is_not_reported_shows_nowhere(run, row):
    """Left unset: no series, null in the API, nothing on a page; also after a restart."""
    run.say(row.without)
    for restarts in (False, True):
        if restarts:
            run.restart()
        answer, page, _ = run.look()

        if row.series:
            assert shown(run, row) is None
        if row.api:
            assert found(answer, row.api) in (None, "unknown")
        if row.page:
            assert not re.search(row.page, page)


@pytest.mark.parametrize("row", FIELDS, ids=IDS)
def test_what_is_reported_shows_everywhere(run, row):
    """Set, to 0 where that can be said: that value in series, API and page; also after a restart."""
    run.say(row.given)
    for restarts in (False, True):
        if restarts:
            run.restart()
        answer, page, _ = run.look()

        if row.series and not (restarts and "interval" in row.series):
            assert shown(run, row) == expected(row)
        if row.api:
            assert found(answer, row.api) == row.answer
        if row.page:
            assert re.search(row.page, page)


RESULTS = [
    row
    for row in FIELDS
    if row.name.split(".")[0]
    in ("BatchData", "EpochData", "TrainingConfig", "SessionInfo", "StatusUpdate")
]


@pytest.mark.parametrize("row", RESULTS, ids=lambda row: row.name)
def test_a_later_message_without_it_takes_nothing_back(run, row):
    """A result stands until another one comes; what is known of a run is merged field by field."""
    run.say(row.given, row.without)
    if row.series:
        assert shown(run, row) == expected(row)

    answer, _, _ = run.look()

    if row.api and row.name != "StatusUpdate.message" and row.api[0] != "losses":
        assert found(answer, row.api) == row.answer


MEASUREMENTS = [
    row
    for row in FIELDS
    if row.name.startswith(("Performance", "Resource", "Gpu"))
    and row.series
    and "batch_duration" not in row.series
]


@pytest.mark.parametrize("row", MEASUREMENTS, ids=lambda row: row.name)
def test_an_old_measurement_is_not_a_current_one(run, row):
    """What the newest measurement lacks is gone from series, API and page."""
    run.say(row.given, row.without)

    answer, page, _ = run.look()

    assert shown(run, row) is None
    assert found(answer, row.api) is None
    assert not re.search(row.page, page)


def test_every_field_of_the_protocol_has_a_row():
    """A field that is added later must say what it means not to be reported."""
    messages = (wire.BatchData, wire.Prediction, wire.EpochData, wire.PerformanceData, wire.ResourceUsage,
                wire.GpuUsage, wire.StatusUpdate, wire.TrainingConfig, wire.SessionInfo, wire.ScalarData)  # fmt: skip  # one row a case
    fields = {f"{m.DESCRIPTOR.name}.{f.name}" for m in messages for f in m.DESCRIPTOR.fields}

    rows = {row.name for row in FIELDS} | {name for names in NO_VALUES.values() for name in names}

    assert fields == rows


def test_a_batch_without_a_loss_still_counts(run):
    """It moves its own counters, and no series of losses, not even the one of values that are no numbers."""
    run.say(batch(sample_count=4, **PREDICTED))

    assert run.scene.value("training_batches_total") == 1
    assert run.scene.value("training_samples_total") == 4
    assert run.scene.value("training_nonfinite_values_total", field="batch_loss") == 0
    assert sum(run.series("training_predictions_total").values()) == 1
    for name in ("loss", "batch_loss_count", "loss_interval_max", "loss_interval_min"):
        assert run.series(f"training_{name}") == {}

    run.say(wire.BatchData(batch_loss=float("nan")))
    assert run.scene.value("training_nonfinite_values_total", field="batch_loss") == 1
    answer, _, _ = run.look()
    assert answer["loss"] == "NaN"


@pytest.mark.parametrize("end", [wire.RUNNING, wire.COMPLETED, wire.FAILED])
def test_a_run_that_only_logs_scalars_has_begun(run, end):
    """The page says where it is, and neither "not started" nor how much is done of an unknown whole."""
    run.say(wire.ScalarData(epoch=3, batch_idx=7, values={"reward": 2.0}), status(status=end))

    answer, page, overview = run.look()

    assert (answer["epoch"], answer["batch"], answer["progress_ratio"]) == (3, 7, None)
    for text in (page, overview):
        assert "epoch 3" in text
        assert "not started" not in text
        assert ">100%<" not in text  # a chart is as wide as its card
        assert "<dt>Loss</dt>" not in text


@pytest.mark.parametrize("end", [wire.COMPLETED, wire.FAILED])
def test_a_run_that_logged_nothing_is_not_complete(run, end):
    """It ended, and that is all there is to say."""
    run.say(config(total_epochs=4), status(status=end))

    answer, page, _ = run.look()

    assert answer["progress_ratio"] is None
    assert "nothing was logged" in page
    assert "100%" not in page


@pytest.mark.parametrize("sent", [93.5, 1.5, -0.25])
@pytest.mark.parametrize("name", ["average_accuracy", "validation_accuracy"])
def test_an_accuracy_that_is_not_a_ratio_is_shown_as_it_was_sent(run, name, sent):
    """A number outside 0..1 is never a percentage or a ratio; series leave it out and count it."""
    run.say(epoch(average_accuracy=0.5, validation_accuracy=0.5))
    run.say(wire.EpochData(epoch=2, loss_missing=True, **{name: sent}))

    answer, page, overview = run.look()

    ours = {"average_accuracy": "accuracy"}.get(name, name)
    assert answer["epochs"][-1][ours] == sent
    assert answer["accuracy_ratio"] is None
    for text in (page, overview):
        assert f"{sent * 100:.1f} %" not in text
        assert f"{sent * 100:.0f} %" not in text
    assert re.search(tile("Accuracy", f"{sent:.4g}"), page)
    assert "as sent, not between 0 and 1" in page
    series = {"average_accuracy": "epoch"}.get(name, "validation")
    assert run.series(f"training_{series}_accuracy_ratio") == {}
    assert run.scene.dropped("accuracy", "out_of_range") == 1


def test_a_confidence_that_is_not_a_ratio_is_none(run):
    """It enters no histogram and is counted; a hair above 1 is 1, since half precision rounds so."""
    sent = (5.0, -0.5, float("nan"), 1.0005, 0.0, 0.25)
    predictions = [wire.Prediction(predicted_class=1, confidence=value) for value in sent]
    run.say(batch(predictions=predictions, ground_truth=[1] * len(sent)))

    assert run.scene.value("training_prediction_confidence_count", correct="true") == 2
    assert run.scene.value("training_prediction_confidence_sum", correct="true") == 1.25
    assert sum(run.series("training_predictions_total").values()) == len(sent)
    assert run.scene.dropped("confidence", "out_of_range") == 2
    assert run.scene.value("training_nonfinite_values_total", field="confidence") == 1


def described(run):
    """Return the series that describe a run."""
    names = (
        "session_info",
        "epochs_planned",
        "batches_per_epoch",
        "batch_size",
        "predictions_total",
    )
    return [run.series(f"training_{name}") for name in names]


def test_an_empty_configuration_wipes_nothing(run):
    """Neither with a status nor with another registration, whole or in part."""
    whole = wire.TrainingConfig(
        total_epochs=9,
        batches_per_epoch=8,
        batch_size=7,
        model_name="m",
        dataset_name="d",
        class_names=["cat", "dog"],
    )
    run.say(info(client_name="c", client_version="1", labels={"a": "b"}, config=whole))
    before = run.session.config, run.session.client, described(run)

    run.say(config(), info(), status(config=wire.TrainingConfig()))

    assert (run.session.config, run.session.client, described(run)) == before
    run.say(config(total_epochs=10))
    assert run.scene.value("training_epochs_planned") == 10
    assert run.session.config.class_names == ("cat", "dog")


def test_a_status_that_is_not_reported_changes_none(run):
    """A message with a configuration only leaves the status, and a message stays with its status."""
    run.say(status(status=wire.PAUSED, message="lunch"), status(config=wire.TrainingConfig()))

    assert run.scene.value("training_session_status", status="paused") == 1
    assert (str(run.session.status), run.session.status_message) == ("paused", "lunch")

    run.say(status(status=wire.RUNNING))
    assert run.session.status_message == ""
