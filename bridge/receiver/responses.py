"""Builds what the bridge sends to a client, in protobuf."""

from bridge.commands import Command
from bridge.wire import metrics_pb2 as wire

TEXT_LIMIT = 1_000
"""Characters of an explanation."""


def acknowledgment(batch: int, sequence: int, kept: int, dropped: int) -> wire.MetricsResponse:
    """Say that everything up to here has been committed."""
    return wire.MetricsResponse(
        ack=wire.Acknowledgment(
            batch_idx=batch,
            success=True,
            sequence=sequence,
            images_kept=kept,
            images_dropped=dropped,
        )
    )


def error(
    code: wire.ErrorResponse.ErrorCode.ValueType, text: str, sequence: int, retry_after_ms: int
) -> wire.MetricsResponse:
    """Say what is wrong with a message."""
    return wire.MetricsResponse(
        error=wire.ErrorResponse(
            code=code,
            message=text[:TEXT_LIMIT],
            sequence=sequence,
            retryable=retry_after_ms > 0,
            retry_after_ms=retry_after_ms,
        )
    )


def command(sent: Command) -> wire.MetricsResponse:
    """Pass on a command."""
    return wire.MetricsResponse(
        command=wire.ControlCommand(
            type=wire.ControlCommand.CommandType.ValueType(sent.type),
            parameters=dict(sent.parameters),
            command_id=sent.id,
        )
    )


def draining(reconnect_after_ms: int) -> wire.MetricsResponse:
    """Ask the client to connect again soon."""
    return wire.MetricsResponse(draining=wire.Draining(reconnect_after_ms=reconnect_after_ms))
