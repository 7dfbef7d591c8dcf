"""What the SDK promises with grpcio and protobuf alone; `make check-oldest` runs it on the oldest of both."""

import math
import sys
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import bridge.client
from bridge.wire import metrics_pb2, metrics_pb2_grpc


def main() -> None:
    """Import the SDK and send a message through the generated code and back."""
    request = metrics_pb2.MetricsRequest(session_id="s", sequence=7)
    request.batch_data.batch_loss = math.inf
    request.scalar_data.values["x"] = 0.5  # replaces batch_data: one payload

    read = metrics_pb2.MetricsRequest.FromString(request.SerializeToString())

    assert read == request
    assert read.WhichOneof("payload") == "scalar_data"
    assert metrics_pb2_grpc.MetricsServiceStub
    assert bridge.client.__doc__
    libraries = f"grpcio {version('grpcio')}, protobuf {version('protobuf')}"
    print(f"{libraries}: the SDK imports, messages travel")  # noqa: T201 -- a script


if __name__ == "__main__":
    main()
