"""The HTTP door: exposition, pages and API."""
