"""What a bridge answers about the numbers and events of sessions: frozen records beside those of `query_types`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.client.query_types import MEMBER, SessionSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """Consecutive values of a curve; None: none of them was finite."""

    x: float
    """The training step, or seconds since the session was registered: `Curve.by` says which."""
    at: float
    """When its first value arrived, in seconds since 1970."""
    step: int
    count: int
    """Finite values in it."""
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    nonfinite: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A number that a session logs by name, from its first value to its newest."""

    name: str
    split: str | None = None
    by: str = "step"
    points: tuple[CurvePoint, ...] = ()

    @property
    def steps(self) -> list[float]:
        """What each point is drawn over: steps, or seconds."""
        return [point.x for point in self.points]

    @property
    def values(self) -> list[float | None]:
        """The mean of each point."""
        return [point.mean for point in self.points]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """Something that a training loop has reported to have happened; None: not reported."""

    at: float
    name: str
    message: str | None = None
    level: str
    """ "info", "warning" or "error"."""
    details: Mapping[str, object] = field(default_factory=dict)
    epoch: int | None = None
    batch: int | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """What has happened to a session, as charts show it."""

    time: int
    """Milliseconds since 1970."""
    time_end: int | None = field(default=None, metadata={MEMBER: "timeEnd"})
    """None: it is a moment, or goes on."""
    kind: str
    """ "attempt", "epoch", "event", "command", "alert" or "end"."""
    title: str
    text: str
    tags: tuple[str, ...] = ()
    session_id: str
    attempt: int
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BestResults:
    """The best that a session has reported; None: not reported."""

    loss: float | None = None
    validation_loss: float | None = None
    accuracy: float | None = None
    validation_accuracy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSession(SessionSummary):
    """A session among those compared, all of its attempts as one."""

    duration_seconds: float | None = None
    lost_seconds: float | None = None
    """Between its attempts; None: there is only one."""
    goodput_ratio: float | None = None
    best: BestResults
    nonfinite_losses: int
    scalars: Mapping[str, float] = field(default_factory=dict)
    scalars_by_split: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPoint:
    """One or more consecutive values; NaN: none of them was finite."""

    x: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedLine:
    """The curve of one of the sessions."""

    session_id: str
    points: tuple[ComparedPoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedCurve:
    """One curve of each session."""

    name: str
    by: str
    """What x is: "step", "time" or "epoch"."""
    lines: tuple[ComparedLine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigValues:
    """One key of the configurations, and its value by session; those that have not reported it are left out."""

    name: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedConfigs:
    """Where the configurations differ, and where they do not."""

    different: tuple[ConfigValues, ...] = ()
    equal: tuple[ConfigValues, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Sessions side by side."""

    sessions: tuple[ComparedSession, ...] = ()
    unknown: tuple[str, ...] = ()
    """Named, and not there."""
    left_out: tuple[str, ...] = ()
    """More than the bridge compares at once."""
    curves: tuple[str, ...] = ()
    """What `curve` may be."""
    curve: ComparedCurve
    config: ComparedConfigs
