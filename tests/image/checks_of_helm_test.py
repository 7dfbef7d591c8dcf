"""What `helm test` does, with the image and the chart's own arguments, against an object store that works or does not."""

import pytest
from image.container import LOCKED, STATE, Doors, running, volume
from image.store import LIMITS
from support.buckets import BUCKET, moto
from support.charts import made

from bridge.storage.stores import open_store

# The base may have to be made first; a shard is closed after half a minute.
pytestmark = pytest.mark.timeout(600)

[POD] = made("Pod", images={"store": f"s3://{BUCKET}"}, test={"durationSeconds": 5})
ARGUMENTS = POD["spec"]["containers"][0]["args"]


@pytest.fixture(scope="module")
def server():
    """A store with one bucket."""
    with moto() as server:
        made_by = open_store(f"s3://{BUCKET}", endpoint=server.endpoint, access_key=server.access_key,
                             secret_key=server.secret_key)  # fmt: skip  # flags beside their values
        made_by._client.make_bucket(BUCKET)
        yield server


def outcome(built, server, bucket, *more):
    """Run the test pod's container against a bridge that stores in a bucket; return how it ended."""
    doors = Doors()
    settings = {"IMAGES_STORE": f"s3://{bucket}", "S3_ENDPOINT": server.endpoint,
                "S3_ACCESS_KEY": server.access_key, "S3_SECRET_KEY": server.secret_key}  # fmt: skip  # as a table
    variables = [
        word
        for name, value in settings.items()
        for word in ("--env", f"TRAINBRIDGE_{name}={value}")
    ]
    address = ("--env", f"TRAINBRIDGE_ADDRESS=127.0.0.1:{doors.grpc}")
    url = ("--env", f"TRAINBRIDGE_URL=http://127.0.0.1:{doors.http}")
    with (
        volume(built.store) as state,
        running(built.store, built.name, f"--volume={state}:{STATE}", *variables, doors=doors),
    ):
        return built.store.tried("run", "--rm", "--pull=never", "--network", "host", *LIMITS, *LOCKED,
                                 *address, *url, built.name, *ARGUMENTS, *more, seconds=240)  # fmt: skip  # flags beside their values


def test_it_passes_once_images_lie_in_the_store(built, server, figures):
    """The log has no finding, and the bucket has a shard."""
    assert "--store-seconds=90" in ARGUMENTS

    done = outcome(built, server, BUCKET)

    assert done.status == 0, done.out + done.err
    assert '"findings": 0' in done.out + done.err


def test_a_wrong_bucket_fails_it_and_is_named(built, server):
    """Nobody learns weeks later that no image was kept."""
    done = outcome(built, server, "nowhere", "--store-seconds=5")

    assert done.status == 1
    assert "nowhere" in done.out + done.err
    assert "in the object store" in done.out + done.err
