"""What our callback costs a training loop of Lightning: the same fit with it and without, in turns."""

import json
import os
import subprocess
from collections.abc import Iterator

from bridges import bridge
from figures import median
from loops_apart import FRAMEWORKS_PYTHON, HERE, LIMIT_SECONDS, ROOT, has
from processes import BenchmarkError
from row import Row

from bridge.client import BridgeClient

NAME = "Lightning callback; 16 images 32x32; a step"


def rows(quick: bool) -> Iterator[Row]:  # noqa: FBT001 -- the runner's protocol
    """Train in turns, since machines get faster and slower; the step in the middle of each fit counts."""
    if not has(FRAMEWORKS_PYTHON, "lightning"):
        reason = "not measured: `make test-frameworks` installs Lightning"
        yield Row(name=NAME, regime=reason, figure=None, unit="us")
        return
    rounds, steps = (1, 300) if quick else (5, 2_000)
    plain, called = [], []
    with bridge() as served:
        address = served.server.grpc_address
        client = BridgeClient(f"http://127.0.0.1:{served.server.ports['http']}")
        for number in range(rounds):
            session = f"fit-{number}"
            plain.append(_step("without", steps, address, session))
            called.append(_step("with", steps, address, session))
            found = client.session(session)
            if found.batches != steps or found.status != "completed":
                raise BenchmarkError(f"{found.batches} of {steps} have arrived, {found.state}")
    figure = median(called) - median(plain)
    without = median(plain)
    yield Row(
        name=NAME,
        regime=f"steps of {without:.0f} us",
        figure=figure,
        unit="us",
        peers={"without": without},
    )


def _step(which: str, steps: int, address: str, session: str) -> float:
    """Return the microseconds of a step of one fit."""
    ran = subprocess.run(
        [str(FRAMEWORKS_PYTHON), str(HERE / "lightning_loop.py"), which, str(steps)],
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "TRAINBRIDGE_ADDRESS": address, "SUBJECT_SESSION": session},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    if ran.returncode:
        raise BenchmarkError(f"the fit ended with {ran.returncode}:\n{ran.stderr[-2_000:]}")
    return float(json.loads(ran.stdout.splitlines()[-1])["microseconds"])
