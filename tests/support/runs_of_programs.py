"""Programs under `trainbridge run`, in processes of their own."""

import os
import subprocess
import sys

from support.bridges import FOREIGN
from support.programs import LAUNCHERS
from support.tools import ROOT

SECONDS = 100


def command(*words, flags=()):
    """Return the words of `trainbridge run` for a program."""
    return [sys.executable, "-m", "bridge", "run", *flags, "--", *words]


def environment(state, address, **more):
    """Return the variables of a user whose bridge is at this address, and whose spool is below `state`."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN + LAUNCHERS)
    }
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **own,
        "PYTHONPATH": os.pathsep.join(paths),
        "XDG_STATE_HOME": str(state),
        "TRAINBRIDGE_ADDRESS": address,
        **more,
    }


def ran(words, variables, **options):
    """Run to the end; return it with its output as text."""
    return subprocess.run(
        words,
        env=variables,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        **options,
    )
