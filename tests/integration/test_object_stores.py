"""Every object store keeps the same promises: a folder, moto's S3 server, and OpenStack Swift's s3api."""

import socket
import time

import pytest
import webdataset
from moto.server import ThreadedMotoServer
from support.images import Bench, batch, session
from support.shards import put_batch
from support.swift import S3Server, swift
from support.waiting import until

from bridge.errors import NotFoundError, StorageError
from bridge.model import ImageResult
from bridge.sinks.images.elsewhere import StoreIndex
from bridge.sinks.images.shards.layout import parse_index
from bridge.sinks.images.upload.circuit_breaker import CircuitBreaker
from bridge.storage.index_cache import IndexCache
from bridge.storage.local import LocalStore
from bridge.storage.s3 import S3Store, transport
from bridge.storage.stores import open_store
from bridge.telemetry import Telemetry

BUCKET = "training-images"
KEY = "a..b/2023-11-14/1700000000000-abcd0123-000001.tar"

# WebDataset leaves closing its files to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


@pytest.fixture(scope="module")
def swift_server(tmp_path_factory):
    """Run Swift once for all tests here."""
    with swift(tmp_path_factory.mktemp("swift") / "server") as server:
        yield server


@pytest.fixture(scope="module")
def moto_server():
    """Run moto's server once for all tests here."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield S3Server(f"http://{host}:{port}", "key", "secret")
    server.stop()


@pytest.fixture(params=["moto", "swift"])
def bucket(request):
    """Return a server with an empty bucket, which is gone afterwards."""
    server = request.getfixturevalue(f"{request.param}_server")
    store = open_bucket(server)
    store._client.make_bucket(BUCKET)
    yield server
    if store._client.bucket_exists(BUCKET):
        for each in list(open_bucket(server, prefix="").list()):
            store._client.remove_object(BUCKET, each.key)
        store._client.remove_bucket(BUCKET)


@pytest.fixture(params=["folder", "moto", "swift"])
def store(request, tmp_path):
    """Return an empty store of each kind."""
    if request.param == "folder":
        yield LocalStore(tmp_path / "images")
        return
    server = request.getfixturevalue(f"{request.param}_server")
    store = open_bucket(server)
    store._client.make_bucket(BUCKET)
    yield store
    for each in list(store.list()):
        store.delete(each.key)
    store._client.remove_bucket(BUCKET)


def open_bucket(server, *, prefix="runs/here", **changed):
    """Open the bucket of a server."""
    options = {
        "endpoint": server.endpoint,
        "access_key": server.access_key,
        "secret_key": server.secret_key,
        "path_style": True,
    }
    return open_store(f"s3://{BUCKET}/{prefix}", **{**options, **changed})


@pytest.fixture
def file(tmp_path):
    """Return a file to put."""
    file = tmp_path / "spooled.tar"
    file.write_bytes(bytes(range(256)) * 100)
    return file


def test_what_is_put_can_be_read_listed_and_deleted(store, file):
    """Any part comes back; a retry overwrites; deleting twice is not an error."""
    for _ in range(2):
        store.put(KEY, file, {"images": "3"})

    assert store.read(KEY, 300, 5) == bytes([44, 45, 46, 47, 48])
    assert [(found.key, found.size_bytes) for found in store.list("a..b/")] == [(KEY, 25_600)]
    assert list(store.list("a..c")) == []
    store.delete(KEY)
    store.delete(KEY)
    assert list(store.list()) == []
    with pytest.raises(NotFoundError):
        store.read(KEY, 0, 1)


async def test_a_bridge_without_a_row_reads_the_images_of_a_session_from_the_store(store, tmp_path):
    """Its labels, and a picture; what another session with a longer name has stored is not taken for its own."""
    put_batch(store, 1, 2)
    put_batch(store, 1, 3, at=30, number=2, attempt=2)
    put_batch(store, 1, 4, session_id="run-2")
    cache = IndexCache(tmp_path / "store-index.db")
    index = StoreIndex(store, cache, Telemetry(), own_keys=lambda _: (), deletions=tuple)
    async with index.running():
        found = await index.find("run", is_known=False, wait_seconds=30)
        newest = found.index.newest("run", limit=9)
        image = found.index.images("run", 1, 2)[1]
        location = image.location

        assert [(one.batch, one.attempt) for one in newest] == [(3, 2), (2, 1)]
        assert found.class_names[image.true_class] == 'a "bird"'
        assert store.read(location.key, location.offset, 2) == b"\xff\xd8"
        assert await index.find("no-run", is_known=False, wait_seconds=30) is None


def test_no_key_leads_out_of_the_store(store, file):
    """Keys that could name something else are refused before anything is sent."""
    for key in ("../x", "a/../../x", "/etc/passwd", "a//b", ""):
        with pytest.raises(StorageError, match="not a key"):
            store.put(key, file, {})


async def test_images_reach_the_store_and_are_read_from_it(store, tmp_path):
    """From the first byte in the spool to a ranged read from the store, and a data set for WebDataset."""
    bench = Bench(tmp_path / "bench", store)
    sent = [batch(1, number, images=4) for number in range(8)]
    async with bench.running():
        for each in sent:
            bench.send(session(), each)
            bench.commit()
        bench.images.flush()
        await until(lambda: bench.commit() or not bench.spooled())
        images = [image for each in sent for image in bench.index.images("run", 1, each.index)]
        read = [bench.images.reader.read(image.location) for image in images]

    assert all(image.location.stored for image in images)
    assert read == [image.jpeg for each in sent for image in each.images]
    assert bench.books()[ImageResult.STORED] == 32
    (found,) = store.list("run/")
    copy = tmp_path / "copy.tar"
    copy.write_bytes(store.read(found.key, 0, found.size_bytes))
    samples = list(webdataset.WebDataset(str(copy), shardshuffle=False).decode("pil"))
    assert [(s["json"]["batch_idx"], s["json"]["index"]) for s in samples] == [
        (number, index) for number in range(8) for index in range(4)
    ]


async def test_a_new_database_is_filled_from_the_store(store, tmp_path):
    """LIST and tails are enough to find every image again."""
    first = Bench(tmp_path / "first", store)
    async with first.running():
        for epoch in (1, 2):
            first.send(session(), batch(epoch, 0))
        first.commit()
    second = Bench(tmp_path / "second", store)
    async with second.running():
        await until(lambda: second.commit() or len(second.index.newest("run", limit=9)) == 2)
        image = second.index.images("run", 2, 0)[1]

        assert second.images.reader.read(image.location) == batch(2, 0).images[1].jpeg


async def test_the_metadata_of_an_object_finds_its_index(bucket, tmp_path):
    """A reader with nothing but S3 needs one HEAD and one ranged GET."""
    store = open_bucket(bucket)
    bench = Bench(tmp_path / "bench", store)
    async with bench.running():
        bench.send(session(), batch(1, 0, images=3))
        bench.commit()
    (found,) = store.list()

    metadata = store.metadata(found.key)
    index = store.read(found.key, int(metadata["index-offset"]), int(metadata["index-length"]))

    assert metadata["images"] == "3"
    assert len(list(parse_index(index))) == 3
    assert found.key.startswith("run/")
    assert [each.key for each in open_bucket(bucket, prefix="").list()] == [
        f"runs/here/{found.key}"
    ]


def test_a_large_shard_is_one_request(bucket, tmp_path):
    """Single PUTs leave no parts behind, and are there whole or not at all."""
    store = open_bucket(bucket)
    file = tmp_path / "large.tar"
    file.write_bytes(b"\xff" * (17 << 20))

    store.put(KEY, file, {})

    # The ETag of an object of several parts has a dash and their number (S3 API, "ETag").
    assert "-" not in store._client.stat_object(BUCKET, f"runs/here/{KEY}").etag
    assert store.read(KEY, (17 << 20) - 3, 3) == b"\xff" * 3


def test_uploading_costs_little_of_a_core(moto_server, tmp_path):
    """A client that computes checksums in pure Python would take the whole bridge down with it."""
    store = open_bucket(moto_server)
    store._client.make_bucket(BUCKET)
    file = tmp_path / "file.tar"
    file.write_bytes(b"\xff" * (8 << 20))
    store.put(KEY, file, {})
    started = time.thread_time()
    store.put(KEY, file, {})
    seconds = time.thread_time() - started
    store.delete(KEY)
    store._client.remove_bucket(BUCKET)

    assert seconds < 0.25  # in pure Python it would be 0.6


def test_errors_have_no_secrets(bucket, file):
    """A missing bucket, a wrong key and a port where nobody listens are faults that may pass."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        wrong = {
            "bucket": open_store(
                "s3://no-such-bucket",
                endpoint=bucket.endpoint,
                access_key=bucket.access_key,
                secret_key=bucket.secret_key,
            ),
            "port": open_bucket(bucket, endpoint=f"http://127.0.0.1:{port}"),
        }
        if bucket.access_key != "key":  # moto takes any key
            wrong["key"] = open_bucket(bucket, secret_key="guessed")
        for store in wrong.values():
            for ask in (
                lambda store=store: store.put(KEY, file, {}),
                lambda store=store: store.read("run/day/one.tar", 0, 1),
                lambda store=store: list(store.list()),
            ):
                with pytest.raises(StorageError) as caught:
                    ask()
                assert "guessed" not in str(caught.value)


