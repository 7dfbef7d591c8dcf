"""What a run reports of itself beside its numbers: status, phase and performance, in the protocol's messages."""

from bridge.client.calls import StatusCall
from bridge.client.light import LightSteps
from bridge.client.phase_report import PhaseState
from bridge.client.throughput import Throughput
from bridge.wire import metrics_pb2 as wire


def status_update(
    call: StatusCall, message: str, clock_ms: int, phases: PhaseState
) -> wire.StatusUpdate:
    """Return a status with its message, and the phases of the run."""
    return wire.StatusUpdate(
        status=wire.TrainingStatus.ValueType(int(call.status)),
        message=message,
        timestamp_ms=clock_ms,
        phase=phases.phase,
        phase_seconds=phases.seconds,
        ending=call.ending,
    )


def performance_data(
    throughput: Throughput | None,
    usage: wire.ResourceUsage | None,
    clock_ms: int,
    phases: PhaseState,
    steps: LightSteps | None,
) -> wire.PerformanceData:
    """Return throughput, resource usage and phases; without throughput, none is known yet.

    With `steps`, also how many there were: of a rank that sends no batches.
    """
    data = wire.PerformanceData(
        resource_usage=usage,
        timestamp_ms=clock_ms,
        phase=phases.phase,
        phase_seconds=phases.seconds,
    )
    if steps is not None:
        data.batch_count = steps.batches
        step = steps.step
        if step is not None and step >= 0:
            data.global_step = step
    if throughput is not None:
        data.time_per_batch_ms = throughput.batch_seconds * 1000
        data.total_time_for_epoch_sec = throughput.epoch_seconds
        data.estimated_time_remaining_sec = throughput.remaining_seconds
        data.current_fps = throughput.samples_per_second
        data.average_fps = throughput.samples_per_second_average
    return data
