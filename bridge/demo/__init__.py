"""A real training run to look at."""

from bridge.demo.show import run

__all__ = ["run"]
