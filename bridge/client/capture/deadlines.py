"""How long the collector waits for what may never arrive."""

import time
from math import inf

SERVER_CONFIG_SECONDS = 2.0
"""How long the first images wait for the bridge to report how many it wants."""

ARRIVAL_SHARE = 0.5
"""The share of the time to close a session that copies from devices may take."""

IMAGES_SHARE = 0.75
"""The share after which no more images are encoded: the numbers must still be delivered."""


class Deadlines:
    """Monotonic times in seconds; set by the thread that closes the session, observed by the collector."""

    def __init__(self) -> None:
        """Wait for a device, and encode images, for as long as the session is open."""
        self._server_config = self._arrivals = self._images = inf

    def begin(self) -> None:
        """Start the wait for the bridge."""
        self._server_config = min(self._server_config, time.monotonic() + SERVER_CONFIG_SECONDS)

    def end_within(self, seconds: float) -> None:
        """Divide the time that is left: the session ends within `seconds`."""
        now = time.monotonic()
        self._arrivals = now + seconds * ARRIVAL_SHARE
        self._server_config = min(self._server_config, self._arrivals)
        self._images = now + seconds * IMAGES_SHARE

    def expire(self) -> None:
        """Wait for nothing, and encode numbers only: no time is left for more."""
        self._arrivals = self._server_config = self._images = -inf

    def is_too_late_for_server_config(self) -> bool:
        """Return whether images no longer wait for the bridge's configuration."""
        return time.monotonic() >= self._server_config

    def is_too_late_for_arrivals(self) -> bool:
        """Return whether nothing waits for a device any more."""
        return time.monotonic() >= self._arrivals

    def is_too_late_for_images(self) -> bool:
        """Return whether images are no longer encoded, but left out."""
        return time.monotonic() >= self._images
