"""The stack of deploy/compose in containers, by podman-compose, in a network of its own: what it publishes is open to nobody.

Images of others that a registry would have are stand-ins, made of Debian's packages.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from image.base import base
from image.store import CACHE, Finished, Store, passed
from support.tools import ROOT, missing

FOLDER = ROOT / "deploy" / "compose"
STAND_INS = Path(__file__).with_name("stand_ins")
PROGRAMS = ("/usr/lib/podman/netavark", "/usr/lib/podman/aardvark-dns")
SECONDS = 150
READ = "import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1], timeout=20).read())"

SETTINGS = f"""
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
[network]
network_backend = "netavark"
network_config_dir = "{CACHE / "networks"}"
"""
"""Names of containers are found by netavark's server of names alone."""


@dataclass(frozen=True)
class Stack:
    """Services of compose files, in containers."""

    store: Store
    files: tuple[str, ...]
    podman: Path
    settings: Path
    namespace: int
    """A process that is in the network of all containers."""

    def compose(self, *words: str, seconds: float = SECONDS) -> str:
        """Run podman-compose, and return what it has written; raises AssertionError where it fails."""
        files = [word for name in self.files for word in ("--file", name)]
        program = (sys.executable, "-m", "podman_compose", "--podman-path", str(self.podman))
        return passed(self._run((*program, *files, *words), seconds), words)

    def tried(self, *words: str, seconds: float = SECONDS) -> Finished:
        """Run podman, whatever comes of it."""
        return self._run((str(self.podman), *words), seconds)

    def execute(self, service: str, *words: str) -> str:
        """Run a command in a service's container; raises AssertionError where it fails."""
        words = ("exec", container_of(service), *words)
        return passed(self.tried(*words), words)

    def read(self, service: str, url: str) -> str:
        """Return what a container of Python's reads at a URL, or "" where nobody answers."""
        done = self.tried("exec", container_of(service), "python", "-c", READ, url)
        return done.out if done.status == 0 else ""

    def is_healthy(self, service: str) -> bool:
        """Carry out a service's health check."""
        return self.tried("healthcheck", "run", container_of(service)).status == 0

    def state(self, service: str) -> dict:
        """Return what podman knows of a service's container."""
        return self.store.inspect("container", container_of(service))

    def logs(self, service: str) -> str:
        """Return what a service has written since its container was made."""
        done = self.tried("logs", container_of(service))
        return done.out + done.err

    def _run(self, words: tuple[str, ...], seconds: float) -> Finished:
        done = subprocess.run(
            (
                "nsenter",
                "--target",
                str(self.namespace),
                "--net",
                "--mount",
                f"--wd={FOLDER}",
                *words,
            ),
            cwd=FOLDER,
            env={**os.environ, "CONTAINERS_CONF": str(self.settings), "DISABLE_HC_SYSTEMD": "true"},
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
        )
        return Finished(done.returncode, done.stdout, done.stderr)


def container_of(service: str) -> str:
    """Return the name that podman-compose gives the container of a service."""
    return f"trainbridge_{service}_1"


def make_stand_ins(store: Store) -> None:
    """Build the stand-ins, under the names and versions that the compose files ask for."""
    services = {}
    for name in ("compose.yaml", "compose.postgres.yaml"):
        for service, content in yaml.safe_load((FOLDER / name).read_text())["services"].items():
            services.setdefault(service, content)
    argument = f"BASE={base(store)}"
    for service in ("postgres", "haproxy", "s3", "tempo"):
        store.build("--build-arg", argument, "--network", "host", "--target", service,
                    "--file", str(STAND_INS / "Containerfile"), "--tag", services[service]["image"],
                    context=STAND_INS)  # fmt: skip  # flags beside their values


@contextmanager
def stack(store: Store, image: str, folder: Path, *files: str) -> Iterator[Stack]:
    """Yield the stack of compose files, of which nothing runs yet; all of it is gone after the block."""
    for program in PROGRAMS:
        if not Path(program).exists():
            missing(
                f"{program} is not installed here",
                "on Debian: apt-get install netavark aardvark-dns iptables iproute2",
            )
    store.podman("tag", image, "localhost/trainbridge:latest")
    make_stand_ins(store)
    settings = folder / "containers.conf"
    settings.write_text(SETTINGS)
    podman = folder / "podman"
    options = (*store.places, *store.runtime)
    podman.write_text(f'#!/bin/sh\nexec podman {shlex.join(options)} "$@"\n')
    podman.chmod(0o755)
    with _namespace() as namespace:
        made = Stack(store, files, podman, settings, namespace)
        try:
            yield made
        finally:
            made.compose("down", "--volumes", "--timeout", "0")


@contextmanager
def _namespace() -> Iterator[int]:
    # Where netavark keeps what it knows of all networks of the machine; here it sees those of this one alone.
    mounts = "mkdir -p /run/containers && mount -t tmpfs tmpfs /run/containers"
    script = f"{mounts} && ip link set lo up && echo up && exec sleep infinity"
    words = ("unshare", "--net", "--mount", "sh", "-c", script)
    holder = subprocess.Popen(words, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"up\n"
        yield holder.pid
    finally:
        holder.kill()
        holder.communicate()
