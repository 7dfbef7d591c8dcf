"""What each door asks for, from the settings."""

from dataclasses import dataclass

from bridge.access import Authentication, Authenticator
from bridge.access.tokens import Tokens
from bridge.config import Settings
from bridge.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Doors:
    """What is asked for over gRPC, and over HTTP."""

    grpc: Authentication
    http: Authentication


def doors(settings: Settings, telemetry: Telemetry) -> Doors:
    """Return what both doors ask for; raises SettingError for a file that cannot be used."""
    both: tuple[Authenticator, ...] = ()
    if settings.tokens_file is not None:
        both += (Tokens(settings.tokens_file, telemetry),)
    return Doors(grpc=Authentication(both), http=Authentication(both))
