"""Files of a client's spool, which may be damaged, or of an older version."""

import io
from pathlib import Path
from tempfile import TemporaryDirectory

from bridge.client.spool.records import MAGIC, OLD_MAGIC, Damage, read_records
from bridge.client.spool.segment import segments_in


def run(data: bytes) -> None:
    """Read records of both versions up to the end, and a file of either as a spool does."""
    for is_old in (False, True):
        position = 0
        for found, end in read_records(io.BytesIO(data), len(data), is_old=is_old):
            assert position < end <= len(data)
            assert not isinstance(found, Damage) or found.size_bytes == end - position
            position = end
        assert position == len(data)
    with TemporaryDirectory() as folder:
        for number, beginning in enumerate((b"", MAGIC, OLD_MAGIC), 1):
            Path(folder, f"{number:08}.spool").write_bytes(beginning + data)
        for segment in segments_in(Path(folder)):
            for _ in segment.read():
                pass
