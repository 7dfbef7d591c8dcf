"""Tokens files, and the tokens that they admit."""

from dataclasses import dataclass
from pathlib import Path

from bridge.access import Authentication, Role
from bridge.access.tokens import Tokens, hash_of_token
from bridge.telemetry import Telemetry


@dataclass(frozen=True)
class Granted:
    """A token, and what it is for."""

    roles: tuple[str, ...]
    sessions: str = ""

    @property
    def token(self) -> str:
        """The token itself; no two grants have the same."""
        return f"tb_{'-'.join(self.roles)}_{self.sessions or 'all'}"

    @property
    def name(self) -> str:
        """The name in the file."""
        return f"{'-'.join(self.roles)} of {self.sessions or 'all'}"

    @property
    def headers(self) -> dict[str, str]:
        """What an HTTP request shows."""
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a gRPC call shows."""
        return (("authorization", f"Bearer {self.token}"),)


EACH_ROLE = tuple(Granted((role,)) for role in Role)


def write_tokens(path: Path, granted) -> Path:
    """Write a file with these tokens, in place of what was there at once."""
    rows = (
        f"- name: {one.name}\n  sha256: {hash_of_token(one.token)}\n  roles: [{', '.join(one.roles)}]\n"
        f"  sessions: {one.sessions or 'null'}\n"
        for one in granted
    )
    fresh = path.with_suffix(".fresh")
    fresh.write_text("tokens:\n" + "".join(rows))
    return fresh.replace(path)


def asking_for(path: Path, granted) -> Authentication:
    """Return a door that admits who has one of these tokens."""
    return Authentication((Tokens(write_tokens(path, granted), Telemetry()),))
