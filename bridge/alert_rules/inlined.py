"""Expressions that need no recorded series: for boards, and for whoever evaluates alerts without loading the rules."""

import re
from collections.abc import Iterable

from bridge.alert_rules import GROUPS
from bridge.alert_rules.prometheus import one_line
from bridge.alert_rules.rule import Alert, Recording

RULES: dict[str, Alert | Recording] = {rule.name: rule for group in GROUPS for rule in group.rules}


def inlined(name: str) -> str:
    """Return the expression of a rule in one line, with those of the recorded series that it reads in their places.

    Raises KeyError where there is no such rule.
    """
    text = one_line(RULES[name].expr)
    return _RECORDED.sub(lambda match: _in_place(match[1], match[2]), text)


def _in_place(name: str, window: str | None) -> str:
    """Return what stands for a recorded series, and for its values within a time."""
    return f"({inlined(name)})" + (f"[{window}:]" if window else "")


def _pattern(names: Iterable[str]) -> re.Pattern[str]:
    alternatives = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.compile(rf"(?<![\w:])({alternatives})(?![\w:])(?:\[(\w+)\])?")


_RECORDED = _pattern(name for name, rule in RULES.items() if isinstance(rule, Recording))
