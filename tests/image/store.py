"""buildah and podman, with a store of their own under .tools/."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.tools import ROOT, missing

CACHE = (ROOT / ".tools").resolve() / "image"
"""Everything that is kept between runs: images, layers, what pip has downloaded."""

PROGRAMS = ("buildah", "podman", "debootstrap")
HOW_TO_GET = "on Debian: apt-get install buildah podman runc debootstrap"

SECONDS = 120
"""No command takes longer, unless it is given more."""

LIMITS = ("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096")
"""Said explicitly, as what podman would take may be more than this machine allows."""


@dataclass(frozen=True)
class Finished:
    """What a command has left."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Store:
    """Runs buildah and podman on one store."""

    folder: Path = CACHE / "store"

    @property
    def runtime(self) -> tuple[str, ...]:
        """Prefer runc where it is there: crun refuses machines that have both kinds of cgroups."""
        return ("--runtime", found) if (found := shutil.which("runc")) else ()

    @property
    def places(self) -> tuple[str, ...]:
        """Where both programs keep what they have."""
        return ("--root", str(self.folder), "--runroot", str(CACHE / "run"))

    def buildah(self, *words: str, seconds: float = SECONDS) -> str:
        """Run buildah, and return what it has written; raises AssertionError where it fails."""
        return passed(self._run(("buildah", *self.places, *words), seconds), words)

    def podman(self, *words: str, seconds: float = SECONDS) -> str:
        """Run podman, and return what it has written; raises AssertionError where it fails."""
        return passed(self.tried(*words, seconds=seconds), words)

    def tried(self, *words: str, seconds: float = SECONDS) -> Finished:
        """Run podman, whatever comes of it."""
        options = (*self.places, *self.runtime, "--cgroup-manager", "cgroupfs")
        return self._run(("podman", *options, *words), seconds)

    def build(self, *words: str, context: Path = ROOT, seconds: float = 420) -> None:
        """Build a folder's Dockerfile as it is; what was built before is taken from the store."""
        options = ("--pull=never", "--layers", "--format", "oci", *self.runtime, *LIMITS)
        self.buildah("build", *options, *words, str(context), seconds=seconds)

    def inspect(self, kind: str, name: str) -> dict:
        """Return what podman knows of an image or a container."""
        return json.loads(self.podman(kind, "inspect", name))[0]

    def _run(self, words: tuple[str, ...], seconds: float) -> Finished:
        temporary = CACHE / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            words,
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
            env={**os.environ, "TMPDIR": str(temporary)},
        )
        return Finished(done.returncode, done.stdout, done.stderr)


def passed(done: Finished, words: tuple[str, ...]) -> str:
    """Return what a command has written; raises AssertionError where it failed."""
    assert done.status == 0, f"{' '.join(words)}\n{done.out[-4000:]}\n{done.err[-4000:]}"
    return done.out


def store() -> Store:
    """Return the store; where something is missing the tests are skipped, or fail when CI is set."""
    for program in PROGRAMS:
        if not shutil.which(program):
            missing(f"{program} is not installed here", HOW_TO_GET)
    if os.geteuid() != 0:
        missing("these tests build a system, for which they must be root", "run them as root")
    return Store()
