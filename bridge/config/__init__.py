"""What an operator may set, and where it came from."""

from bridge.config.precedence import Origin
from bridge.config.settings import Settings
from bridge.config.sources import Loaded, chosen_log_format, load

__all__ = ["Loaded", "Origin", "Settings", "chosen_log_format", "load"]
