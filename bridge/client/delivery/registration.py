"""How a session is registered with a bridge."""

import grpc

from bridge.client.clock import now_ms
from bridge.client.delivery.channel import SERVICE, Metadata
from bridge.client.delivery.failure import RegistrationRefusedError
from bridge.client.encoding.encoder import described
from bridge.client.identity import Identity
from bridge.protocol import LEFT_OVER_HEADER, STARTED_HEADER
from bridge.wire import metrics_pb2 as wire

REGISTER_SECONDS = 10.0


def register(
    channel: grpc.Channel, identity: Identity, session_id: str, metadata: Metadata
) -> wire.SessionResponse:
    """Register a session, and return the bridge's answer. Raises RpcError, RegistrationRefusedError."""
    place = identity.resume_from
    info = wire.SessionInfo(
        session_id=session_id,
        client_name=identity.client_name,
        client_version=identity.client_version,
        config=identity.config.to_wire(),
        timestamp_ms=now_ms(),
        client_instance_id=identity.instance_id,
        labels=described(identity.labels),
        run_id=identity.run_id,
        rank=identity.rank,
        world_size=identity.world_size,
        config_json=identity.config_json,
        resume_point=None
        if place is None
        else wire.ResumePoint(epoch=place.epoch, batch_idx=place.batch, global_step=place.step),
    )
    register_session = channel.unary_unary(
        f"{SERVICE}/RegisterTrainingSession",
        request_serializer=wire.SessionInfo.SerializeToString,
        response_deserializer=wire.SessionResponse.FromString,
    )
    metadata = (*metadata, *_attempt_metadata(identity))
    response = register_session(info, timeout=REGISTER_SECONDS, metadata=metadata)
    if not response.success:
        raise RegistrationRefusedError(
            response.message or "the bridge does not say why",
            retry_after_seconds=response.retry_after_ms / 1000,
        )
    return response


def _attempt_metadata(identity: Identity) -> Metadata:
    """Return what lets a bridge put the attempts of a session in order."""
    headers = {
        STARTED_HEADER: str(identity.started_ms or ""),
        LEFT_OVER_HEADER: "1" if identity.is_left_over else "",
    }
    return tuple((key, value) for key, value in headers.items() if value)
