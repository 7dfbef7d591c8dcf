"""Buckets behind a proxy, and bridges that keep their images there."""

from contextlib import contextmanager

from moto.server import ThreadedMotoServer
from support.proxy import proxying
from support.swift import S3Server

from bridge.storage.stores import open_store

BUCKET = "training-images"


@contextmanager
def moto():
    """Run moto's server, which takes any key."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield S3Server(f"http://{host}:{port}", "key", "secret")
    finally:
        server.stop()


@contextmanager
def bucket_behind_proxy(server):
    """Yield a client of an empty bucket, and a proxy before its server."""
    client = open_store(
        f"s3://{BUCKET}",
        endpoint=server.endpoint,
        access_key=server.access_key,
        secret_key=server.secret_key,
    )._client
    client.make_bucket(BUCKET)
    with proxying(server.endpoint.removeprefix("http://")) as proxy:
        yield client, proxy
    for found in client.list_objects(BUCKET, recursive=True):
        client.remove_object(BUCKET, found.object_name)
    client.remove_bucket(BUCKET)


def flags(server, proxy, *, secret=""):
    """Return what has a bridge keep all images in the bucket, reached through the proxy."""
    return (
        "--images-keep",
        "all",
        "--images-store",
        f"s3://{BUCKET}/runs",
        "--s3-endpoint",
        f"http://{proxy.address}",
        "--s3-access-key",
        server.access_key,
        "--s3-secret-key",
        secret or server.secret_key,
    )


def failures(bridge):
    """Return how many uploads have failed."""
    return bridge.total("bridge_uploads_total", result="failed")


def is_up(bridge):
    """Return whether alerts would say that the store is up."""
    return bridge.total("bridge_object_store_up") == 1


def everything_is_stored(bridge):
    """Return whether nothing waits for the store."""
    return is_up(bridge) and bridge.total("bridge_spool_bytes") == 0
