"""What an operator may set, and where it came from."""

from bridge.config.addresses import split_address, url_of
from bridge.config.settings import GROUPS, Settings
from bridge.config.sources import Loaded, Origin, load

__all__ = ["GROUPS", "Loaded", "Origin", "Settings", "load", "split_address", "url_of"]
