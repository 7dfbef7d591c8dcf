"""Until when the collector waits for what may never come."""

import time
from math import inf

SERVER_CONFIG_SECONDS = 2.0
"""So long the first images wait for the bridge to say how many it wants."""

ARRIVAL_SHARE = 0.5
"""Of the time that the end of a session may take, so much is left to copies that devices make."""

IMAGES_SHARE = 0.75
"""Of that time, so much is left to the encoding of images; then the numbers must still be delivered."""


class Deadlines:
    """Monotonic, in seconds; set by the thread that closes the session, observed by the collector."""

    def __init__(self) -> None:
        """Wait for a device, and encode images, for as long as the session is open."""
        self._server_config = self._arrivals = self._images = inf

    def begin(self) -> None:
        """Wait for the bridge from now on."""
        self._server_config = min(self._server_config, time.monotonic() + SERVER_CONFIG_SECONDS)

    def end_within(self, seconds: float) -> None:
        """Share out what is left: the session ends in so many seconds."""
        now = time.monotonic()
        self._arrivals = now + seconds * ARRIVAL_SHARE
        self._server_config = min(self._server_config, self._arrivals)
        self._images = now + seconds * IMAGES_SHARE

    def expire(self) -> None:
        """Wait for nothing, and encode numbers only: there is no time for more."""
        self._arrivals = self._server_config = self._images = -inf

    def is_too_late_for_server_config(self) -> bool:
        """Return whether images no longer wait for the bridge."""
        return time.monotonic() >= self._server_config

    def is_too_late_for_arrivals(self) -> bool:
        """Return whether nothing waits for a device any more."""
        return time.monotonic() >= self._arrivals

    def is_too_late_for_images(self) -> bool:
        """Return whether images are left out."""
        return time.monotonic() >= self._images
