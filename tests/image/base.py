"""A stand-in for the base image where there is no registry: Debian trixie with its own Python 3.13.

It has what the Dockerfile counts on, in the places of Docker's image: /usr/local/bin/python, with pip in /usr/local.
It proves the Dockerfile, not the real base; IMAGE_TEST_BASE names a base to take instead of it.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from image.store import CACHE, Store

NAME = "docker.io/library/python:3.13-slim-trixie"
SUITE = "trixie"
PACKAGES = "ca-certificates,python3,python3-venv"
USELESS = (
    "usr/share/doc",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/lib/apt/lists",
    "usr/share/python-wheels",
    "root/.cache",
)
"""What Docker's image does not have either, or nothing here looks at."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RECIPE = "recipe"
"""The label by which a base made by another version of this file is recognized."""

SECONDS = 400


def base(store: Store) -> str:
    """Return the name of a base image that is in the store."""
    chosen = os.environ.get("IMAGE_TEST_BASE")
    if chosen:
        if store.tried("image", "exists", chosen).status != 0:
            store.podman("pull", "--quiet", chosen, seconds=SECONDS)
        return chosen
    found = store.tried("image", "inspect", "--format", f"{{{{.Labels.{RECIPE}}}}}", NAME)
    if found.out.strip() != _recipe():
        _make(store)
    return NAME


def _recipe() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]


def _make(store: Store) -> None:
    (CACHE / "tmp").mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=CACHE / "tmp", prefix="base-") as folder:
        root = Path(folder) / "root"
        _call("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root))
        _call("chroot", str(root), "python3", "-m", "venv", "/usr/local")
        for name in USELESS:
            shutil.rmtree(root / name, ignore_errors=True)
        for name in (root / "usr/local/bin").glob("[Aa]ctivate*"):
            name.unlink()
        _import(store, root)


def _call(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def _import(store: Store, root: Path) -> None:
    container = store.buildah("from", "scratch").strip()
    store.buildah("add", "--quiet", container, str(root), "/")
    store.buildah(
        "config",
        "--env",
        f"PATH={PATH}",
        "--cmd",
        "python3",
        "--label",
        f"{RECIPE}={_recipe()}",
        container,
    )
    store.buildah("commit", "--quiet", "--rm", container, NAME)
