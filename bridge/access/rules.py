"""Rules of whom the claims of a JSON Web Token, or the names of a client certificate, admit."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.access.entries import Entry, known_keys, listed, roles_in
from bridge.access.identity import Identity, Role
from bridge.access.patterns import Claims, claim_at, matches, read_pattern
from bridge.access.templates import check_name, check_sessions, fill_name, fill_sessions
from bridge.config.yaml_file import read_yaml
from bridge.errors import SettingError

LISTS = ("claims", "certificates")

FIELDS = ("name", "match", "roles", "sessions")

MAX_RULES = 1_000
"""In one list."""

MAX_CONDITIONS = 20
"""In one rule."""

CERTIFICATE_NAME = "name"
"""What a name of a certificate is called in the templates of its rule."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Whom it admits, and to what."""

    name: str
    match: tuple[tuple[str, re.Pattern[str]], ...]
    """Of each claim, what it must be like; all of them must be."""
    roles: frozenset[Role]
    sessions: str

    def admits(self, claims: Claims) -> bool:
        """Return whether it is about whoever has these claims."""
        return all(matches(claim_at(claims, path), pattern) for path, pattern in self.match)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a rules file holds."""

    claims: tuple[Rule, ...] = ()
    certificates: tuple[Rule, ...] = ()


NO_RULES = Rules()


def read_rules(path: Path) -> Rules:
    """Return the rules of a file; raises SettingError, which names the rule and what would be right."""
    content = read_yaml(path, "access_rules_file")
    where = f"access_rules_file is {path}"
    known_keys(content, LISTS, f"{where}, which")
    read = {
        kind: tuple(
            _rule(row, kind, f"{where}, whose rule {number} of {kind}")
            for number, row in listed(content, kind, where, limit=MAX_RULES)
        )
        for kind in LISTS
    }
    return Rules(**read)


def identity_of(rules: tuple[Rule, ...], claims: Claims) -> Identity | None:
    """Return whom the first rule that matches admits; None: no rule does.

    Raises UnauthenticatedError where it matches, and the claims make no name or prefix of its templates.
    """
    rule = next((rule for rule in rules if rule.admits(claims)), None)
    if rule is None:
        return None
    return Identity(
        fill_name(rule.name, claims), rule.roles, sessions=fill_sessions(rule.sessions, claims)
    )


def _rule(row: Entry, kind: str, where: str) -> Rule:
    known_keys(row, FIELDS, where)
    name = check_name(row.get("name"), where)
    where = f"{where} ({name})"
    read_match = _claims_match if kind == "claims" else _certificate_match
    return Rule(
        name,
        read_match(row.get("match"), where),
        roles_in(row, where),
        check_sessions(row.get("sessions"), where),
    )


def _claims_match(given: object, where: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    if not isinstance(given, Mapping) or not 0 < len(given) <= MAX_CONDITIONS:
        raise SettingError(
            f"{where} has no match of 1 to {MAX_CONDITIONS} claims, each with a pattern: give what the claims must be like,"
            " such as {groups: ml-*}"
        )
    return tuple(
        (str(path), read_pattern(pattern, f"{where} has a match whose {path}"))
        for path, pattern in given.items()
    )


def _certificate_match(given: object, where: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    if isinstance(given, Mapping):
        raise SettingError(
            f"{where} has a match of claims, which certificates do not have: give one pattern for their names, such as"
            " *.trainers.example.org"
        )
    return ((CERTIFICATE_NAME, read_pattern(given, f"{where} has a match that")),)
