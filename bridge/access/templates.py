"""Builds names and prefixes of sessions of what claims say, such as `{kubernetes.io.namespace}.`."""

import re

from bridge.access.entries import NAME, PREFIX
from bridge.access.patterns import Claims, claim_at, text_of
from bridge.errors import SettingError, UnauthenticatedError

PLACE = re.compile(r"\{([^{}]{1,100})\}")

SEPARATORS = "._"
"""What no namespace of Kubernetes holds."""

VALUE = re.compile(r"[A-Za-z0-9._-]+")


def check_name(template: object, where: str) -> str:
    """Return the template of a name; raises SettingError for one that no claims make a name of."""
    if not isinstance(template, str) or not NAME.fullmatch(PLACE.sub("x", template)):
        raise SettingError(
            f"{where} has no name of letters, digits and ._@/:- (at most 100): say whom it admits, such as trainers, or"
            " {sub} for what that claim says"
        )
    return template


def check_sessions(template: object, where: str) -> str:
    """Return the template of a prefix, "" where there is none; raises SettingError for one that might let in too many."""
    if template in (None, ""):
        return ""
    if not isinstance(template, str) or not PREFIX.fullmatch(PLACE.sub("x", template)):
        raise SettingError(
            f"{where} has sessions that no session's name can begin with: give letters, digits and ._- (at most 48),"
            " with a separator at the end, such as team-a., or {kubernetes.io.namespace}. for one of each namespace"
        )
    for place in PLACE.finditer(template):
        after = template[place.end() : place.end() + 1]
        if not after or after not in SEPARATORS:
            raise SettingError(
                f"{where} has sessions in which nothing separates {place[0]} from the rest, so that team-a would see the"
                f" sessions of team-ab: put one of {' '.join(SEPARATORS)} behind it, such as {place[0]}."
            )
    return template


def fill_name(template: str, claims: Claims) -> str:
    """Return a name; raises UnauthenticatedError where claims make none of the template."""
    name = PLACE.sub(lambda place: _text(claims, place[1]), template)
    if not NAME.fullmatch(name):
        raise UnauthenticatedError(
            f"the name {template} is, of these claims, none of letters, digits and ._@/:- (at most 100): ask the operator"
            " for a rule with a name of another claim"
        )
    return name


def fill_sessions(template: str, claims: Claims) -> str:
    """Return a prefix; raises UnauthenticatedError for a claim that is missing, or that might name another's sessions."""
    prefix = PLACE.sub(lambda place: _separated(claims, place), template)
    if prefix and not PREFIX.fullmatch(prefix):
        raise UnauthenticatedError(
            f"the prefix {template} is, of these claims, none that a session's name can begin with (a letter or digit"
            " first, at most 48): ask the operator for a rule with another prefix"
        )
    return prefix


def _separated(claims: Claims, place: re.Match[str]) -> str:
    text = _text(claims, place[1])
    separator = place.string[place.end()]
    if not VALUE.fullmatch(text) or separator in text:
        raise UnauthenticatedError(
            f"the claim {place[1]} holds {separator} or something else than letters, digits and ._-, and so makes no prefix"
            " of sessions: ask the operator for a rule with another claim or separator"
        )
    return text


def _text(claims: Claims, path: str) -> str:
    text = text_of(claim_at(claims, path))
    if not text:
        raise UnauthenticatedError(
            f"the claim {path} is missing, which a rule makes the name or the prefix of sessions of: ask the operator for"
            " another rule, or the issuer for that claim"
        )
    return text
