"""The settings of pip on this machine, for pip inside the build.

A machine may reach its index only by an address, a proxy or a certificate of its own. They come in as a secret and
as mounts of the first stage, so that the image, which is made of what that stage leaves, has nothing of them.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

TAKEN = (
    "index-url",
    "extra-index-url",
    "find-links",
    "no-index",
    "trusted-host",
    "proxy",
    "timeout",
)

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
"""Where the base image has those it trusts."""

CANARY = "only-pip-may-know-this"
"""Stands in the secret of every build, so that a leak is seen on machines without settings too."""

PUBLIC = ("pypi.org", "pythonhosted.org")
"""What the names of public hosts end in, which many packages mention."""


@dataclass(frozen=True)
class PipSettings:
    """Settings of pip: its option names, and what was set."""

    values: dict[str, str]

    def write(self, path: Path) -> Path:
        """Write them as a pip.conf."""
        lines = [
            f"{name} = {' '.join(self.values[name].split())}"
            for name in TAKEN
            if name in self.values
        ]
        path.write_text("\n".join(["[global]", *lines, "[image-test]", f"token = {CANARY}", ""]))
        path.chmod(0o600)
        return path

    @property
    def mounts(self) -> list[str]:
        """Return buildah's words for local folders and for the certificates that this machine trusts."""
        volumes = [f"{folder}:{folder}:ro" for folder in sorted(set(self._folders()))]
        certificates = self.values.get("cert", "")
        if Path(certificates).is_file():
            volumes.append(f"{certificates}:{CERTIFICATES}:ro")
        return [word for volume in volumes for word in ("--volume", volume)]

    @property
    def secrets(self) -> list[str]:
        """Return what must be nowhere in the image."""
        values = [
            word for name in TAKEN for word in self.values.get(name, "").split() if len(word) > 5
        ]
        values += [
            os.environ[name]
            for name in os.environ
            if name.lower().endswith(("http_proxy", "https_proxy"))
        ]
        return [
            CANARY,
            *(word for word in values if not (urlsplit(word).hostname or word).endswith(PUBLIC)),
        ]

    def _folders(self) -> Iterator[str]:
        """Yield the local folders that hold packages."""
        for name in ("index-url", "extra-index-url", "find-links"):
            for place in self.values.get(name, "").split():
                path = Path(unquote(urlsplit(place).path) if place.startswith("file:") else place)
                if path.is_absolute() and path.is_dir():
                    # An index stands beside its files: links lead out of the folder.
                    yield str(path.parent if name != "find-links" else path)


def pip_settings() -> PipSettings:
    """Ask this machine's pip for its settings from files and variables."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    found = re.findall(r"^(global|install|:env:)\.([a-z-]+)=(.*)$", output, re.MULTILINE)
    # A variable wins over a file: sorted so, it comes last, and the last one stands.
    values = {name: ast.literal_eval(value) for _, name, value in sorted(found, reverse=True)}
    return PipSettings({name.removeprefix("default-"): value for name, value in values.items()})
