"""What a rule is: its expression, how grave it is, and what it says to whoever is notified."""

from dataclasses import dataclass
from enum import StrEnum

SESSION_PAGE = "/sessions/{{ $labels.session_id }}"
RUN_PAGE = "/runs/{{ $labels.run_id }}"
SESSION_IMAGES = "/go/images?session={{ $labels.session_id }}"
WORST_IMAGES = f"{SESSION_IMAGES}&prefer=max_loss"
SESSION_BOARD = "/d/trainbridge-session?var-session={{ $labels.session_id }}"
BRIDGE_BOARD = "/d/trainbridge-bridge?var-instance={{ $labels.instance | urlquery }}"
"""What links hold after the address of the bridge or of Grafana, as templates of Prometheus."""


class Severity(StrEnum):
    """How soon somebody should look."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A series that Prometheus computes, for alerts and boards to read."""

    name: str
    expr: str
    meaning: str
    note: str = ""
    """Why the expression is what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A condition that somebody is notified of; summary and description are templates of Prometheus."""

    name: str
    expr: str
    severity: Severity
    summary: str
    description: str
    wait: str = ""
    """How long the condition has to hold first."""
    page: str = ""
    """The path on the bridge that has the session."""
    images: str = ""
    board: str = ""
    note: str = ""
    """Why the expression is what it is."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other."""

    name: str
    rules: tuple[Recording | Alert, ...]
    note: str = ""
