"""A client that streams a known run for ever, and says what of it is missing, doubled, wrong or late."""

from bridge.canary.page import Page, serving
from bridge.canary.service import Plan, watch

__all__ = ["Page", "Plan", "serving", "watch"]
