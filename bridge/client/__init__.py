"""The SDK for training loops."""

from bridge.client.session import TrainingSession
from bridge.client.stats import Stats
from bridge.protocol import CommandType, Status

__all__ = ["CommandType", "Stats", "Status", "TrainingSession"]
