"""The URL of a PostgreSQL as the place of the state: which ones are taken, and how one is shown without its password."""

import re
from urllib.parse import unquote

SCHEMES = ("postgresql://", "postgres://")

PASSWORDS = re.compile(r"(?<=[?&])(password|sslpassword)=[^&]*", re.IGNORECASE)
"""Parameters of libpq that hold a secret ("Parameter Key Words" of its documentation)."""

BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

KEYWORDS = re.compile(r"\b(host|hostaddr|port|dbname|user|password|service)\s*=")
"""The other form in which libpq takes an address; here it could be a folder."""

MASK = "********"


def is_state_url(text: str) -> bool:
    """Return whether a state lies in a PostgreSQL rather than in a folder."""
    return text.lower().startswith(SCHEMES)


def check_state(text: str) -> str:
    """Return a folder, `memory` or the URL of a PostgreSQL, as libpq takes it; raises ValueError for anything else.

    No text of an error repeats the URL: it may hold a password.
    """
    if not is_state_url(text):
        if "://" in text:
            raise ValueError("which is a URL of something other than PostgreSQL")
        if KEYWORDS.search(text):
            raise ValueError("which is a list of keywords rather than a URL")
        return text
    rest = text.partition("://")[2]
    credentials, host = _split_credentials(rest)
    if any(letter.isspace() or not letter.isprintable() for letter in text) or "#" in text:
        raise ValueError("in which a space, a # or a control character is not percent-encoded")
    if "/" in credentials or "@" in credentials or credentials.count(":") > 1:
        raise ValueError("in which a / : or @ of the user name or password is not percent-encoded")
    if BAD_ESCAPE.search(rest) or "\0" in unquote(rest):
        raise ValueError("in which a % is not followed by two digits of a character (%25 is one)")
    if not host.strip("/?"):
        raise ValueError("which names no host and no database")
    return f"postgresql://{rest}"


def has_password(text: str) -> bool:
    """Return whether a state is a URL that holds a password."""
    return masked(text) != text


def masked(text: str) -> str:
    """Return a state as an operator may see it: a folder as it is, a URL without its password."""
    if not is_state_url(text):
        return text
    scheme, _, rest = text.partition("://")
    credentials, host = _split_credentials(rest)
    user, colon, _ = credentials.partition(":")
    shown = f"{user}:{MASK}@{host}" if colon else rest
    return f"{scheme}://{PASSWORDS.sub(lambda found: f'{found[1]}={MASK}', shown)}"


def _split_credentials(rest: str) -> tuple[str, str]:
    """Return what stands before the last @ of hosts and credentials, and what follows it."""
    before, _, after = rest.partition("?")
    credentials, at, host = before.rpartition("@")
    return (credentials if at else ""), f"{host}?{after}" if after else host
