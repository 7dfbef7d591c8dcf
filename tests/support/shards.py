"""Shards as bridges write them, made at once and put into any store."""

import tempfile
from pathlib import Path

from support.images import NOON
from support.images import candidate as candidate_of

from bridge.sinks.images.shards.layout import ending, index_line, pack
from bridge.storage.shard_keys import shard_key


def shard_of(*candidates):
    """Return the bytes of a closed shard of some candidates."""
    body, lines = b"", []
    for one in candidates:
        at = len(body)
        buffers, extents = pack(one, at=at)
        body += b"".join(buffers)
        for image, extent in zip(one.batch.images, extents, strict=True):
            name = b"%06d-%08d-%02d" % (one.batch.epoch, one.batch.index, image.index)
            text = body[extent.json_offset : extent.json_offset + extent.json_length]
            lines.append(index_line(name, extent, text))
    return body + ending(lines, at=len(body), changed_seconds=NOON)


def put_shard(store, *candidates, attempt=1, bridge_id="abcd0123", number=1):
    """Put a shard into a store, and return its key."""
    first = candidates[0]
    key = shard_key(first.session_id, attempt, first.received, bridge_id=bridge_id, number=number)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "shard.tar"
        file.write_bytes(shard_of(*candidates))
        store.put(key, file, {})
    return key


def put_batch(store, epoch=1, index=0, *, at=0.0, number=1, bridge_id="abcd0123", **kind):
    """Put a shard of one batch, received `at` seconds after noon, and return its key."""
    attempt = kind.pop("attempt", 1)
    one = candidate_of(epoch, index, received=NOON + at, **kind)
    return put_shard(store, one, attempt=attempt, number=number, bridge_id=bridge_id)
