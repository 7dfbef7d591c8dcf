"""The rules that Prometheus evaluates over the series of bridges: what is recorded, and what raises an alert."""

from bridge.alert_rules.bridges import BRIDGES
from bridge.alert_rules.learning import LEARNING
from bridge.alert_rules.progress import PROGRESS
from bridge.alert_rules.runs import RUNS
from bridge.alert_rules.speed import SPEED

GROUPS = (PROGRESS, LEARNING, SPEED, RUNS, BRIDGES)
"""Every rule; within a group a rule may read what an earlier one has recorded."""
