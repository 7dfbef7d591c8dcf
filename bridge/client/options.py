"""How a session works, as given to its constructor."""

from pathlib import Path
from typing import NamedTuple

from bridge.client.launch.membership import NO_RUN, Membership
from bridge.client.left_out import LeftOut
from bridge.client.own_gpus import Gpus


class Options(NamedTuple):
    """How a session works."""

    buffer_bytes: int
    close_seconds: float
    gpus: Gpus
    spool: tuple[Path, int] | None
    """Where a spool is to be, and how large at most."""
    account: LeftOut
    """What the constructor has left out, to which the loop's calls add; strict or not."""
    part: Membership = NO_RUN
    """Its part in a run that `trainbridge run` has started."""
