"""A metrics sink with a clock of its own, and its page as the parsers of prometheus_client read it."""

import asyncio

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from bridge.lifecycle import Registered
from bridge.model import Client, Config
from bridge.session import Session
from bridge.sinks.metrics import Exposition, TrainingMetrics
from bridge.storage.image_counts import ImageCount
from bridge.telemetry import Telemetry

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
NOON = 1_800_000_000.0
"""The beginning of a 15 s interval."""

UPTIME = 1_500.0
"""What the monotonic clock says at noon; the beginning of such an interval, too."""


class Scene:
    """Sessions that tell the sink things, and a reader of the page."""

    def __init__(self, **options):
        """Start at NOON, without sessions."""
        self.now = NOON
        self.telemetry = Telemetry(public_url="https://bridge.example.com")
        clocks = {"clock": lambda: self.now, "monotonic": lambda: self.now - NOON + UPTIME}
        self.metrics = TrainingMetrics(self.telemetry, **(clocks | options))
        self.exposition = Exposition(self.metrics, self.telemetry)

    def session(self, session_id="run-1", client=None, config=None, attempt=1):
        """Register a session and return it."""
        session = Session(
            session_id, client or Client(), config or Config(), now=self.now, attempt=attempt
        )
        self.tell(session, Registered())
        return session

    def tell(self, session, *events):
        """Have the session say things, now."""
        for event in events:
            self.metrics.consume(session, event, self.now)
            session.apply(event, self.now)

    def settle(self, session_id, result, images, at, *, attempt=1):
        """Have something become of images that were received at a time."""
        self.metrics.on_images_resolved(
            ImageCount(session_id, attempt, result, images, int(at * 1000))
        )

    def page(self, accept=""):
        """Return the text of the page."""
        return asyncio.run(self.exposition.render(accept)).body.decode()

    def families(self):
        """Return the families of the page in the text format."""
        return list(parse_text(self.page()))

    def openmetrics(self):
        """Return the families of the page in OpenMetrics."""
        return list(parse_openmetrics(self.page(OPENMETRICS)))

    def values(self, name, families=None):
        """Return the values of all samples of a name, by their labels apart from session_id."""
        found = {}
        for family in families or self.families():
            for sample in family.samples:
                if sample.name == name:
                    rest = {k: v for k, v in sample.labels.items() if k != "session_id"}
                    found[tuple(sorted(rest.items()))] = sample.value
        return found

    def value(self, name, /, **labels):
        """Return the value of one sample, or None where it is not on the page."""
        return self.values(name).get(tuple(sorted(labels.items())))

    def dropped(self, what, reason):
        """Return how many drops of a kind were counted."""
        return self.telemetry.registry.get_sample_value(
            "bridge_dropped_total", {"what": what, "reason": reason}
        )
