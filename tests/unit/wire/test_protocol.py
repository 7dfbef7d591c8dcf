"""The numbers that deployed clients use stay what they are."""

import re

from support.descriptors import enums_of, fields_of, methods_of

from bridge.wire import metrics_pb2

FILE = metrics_pb2.DESCRIPTOR
SERVICE = FILE.services_by_name["MetricsService"]
PAYLOADS = {
    "MetricsRequest": {3, 4, 5, 6, 7, 16, 17, 19},
    "MetricsResponse": {3, 4, 5, 16},
}
"""The field numbers of the oneof `payload`."""

FIRST_ADDITION = 16

ORIGINAL = """
MetricsRequest: session_id=1 string, timestamp_ms=2 uint64, batch_data=3 BatchData, epoch_data=4 EpochData
MetricsRequest: performance_data=5 PerformanceData, status_update=6 StatusUpdate, heartbeat=7 Heartbeat
BatchData: epoch=1 uint32, batch_idx=2 uint32, images=3 repeated ImageData, predictions=4 repeated Prediction
BatchData: ground_truth=5 repeated int32, batch_loss=6 float
ImageData: image_bytes=1 bytes
Prediction: predicted_class=1 int32, confidence=2 float
EpochData: epoch=1 uint32, average_loss=2 float, average_accuracy=3 float
PerformanceData: time_per_batch_ms=1 float, total_time_for_epoch_sec=2 float, estimated_time_remaining_sec=3 float
PerformanceData: current_fps=4 float, average_fps=5 float, resource_usage=6 optional ResourceUsage, timestamp_ms=7 uint64
ResourceUsage: cpu_percent=1 float, memory_mb=2 float, gpu_percent=3 float, gpu_memory_mb=4 float
StatusUpdate: status=1 TrainingStatus, message=2 string, config=3 optional TrainingConfig, timestamp_ms=4 uint64
TrainingConfig: total_epochs=1 uint32, batches_per_epoch=2 uint32, batch_size=3 uint32, model_name=4 string
TrainingConfig: dataset_name=5 string, class_names=6 repeated string
Heartbeat: timestamp_ms=1 uint64, sequence_number=2 uint32
MetricsResponse: session_id=1 string, timestamp_ms=2 uint64, ack=3 Acknowledgment, command=4 ControlCommand, error=5 ErrorResponse
Acknowledgment: batch_idx=1 uint32, success=2 bool
ControlCommand: type=1 CommandType, parameters=2 map<string; string>
ErrorResponse: code=1 ErrorCode, message=2 string
SessionInfo: session_id=1 string, client_name=2 string, client_version=3 string, config=4 TrainingConfig, timestamp_ms=5 uint64
SessionResponse: success=1 bool, session_id=2 string, message=3 string, server_config=4 ServerConfig
ServerConfig: max_batch_size=1 uint32, max_image_dimension=2 uint32, heartbeat_interval_ms=3 uint32, buffer_size=4 uint32
"""

ADDITIONS = """
MetricsRequest: scalar_data=16 ScalarData, command_result=17 CommandResult, sequence=18 uint64, event=19 Event
BatchData: duration_ms=16 optional float, sample_count=17 uint32, global_step=18 optional uint64
BatchData: token_count=19 uint64, loss_missing=21 bool
ImageData: left_out=21 bool
EpochData: validation_loss=16 optional float, validation_accuracy=17 optional float, learning_rate=18 optional float
EpochData: accuracy_reported=19 bool, loss_missing=20 bool
ResourceUsage: gpus=16 repeated GpuUsage
PerformanceData: phase=16 string, phase_seconds=17 map<string; double>, batch_count=18 optional uint64
PerformanceData: global_step=19 optional uint64
StatusUpdate: phase=16 string, phase_seconds=17 map<string; double>, ending=18 string
MetricsResponse: draining=16 Draining
Acknowledgment: sequence=16 uint64, images_kept=17 uint32, images_dropped=18 uint32
ControlCommand: command_id=16 string
ErrorResponse: sequence=16 uint64, retryable=17 bool, retry_after_ms=18 uint32
SessionInfo: client_instance_id=16 string, labels=17 map<string; string>, run_id=18 string
SessionInfo: rank=19 optional uint32, world_size=20 uint32, config_json=21 string, resume_point=22 ResumePoint
SessionResponse: resume_sequence=16 uint64, stream_token=17 string, attempt=18 uint32, retry_after_ms=19 uint32, page_url=20 string
ServerConfig: flush_interval_ms=16 uint32, max_message_bytes=17 uint32, image_batches_per_second=18 optional float
"""

