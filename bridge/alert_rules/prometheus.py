"""The rules as a file of Prometheus."""

import textwrap
from collections.abc import Iterator

from bridge.alert_rules import GROUPS
from bridge.alert_rules.addresses import RUNBOOK, Addresses, fill, known, unknown
from bridge.alert_rules.rule import Alert, Group, Recording
from bridge.alert_rules.yaml_text import quoted

HEADER = """\
# The alert rules of trainbridge, written by `trainbridge rules`, which takes the addresses that links begin with.
# They hold for any job name: everything is asked by the series themselves. What each alert means, and what to do,
# is in docs/operations.md.
groups:
"""

OBJECT = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: trainbridge
spec:
"""

WIDTH = 118

BRIDGE_OF_SESSION = (
    "{{ with query (printf `last_over_time(bridge_build_info[2h]) and on (job, instance)"
    ' topk(1, last_over_time(training_session_last_update_timestamp_seconds{session_id="%s"}[2h]))`'
    " $labels.session_id) }}"
    '{{ . | first | label "public_url" }}'
)
"""A template of Prometheus: the address of the bridge that heard from the session last; an {{ end }} is to follow."""


def rules_text(addresses: Addresses) -> str:
    """Return the file for an installation."""
    return fill(open_text(), addresses)


def operator_text(addresses: Addresses) -> str:
    """Return it as an object of Prometheus' operator."""
    return OBJECT + textwrap.indent(rules_text(addresses), "  ", lambda line: bool(line.strip()))


def open_text() -> str:
    """Return the file with its addresses left open (`fill`)."""
    return HEADER + "\n".join("\n".join(_group(group)) + "\n" for group in GROUPS)


def expression(rule: Recording | Alert) -> str:
    """Return the expression of a rule, from the first column on."""
    return textwrap.dedent(rule.expr).strip()


def flat(text: str) -> str:
    """Return a text in one line."""
    return " ".join(text.split())


def one_line(expr: str) -> str:
    """Return an expression in one line, without the spaces that its line breaks leave within parentheses."""
    return flat(expr).replace("( ", "(").replace(" )", ")")


def _group(group: Group) -> Iterator[str]:
    yield from _comment(group.note, "  ")
    yield f"  - name: {group.name}"
    yield "    rules:"
    for number, rule in enumerate(group.rules):
        if number:
            yield ""
        yield from _comment(rule.note, "      ")
        yield from _alert(rule) if isinstance(rule, Alert) else _recording(rule)


def _recording(rule: Recording) -> Iterator[str]:
    yield f"      - record: {rule.name}"
    yield from _block("expr: |", expression(rule).splitlines())


def _alert(rule: Alert) -> Iterator[str]:
    yield f"      - alert: {rule.name}"
    yield from _block("expr: |", expression(rule).splitlines())
    if rule.wait:
        yield f"        for: {rule.wait}"
    yield "        labels:"
    yield f"          severity: {rule.severity}"
    yield "        annotations:"
    yield f"          summary: {quoted(rule.summary)}"
    yield from _block("  description: >-", _wrapped(rule.description, WIDTH - 12))
    for line in _links(rule):
        yield f"          {line}"


def _links(rule: Alert) -> Iterator[str]:
    for key, path in (("page", rule.page), ("images", rule.images)):
        if path:
            by_bridge = f"{BRIDGE_OF_SESSION}{path}{{{{ end }}}}"
            yield f"{key}: {quoted(f'PUBLIC_URL{path}')}{known('public_url')}"
            yield f"{key}: {quoted(by_bridge)}{unknown('public_url')}"
    if rule.board:
        yield f"dashboard: {quoted(f'GRAFANA_URL{rule.board}')}{known('grafana_url')}"
    heading = f"#{rule.name.lower()}"
    yield f"runbook_url: {quoted(f'RUNBOOK_URL{heading}')}{known('runbook_url')}"
    yield f"runbook: {quoted(f'{RUNBOOK}{heading}')}{unknown('runbook_url')}"


def _block(head: str, lines: list[str]) -> Iterator[str]:
    indent = " " * (10 + len(head) - len(head.lstrip()))
    yield f"        {head}"
    for line in lines:
        yield f"{indent}{line}"


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in _wrapped(text, WIDTH - len(indent)):
        yield f"{indent}# {line}"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(flat(text), width, break_long_words=False, break_on_hyphens=False)
