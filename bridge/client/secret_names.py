"""Which settings of a run look like secrets: everybody who can open a bridge's pages would see them."""

import re
from itertools import pairwise

WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
"""The words of a name in any spelling: hf_token, hfToken, HFToken."""

SECRET_WORDS = frozenset(
    [
        "password",
        "passwd",
        "pwd",
        "passphrase",
        "secret",
        "secrets",
        "credential",
        "credentials",
        "apikey",
        "authorization",
        "bearer",
        "cookie",
    ]
)
KEY_OWNERS = frozenset(
    [
        "api",
        "access",
        "secret",
        "private",
        "ssh",
        "encryption",
        "signing",
        "account",
        "license",
        "auth",
        "service",
        "client",
        "deploy",
        "storage",
        "wandb",
        "comet",
        "neptune",
        "mlflow",
        "hf",
        "huggingface",
        "openai",
        "anthropic",
        "aws",
        "azure",
        "gcp",
        "s3",
    ]
)
"""Whose `key` is one that opens something: other keys are names, as in sort_key."""

VOCABULARY = frozenset(
    [
        "bos",
        "eos",
        "pad",
        "unk",
        "unknown",
        "cls",
        "sep",
        "mask",
        "start",
        "end",
        "stop",
        "special",
        "image",
        "video",
        "audio",
        "text",
        "prompt",
        "newline",
        "sot",
        "eot",
        "eod",
        "first",
        "last",
    ]
)
"""Whose `token` is one of a language model's vocabulary."""

SECRET_VALUE = re.compile(
    r"[a-z][a-z0-9+.-]*://[^/\s@:]*:[^/\s@]+@"
    r"|\b(hf_|sk-|gh[opsu]_|github_pat_|glpat-|xox[abp]-|AKIA|AIza)[A-Za-z0-9_-]{12,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
"""A URL with a password in it, and what the tokens of well-known services look like."""


def is_secret(name: str, value: object) -> bool:
    """Return whether a setting, by its dotted name or by its value, looks like one that opens something."""
    if value is None or value == "" or isinstance(value, bool):
        return False
    words = [word.lower() for word in WORDS.findall(name)]
    if not SECRET_WORDS.isdisjoint(words):
        return True
    if not isinstance(value, str):
        return False
    last, before = (*words[::-1], "", "")[:2]
    if last == "auth" or (last == "token" and before not in VOCABULARY):
        return True
    has_key = any(owner in KEY_OWNERS and word == "key" for owner, word in pairwise(words))
    return has_key or SECRET_VALUE.search(value) is not None
