"""Frames: joined as protobuf would encode them, and split into what was joined."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.wire import metrics_pb2 as wire
from bridge.wire.framing import end_of_requests, join_frame, session_prefix, split_frame


@given(st.text(max_size=40), st.lists(st.binary(max_size=300), max_size=5))
def test_frames_are_what_protobuf_would_write(session_id, payloads):
    """Joining encoded parts gives what encoding the whole gives."""
    requests = [
        wire.MetricsRequest(
            sequence=place, batch_data=wire.BatchData(images=[wire.ImageData(image_bytes=payload)])
        )
        for place, payload in enumerate(payloads, 1)
    ]
    frame = join_frame(
        session_prefix(session_id), [request.SerializeToString() for request in requests]
    )

    read = wire.MetricsRequestBatch.FromString(frame)

    for request in requests:
        request.session_id = session_id
    assert list(read.requests) == requests


@given(st.binary(max_size=200), st.lists(st.binary(max_size=300), max_size=9), st.integers(1, 9))
def test_a_frame_is_split_into_what_was_joined(prefix, bodies, limit):
    """Whatever the messages hold; and the first so many of them end where a shorter frame would."""
    frame = join_frame(prefix, bodies)

    assert list(split_frame(frame)) == [prefix + body for body in bodies]
    end = end_of_requests(frame, limit)
    assert end == len(frame) or end == len(join_frame(prefix, bodies[:limit]))
