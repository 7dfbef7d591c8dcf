"""Identifies by the names in client certificates, which the door has verified."""

from bridge.access.credentials import Credentials
from bridge.access.identity import Identity, Role
from bridge.access.rules import CERTIFICATE_NAME, NO_RULES, Rules, identity_of
from bridge.access.watched_file import WatchedFile
from bridge.errors import UnauthenticatedError

MAX_NAMES = 100
"""Of one certificate: those after them are not looked at."""

MAX_ANSWERS = 4_000

KEY = "certificate\n"

LONGEST_NAME = 100

UNNAMED = "a client certificate"


class CertificateNames:
    """Identifies by rules for the names of certificates."""

    def __init__(self, rules: WatchedFile[Rules], *, beside_tokens: bool) -> None:
        """Admit whom the rules do; `beside_tokens`: whoever shows a token as well comes in by that, or not at all."""
        self._rules = rules
        self._beside_tokens = beside_tokens
        self._answers: tuple[Rules, dict[tuple[str, ...], Identity | None]] = (NO_RULES, {})
        """Whom rules admit by the names of certificates that were seen lately: streams are looked at every second."""

    async def identify(self, credentials: Credentials) -> Identity | None:
        """Return whose certificate it is; None: no rule is about any of its names.

        Raises UnauthenticatedError where a name makes no name or prefix of a rule's template.
        """
        if self._beside_tokens and credentials.token:
            return None
        return self._identity_of(credentials.certificate_names[:MAX_NAMES])

    def is_current(self, identity: Identity) -> bool:
        """Return whether the rules still say the same of a certificate."""
        names = _names_of(identity)
        try:
            return names is not None and self._identity_of(names) == identity
        except UnauthenticatedError:
            return False

    def _identity_of(self, names: tuple[str, ...]) -> Identity | None:
        rules = self._rules.content()
        if rules is not self._answers[0] or len(self._answers[1]) > MAX_ANSWERS:
            self._answers = rules, {}
        answers = self._answers[1]
        if names not in answers:
            answers[names] = _admitted(rules, names)
        return answers[names]


class AnyCertificate:
    """Identifies whoever comes in at a door that none passes without a certificate: a client that may report sessions."""

    async def identify(self, credentials: Credentials) -> Identity:
        """Return who shows a certificate; a name is for logs, and a certificate may have none."""
        name = "".join(filter(str.isprintable, "".join(credentials.certificate_names[:1])))
        return Identity(name[:LONGEST_NAME] or UNNAMED, frozenset({Role.INGEST}), key=KEY)

    def is_current(self, identity: Identity) -> bool:
        """Return whether an identity came in with a certificate: the authority stays what it is for a connection."""
        return identity.key == KEY


def _admitted(rules: Rules, names: tuple[str, ...]) -> Identity | None:
    for name in names:
        found = identity_of(rules.certificates, {CERTIFICATE_NAME: name})
        if found is not None:
            return _with_names(found, names)
    return None


def _with_names(identity: Identity, names: tuple[str, ...]) -> Identity:
    return Identity(identity.name, identity.roles, identity.sessions, key=KEY + "\n".join(names))


def _names_of(identity: Identity) -> tuple[str, ...] | None:
    if not identity.key.startswith(KEY):
        return None
    return tuple(identity.key.removeprefix(KEY).split("\n"))
