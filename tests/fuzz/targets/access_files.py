"""Files that say who may come in: tokens, and rules for claims and certificates."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from bridge.access.rules import identity_of, read_rules
from bridge.access.tokens import read_tokens
from bridge.errors import BridgeError, SettingError

CLAIMS = {
    "sub": "system:serviceaccount:team-a:trainer",
    "groups": ["ml-a", "ml-b"],
    "kubernetes.io": {"namespace": "team-a"},
    "name": "trainer.example.org",
}


def run(data: bytes) -> None:
    """Read a file as either of them; it is used whole, or refused with a text that names it."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "access.yaml")
        path.write_bytes(data)
        for read in (read_tokens, _read_and_ask):
            message = _refusal(read, path)
            assert message is None or str(path) in message


def _refusal(read: Callable[[Path], object], path: Path) -> str | None:
    try:
        read(path)
    except SettingError as error:
        return str(error).encode().decode()
    return None


def _read_and_ask(path: Path) -> None:
    rules = read_rules(path)
    for kind in (rules.claims, rules.certificates):
        try:
            identity_of(kind, CLAIMS)
        except BridgeError as error:
            str(error).encode()
