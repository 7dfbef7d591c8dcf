"""One measured figure beside its target, its floor and its peers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table that `make bench` prints."""

    name: str
    """What was measured: `log_batch, loss only`."""
    regime: str
    """Under which load, since a paced loop and full speed differ tenfold: `60/s sleeping`."""
    figure: float | None
    """None: not measured here, for the reason that `regime` gives."""
    unit: str
    target: str = ""
    """As a person would say it: `p50 <= 2 us`."""
    met: bool | None = None
    """Whether the target was met; None where there is none."""
    floor: tuple[str, float] | None = None
    """The least the same work can cost, measured in the same run: (what, figure in the same unit)."""
    peers: Mapping[str, float] = field(default_factory=dict)
    """Others doing the same work in the same run, in the same unit."""

    @property
    def ratio(self) -> float | None:
        """The figure over its floor, which travels between machines better than the figure."""
        if self.figure is None or self.floor is None or self.floor[1] == 0:
            return None
        return self.figure / self.floor[1]

    def plain(self) -> dict[str, Any]:
        """Return what `read` takes, ready for JSON, the ratio beside it."""
        return {**asdict(self), "ratio": self.ratio}

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> "Row":
        """Return the row that `plain` was made of."""
        given = {name: value for name, value in plain.items() if name != "ratio"}
        if given.get("floor") is not None:
            given["floor"] = tuple(given["floor"])
        return cls(**given)
