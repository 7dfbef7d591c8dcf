"""Registrations: who a client says it is, and how its run is configured."""

import json

from google.protobuf.message import DecodeError

from bridge.receiver.message_limits import MessageLimits
from bridge.receiver.run_info import client_of, config_of
from bridge.trace_context import TraceContext
from bridge.wire import metrics_pb2 as wire

LIMITS = MessageLimits(text=64, labels=4, label=16, class_names=64, config_keys=4)


def run(data: bytes) -> None:
    """Read a registration; all that is kept of it has a bound, and can be written as UTF-8."""
    try:
        info = wire.SessionInfo.FromString(data)
    except DecodeError:
        return
    client = client_of(info, TraceContext.parse(info.client_version), LIMITS)
    config = config_of(info.config, LIMITS)

    assert len(client.labels) <= LIMITS.labels
    assert len(client.run_config) <= LIMITS.config_keys
    assert sum(map(len, config.class_names)) <= LIMITS.class_names
    json.dumps(dict(client.run_config), allow_nan=False, ensure_ascii=False).encode()
