"""Messages as the SDK makes them, and spools that have been left behind."""

from pathlib import Path
from zlib import crc32

from bridge.client.delivery.message import OutgoingMessage, Priority
from bridge.client.identity import Identity, RunConfig
from bridge.client.spool.folder import Folder
from bridge.client.spool.records import CHECK, OLD_MAGIC, OLD_REST
from bridge.client.spool.spool import Spool
from bridge.wire import metrics_pb2 as wire

IMAGE_BYTES = 100


def outgoing_message(sequence, priority=Priority.BATCH, *, images=0, size=0):
    """Return a message whose images are of IMAGE_BYTES each, and `size` bytes more."""
    request = wire.MetricsRequest(sequence=sequence, timestamp_ms=1 << 40)
    if priority is Priority.BATCH:
        request.batch_data.batch_idx = sequence
        request.batch_data.images.extend([wire.ImageData(image_bytes=bytes(IMAGE_BYTES))] * images)
    elif priority is Priority.OTHER:
        request.scalar_data.values["x" * size] = 1.0
    else:
        ends = priority is Priority.FINAL
        request.status_update.status = wire.COMPLETED if ends else wire.RUNNING
        request.status_update.message = "x" * size
    batch = sequence if priority is Priority.BATCH else -1
    return OutgoingMessage(sequence, priority, request.SerializeToString(), batch, images)


def identity_of(session_id="run", instance_id="0123456789abcdef", started_ms=0):
    """Return who registers."""
    config = RunConfig(model="m", class_names=("a", "b"))
    return Identity(session_id, instance_id, "test", "1", config, started_ms=started_ms)


def spool_in(root, *, limit_bytes=1 << 30, **who):
    """Return the spool of a new session."""
    return Spool(Folder.create(root, identity_of(**who)), limit_bytes)


def leave(root, messages, *, acked_through=0, **who):
    """Leave a spool as a process does that is killed; return its folder."""
    spool = spool_in(root, **who)
    if messages:
        spool.append(messages)
    spool.acknowledge(acked_through)
    spool.release()
    return spool.path


def old_packed(message):
    """Return the record of a message as the first version of the SDK wrote it."""
    rest = OLD_REST.pack(
        len(message.body), message.sequence, message.batch, message.images, message.priority
    )
    return CHECK.pack(crc32(message.body, crc32(rest))) + rest + message.body


def leave_old(root, *files, **who):
    """Leave a spool of the first version, with the messages of each file; return its folder."""
    path = leave(root, [], **who)
    for number, messages in enumerate(files, 1):
        content = OLD_MAGIC + b"".join(map(old_packed, messages))
        (path / f"{number:08}.spool").write_bytes(content)
    return path


def reopened(path):
    """Return what another process finds in a folder that was left."""
    spool = Spool(Folder.claim(path), 1 << 30)
    spool.load()
    return spool


def sequences(messages):
    """Return the numbers of messages."""
    return [message.sequence for message in messages]


def open_files():
    """Return the files this process has open."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}
