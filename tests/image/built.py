"""The image that the checks are about: how it is built, and where it is afterwards."""

import time
from dataclasses import dataclass
from pathlib import Path

from image.base import base
from image.container import clear
from image.layers import Saved, saved
from image.pip_settings import PipSettings, pip_settings
from image.store import Store, store


@dataclass(frozen=True)
class Built:
    """An image that is in the store."""

    store: Store
    name: str
    base: str
    pip: PipSettings

    def saved(self, folder: Path) -> Saved:
        """Save it as a file."""
        return saved(self.store, self.name, self.base, folder / "image.tar")


def build(folder: Path, figures: dict[str, str]) -> Built:
    """Build the image: the first stage with the settings of this machine's pip, the second with nothing and no network."""
    tools, pip = store(), pip_settings()
    clear(tools)
    begun = time.monotonic()
    image = Built(tools, "localhost/trainbridge:test", base(tools), pip)
    made = time.monotonic()
    # The base's own name and digest stay in the Dockerfile; where it cannot be had, the same words name another.
    words = ("--build-arg", f"PYTHON_IMAGE={image.base}")
    secret = pip.write(folder / "pip.conf")
    tools.build(*words, "--target", "build", "--network", "host", "--tag", f"{image.name}-build",
                "--secret", f"id=pip,src={secret}", *pip.mounts)  # fmt: skip  # flags beside their values
    tools.build(*words, "--network", "none", "--tag", image.name)
    tools.buildah("rmi", "--prune")
    figures["base"] = f"{image.base}, ready after {made - begun:.0f} s"
    figures["build"] = f"{time.monotonic() - made:.0f} s"
    return image
