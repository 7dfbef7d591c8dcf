"""Prometheus series of training sessions."""

from bridge.sinks.metrics.exposition import Exposition, Page
from bridge.sinks.metrics.state import Confusion, TrainingMetrics

__all__ = ["Confusion", "Exposition", "Page", "TrainingMetrics"]
