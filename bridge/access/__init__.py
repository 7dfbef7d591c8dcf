"""Who may come in at a door, and what for."""

from bridge.access.authentication import Authentication, Authenticator
from bridge.access.credentials import Credentials
from bridge.access.identity import ANYONE, Identity, Role

__all__ = ["ANYONE", "Authentication", "Authenticator", "Credentials", "Identity", "Role"]
