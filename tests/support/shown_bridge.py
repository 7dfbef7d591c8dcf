"""A fake bridge with a fake page, which loses, doubles, delays and alters on demand."""

import json
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.fake_bridge import FakeBridge, serving

IMAGES = re.compile(r"/api/v1/sessions/([^/]+)/images\?limit=\d+(?:&after=(\d+)-(\d+))?")
IMAGE = re.compile(r"/sessions/([^/]+)/batches/(\d+)-(\d+)/(\d+)\.jpg")


class ShownBridge(FakeBridge):
    """Shows over HTTP what it has applied, unless it is set to misbehave."""

    def __init__(self):
        """Show everything, at once, as it came."""
        super().__init__()
        self.shown = []
        """When, and which request."""
        self.distort = lambda request: [request]
        """What is shown instead of a request."""
        self.picture = lambda image: image
        """What is served instead of an image; None: a 404."""
        self.delay_seconds = 0.0
        self.status = 200
        """Of every answer over HTTP."""
        self.images_status = 200
        """Of every answer about images."""
        self.is_stored = True
        """Whether images are said to lie in the object store."""
        self.url = ""
        self.looks = 0
        """How often /metrics was asked for."""
        self._session = ""

    def RegisterTrainingSession(self, request, context):  # noqa: N802 -- the protocol's name
        """Number each session's messages from 1."""
        if request.session_id != self._session:
            self._session, self.accepted = request.session_id, 0
        return super().RegisterTrainingSession(request, context)

    def _apply(self, request):
        before = len(self.applied)
        super()._apply(request)
        if len(self.applied) > before:
            self.shown += [(time.monotonic(), one) for one in self.distort(request)]

    def seen(self, session_id, kind):
        """Return the payloads of a kind that are shown by now."""
        until = time.monotonic() - self.delay_seconds
        return [
            getattr(request, kind)
            for at, request in tuple(self.shown)
            if at <= until
            and request.session_id == session_id
            and request.WhichOneof("payload") == kind
        ]

    def answer(self, path):
        """Return status and body of a page."""
        if path == "/readyz?verbose":
            return 200, b"commits: ok\nconnection object_store (s3://b): there is no bucket b\n"
        if path == "/metrics":
            self.looks += 1
            return self.status, self._metrics().encode()
        if found := IMAGES.fullmatch(path):
            after = (int(found[2]), int(found[3])) if found[2] else (-1, -1)
            return max(self.status, self.images_status), self._images(found[1], after)
        if found := IMAGE.fullmatch(path):
            image = self._image(found[1], *map(int, found.groups()[1:]))
            status = 404 if image is None else 200
            return max(self.status, self.images_status, status), image or b"nothing here"
        return 404, b"nothing here"

    def _metrics(self):
        sessions = {request.session_id for _, request in tuple(self.shown)}
        lines = [line for one in sorted(sessions) for line in self._lines(one)]
        return "\n".join(["# TYPE bridge_build_info gauge", "bridge_build_info 1.0", *lines, ""])

    def _lines(self, session_id):
        label = f'session_id="{session_id}"'
        batches = self.seen(session_id, "batch_data")
        yield f"training_batches_total{{{label}}} {len(batches)}"
        yield f"training_batch_loss_sum{{{label}}} {sum(one.batch_loss for one in batches)!r}"
        yield f"training_batch_loss_count{{{label}}} {len(batches)}"
        samples = [prediction for one in batches for prediction in one.predictions]
        yield f"training_samples_total{{{label}}} {len(samples)}"
        sure = sum(prediction.confidence for prediction in samples)
        yield f"training_prediction_confidence_sum{{{label}}} {sure!r}"
        yield f"training_prediction_confidence_count{{{label}}} {len(samples)}"
        epochs = len(self.seen(session_id, "epoch_data"))
        yield f"training_epochs_completed_total{{{label}}} {epochs}"
        newest = {
            (name, one.split): value
            for one in self.seen(session_id, "scalar_data")
            for name, value in one.values.items()
        }
        for (name, split), value in newest.items():
            yield f'training_metric{{{label},name="{name}",split="{split}"}} {value!r}'
        images = sum(len(one.images) for one in batches)
        yield f'training_images_total{{{label},result="stored"}} {images}'
        cells = {}
        for one in batches:
            for prediction, true in zip(one.predictions, one.ground_truth, strict=True):
                cells[true, prediction.predicted_class] = (
                    cells.get((true, prediction.predicted_class), 0) + 1
                )
        for (true, prediction), count in cells.items():
            classes = f'true_class="{true}",predicted_class="{prediction}"'
            yield f"training_predictions_total{{{label},{classes}}} {count}"

    def _images(self, session_id, after):
        batches = [
            {
                "epoch": one.epoch,
                "batch": one.batch_idx,
                "received_ms": 0,
                "loss": one.batch_loss,
                "url": "",
                "images": [
                    {
                        "position": position,
                        "url": "",
                        "is_wrong": False,
                        "in_store": self.is_stored,
                        "predicted_class": one.predictions[position].predicted_class,
                        "confidence": one.predictions[position].confidence,
                        "true_class": one.ground_truth[position],
                    }
                    for position in range(len(one.images))
                ],
            }
            for one in self.seen(session_id, "batch_data")
            if one.images and (one.epoch, one.batch_idx) > after
        ]
        return json.dumps({"batches": batches, "next": None}).encode()

    def _image(self, session_id, epoch, batch, position):
        for one in self.seen(session_id, "batch_data"):
            if (one.epoch, one.batch_idx) == (epoch, batch) and position < len(one.images):
                return self.picture(one.images[position].image_bytes)
        return None


@contextmanager
def shown(bridge, **options):
    """Serve a fake bridge and its pages; their places are in `bridge.address` and `bridge.url`."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = bridge.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    bridge.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with serving(bridge, **options):
            yield bridge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
