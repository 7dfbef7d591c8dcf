"""A client that streams a known run without end, and reports what of it is missing, doubled, wrong or late."""

from bridge.canary.options import CanaryOptions
from bridge.canary.page import Page, serving
from bridge.canary.service import watch

__all__ = ["CanaryOptions", "Page", "serving", "watch"]