NEW_MESSAGES = """
MetricsRequestBatch: requests=1 repeated MetricsRequest
GpuUsage: index=1 uint32, uuid=2 string, utilization_percent=3 optional float, memory_used_mb=4 optional float
GpuUsage: memory_total_mb=5 optional float
GpuUsage: temperature_celsius=6 optional float, power_watts=7 optional float
GpuUsage: throttle_reasons=8 repeated string, ecc_errors=9 optional uint64, xid_errors=10 optional uint64
GpuUsage: sm_clock_mhz=11 optional float, throttle_reported=12 bool
ScalarData: epoch=1 uint32, batch_idx=2 uint32, values=3 map<string; double>
ScalarData: global_step=4 optional uint64, split=5 string
Event: name=1 string, message=2 string, level=3 Level, details=4 map<string; string>, epoch=5 uint32
Event: batch_idx=6 uint32, global_step=7 optional uint64
ResumePoint: epoch=1 optional uint32, batch_idx=2 optional uint32, global_step=3 optional uint64
CommandResult: command_id=1 string, applied=2 bool, message=3 string, epoch=4 uint32, batch_idx=5 uint32
Draining: reconnect_after_ms=1 uint32
"""

ORIGINAL_ENUMS = {
    "TrainingStatus": ["UNKNOWN", "INITIALIZING", "RUNNING", "PAUSED", "COMPLETED", "FAILED"],
    "ControlCommand.CommandType": [
        "UNKNOWN_COMMAND",
        "PAUSE_TRAINING",
        "RESUME_TRAINING",
        "STOP_TRAINING",
        "ADJUST_BATCH_SIZE",
        "CHANGE_LEARNING_RATE",
    ],
    "ErrorResponse.ErrorCode": [
        "UNKNOWN_ERROR",
        "INVALID_SESSION",
        "INVALID_DATA",
        "BUFFER_FULL",
        "INTERNAL_ERROR",
    ],
}
"""Each value's number is its place."""


def test_fields_are_the_published_ones():
    """Every field has the name, number and type of the table, and there are no others."""
    expected = table(ORIGINAL + ADDITIONS + NEW_MESSAGES)

    found = {name: fields_of(message) for name, message in FILE.message_types_by_name.items()}

    assert found == expected


def test_additions_are_numbered_from_16():
    """Numbers below 16 belong to the original protocol, in every message it has."""
    for message, fields in table(ADDITIONS).items():
        assert all(number >= FIRST_ADDITION for number, _ in fields.values()), message
        assert message in table(ORIGINAL)


def test_payload_is_one_of_the_messages():
    """A request or response carries one payload, at the published numbers."""
    for name, numbers in PAYLOADS.items():
        payload = FILE.message_types_by_name[name].oneofs_by_name["payload"]

        assert {field.number for field in payload.fields} == numbers


def test_enum_values_are_the_published_ones():
    """Original values keep their numbers; the one addition to them is SAVE_CHECKPOINT, at 16."""
    expected = {
        name: {value: number for number, value in enumerate(values)}
        for name, values in ORIGINAL_ENUMS.items()
    }
    expected["ControlCommand.CommandType"]["SAVE_CHECKPOINT"] = FIRST_ADDITION
    expected["Event.Level"] = {"INFO": 0, "WARNING": 1, "ERROR": 2}

    assert enums_of(FILE) == expected


def test_calls_are_the_published_ones():
    """The service has the name and the calls that deployed clients use."""
    assert SERVICE.full_name == "metrics.MetricsService"
    assert methods_of(SERVICE) == {
        "RegisterTrainingSession": ("SessionInfo", "SessionResponse"),
        "StreamMetrics": ("stream MetricsRequest", "stream MetricsResponse"),
        "StreamMetricsBatches": ("stream MetricsRequestBatch", "stream MetricsResponse"),
    }


def test_original_file_is_the_table_without_additions(original):
    """The .proto file that buf and the original client use has the original fields, and only these."""
    found = {name: fields_of(message) for name, message in original.message_types_by_name.items()}
    expected = {
        name: {value: number for number, value in enumerate(values)}
        for name, values in ORIGINAL_ENUMS.items()
    }

    assert found == table(ORIGINAL)
    assert enums_of(original) == expected
    assert methods_of(original.services_by_name["MetricsService"]) == {
        "RegisterTrainingSession": ("SessionInfo", "SessionResponse"),
        "StreamMetrics": ("stream MetricsRequest", "stream MetricsResponse"),
    }


def table(text):
    """Read lines of `Message: name=number type, ...` as {message: {name: (number, type)}}."""
    messages = {}
    for line in filter(None, text.splitlines()):
        message, fields = line.split(": ", 1)
        for name, number, kind in re.findall(r"(\w+)=(\d+) ([^,]+)", fields):
            messages.setdefault(message, {})[name] = (int(number), kind.replace(";", ","))
    return messages
