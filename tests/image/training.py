"""A loop that trains for some seconds, and prints as JSON what came of it; runs with the image's own Python."""

import io
import json
import sys
import time

from PIL import Image

from bridge.client import TrainingSession

PACE_SECONDS = 0.02


def main():
    """Log a batch after the other, to the address and for as many seconds as the arguments say."""
    address, session_id, seconds = sys.argv[1:]
    picture = io.BytesIO()
    Image.new("L", (28, 28), 99).save(picture, "JPEG")
    session = TrainingSession(
        address, session_id=session_id, model="m", batch_size=1, close_seconds=60
    )
    batch, end = 0, time.monotonic() + float(seconds)
    while time.monotonic() < end:
        session.log_batch(
            1 / (batch + 1),
            epoch=batch // 500,
            batch=batch % 500,
            images=[picture.getvalue()],
            predictions=[0],
            ground_truth=[0],
        )
        batch += 1
        time.sleep(PACE_SECONDS)
    left = session.close()
    stats = session.stats
    report = {
        "left": left,
        "batches": stats.batches,
        "acknowledged": stats.batches_acknowledged,
        "dropped": stats.dropped,
        "refused": stats.refused,
        "connections": stats.connections,
    }
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
