"""A training client that knows the original protocol only: argv is the address, the session and a JPEG file.

Runs with code generated from metrics.proto beside it, in a process of its own, and prints what it was answered.
"""

import json
import queue
import sys
import threading
import time
from pathlib import Path

import grpc
import metrics_pb2 as wire
import metrics_pb2_grpc

EPOCHS = 2
BATCHES = 3
IMAGES = 4
ANSWER_SECONDS = 20


def main() -> None:
    """Register, stream a short training, and print the answers as JSON."""
    address, session_id, jpeg = sys.argv[1:]
    with grpc.insecure_channel(address) as channel:
        stub = metrics_pb2_grpc.MetricsServiceStub(channel)
        registered = register(stub, session_id)
        acks = train(stub, registered.session_id, Path(jpeg).read_bytes())
    answer = {
        "registered": registered.success,
        "session_id": registered.session_id,
        "max_batch_size": registered.server_config.max_batch_size,
        "heartbeat_interval_ms": registered.server_config.heartbeat_interval_ms,
        "acks": acks,
    }
    sys.stdout.write(json.dumps(answer))


def register(stub, session_id):
    """Open the session, telling how the run is configured."""
    info = wire.SessionInfo(
        session_id=session_id,
        client_name="original",
        client_version="1.0",
        config=config(),
        timestamp_ms=now_ms(),
    )
    return stub.RegisterTrainingSession(info, timeout=ANSWER_SECONDS)


def config():
    """Return the configuration of the run."""
    return wire.TrainingConfig(
        total_epochs=EPOCHS,
        batches_per_epoch=BATCHES,
        batch_size=IMAGES,
        model_name="perceptron",
        dataset_name="digits",
        class_names=["zero", "one"],
    )


def train(stub, session_id, jpeg):
    """Stream two epochs, waiting for the Ack of each batch and of a heartbeat; return all Acks."""
    outgoing = queue.SimpleQueue()
    incoming = queue.SimpleQueue()
    responses = stub.StreamMetrics(iter(outgoing.get, None))
    reader = threading.Thread(target=read, args=(responses, incoming))
    reader.start()

    def send(**payload):
        outgoing.put(wire.MetricsRequest(session_id=session_id, timestamp_ms=now_ms(), **payload))

    def acknowledged():
        ack = incoming.get(timeout=ANSWER_SECONDS)
        return [ack.batch_idx, ack.success]

    acks = []
    send(status_update=wire.StatusUpdate(status=wire.RUNNING, config=config()))
    for epoch in range(EPOCHS):
        for index in range(BATCHES):
            send(batch_data=batch(epoch, index, jpeg))
            acks.append(acknowledged())
        send(performance_data=performance())
        send(epoch_data=wire.EpochData(epoch=epoch, average_loss=0.5, average_accuracy=0.75))
    send(heartbeat=wire.Heartbeat(timestamp_ms=now_ms(), sequence_number=1))
    acks.append(acknowledged())
    send(status_update=wire.StatusUpdate(status=wire.COMPLETED, message="done"))
    outgoing.put(None)
    reader.join()
    return acks


def read(responses, incoming):
    """Pass on the Acks until the server ends the stream, which it does after the client."""
    for response in responses:
        if response.WhichOneof("payload") != "ack":
            raise RuntimeError(f"unexpected answer: {response}")
        incoming.put(response.ack)


def batch(epoch, index, jpeg):
    """Return a training step with images, all predicted as class 1, half of them rightly."""
    return wire.BatchData(
        epoch=epoch,
        batch_idx=index,
        images=[wire.ImageData(image_bytes=jpeg)] * IMAGES,
        predictions=[wire.Prediction(predicted_class=1, confidence=0.9)] * IMAGES,
        ground_truth=[0, 1] * (IMAGES // 2),
        batch_loss=1.0 / (1 + epoch * BATCHES + index),
    )


def performance():
    """Return what a client measures of itself."""
    return wire.PerformanceData(
        time_per_batch_ms=20,
        total_time_for_epoch_sec=3,
        estimated_time_remaining_sec=6,
        current_fps=50,
        average_fps=40,
        resource_usage=wire.ResourceUsage(
            cpu_percent=150, memory_mb=512, gpu_percent=90, gpu_memory_mb=1024
        ),
        timestamp_ms=now_ms(),
    )


def now_ms():
    """Return the client's clock."""
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()