def test_a_store_that_says_nothing_is_given_up_on(file, monkeypatch):
    """A connection that is accepted and never answered ends with the timeout, once, without retries."""
    monkeypatch.setattr(transport, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = f"http://127.0.0.1:{mute.getsockname()[1]}"
        store = S3Store(BUCKET, endpoint=endpoint, access_key="a", secret_key="b")
        with pytest.raises(StorageError, match="no answer"):
            store.put(KEY, file, {})

        mute.setblocking(False)
        mute.accept()[0].close()
        with pytest.raises(BlockingIOError):
            mute.accept()


def test_credentials_come_from_the_environment(bucket, file, monkeypatch):
    """Without keys in the settings, the AWS_* variables are asked."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", bucket.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", bucket.secret_key)
    store = open_bucket(bucket, access_key="", secret_key="")

    store.put(KEY, file, {})

    assert [found.key for found in store.list()] == [KEY]


async def test_a_bucket_that_was_deleted_is_caught_up_with(bucket, tmp_path):
    """While there is no bucket images spool; when it is back they arrive, without a restart."""
    store = open_bucket(bucket)
    store._client.remove_bucket(BUCKET)
    bench = Bench(tmp_path / "bench", store)
    bench.images._uploader._breaker = CircuitBreaker(longest_seconds=1.0)
    async with bench.running():
        for epoch in range(1, 6):
            bench.send(session(), batch(epoch, 0))
            bench.commit()
        await until(lambda: bench.metric("bridge_uploads_total", result="failed"))
        down = bench.metric("bridge_object_store_up")
        waiting = len(bench.spooled())
        store._client.make_bucket(BUCKET)
        await until(lambda: bench.commit() or len(bench.spooled()) == 1)

        assert (down, waiting) == (0, 5)
        assert bench.metric("bridge_object_store_up") == 1
        assert bench.books()[ImageResult.STORED] == 10
    assert len(list(store.list())) == 5
