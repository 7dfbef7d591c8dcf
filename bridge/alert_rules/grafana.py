"""The rules as a provisioning file of Grafana, which evaluates them itself."""

from collections.abc import Iterator

from bridge.alert_rules import GROUPS
from bridge.alert_rules.addresses import RUNBOOK, Addresses
from bridge.alert_rules.inlined import inlined
from bridge.alert_rules.prometheus import flat, one_line
from bridge.alert_rules.rule import Alert, Group
from bridge.alert_rules.yaml_text import Data, yaml_text

DATASOURCE = "trainbridge-prometheus"
"""The uid of the data source in grafana/provisioning."""

FOLDER = "Training"

HEADER = """\
# The alert rules of trainbridge for Grafana, written by `trainbridge rules --format grafana`. Load these or those of
# Prometheus (deploy/prometheus), never both: each would notify. What each alert means, and what to do, is in
# docs/operations.md.
"""

LOWEST = -(10**15)
"""Below any value: whatever a query returns is an alert, as in Prometheus, 0 and negative values included."""

BRIDGE_OF_SESSION = """
topk by (session_id) (1,
  max by (session_id, public_url) (
    last_over_time(training_session_last_update_timestamp_seconds[2h])
      * on (job, instance) group_left (public_url)
        topk by (job, instance) (1, last_over_time(bridge_build_info[2h]))
  )
)
"""
"""One series for each session, with the address of the bridge that heard from it last as the label public_url."""


def grafana_text(addresses: Addresses, datasource: str = DATASOURCE) -> str:
    """Return the file for an installation, whose data source for Prometheus has this uid."""
    groups = [_group(group, addresses, datasource) for group in GROUPS]
    return HEADER + yaml_text({"apiVersion": 1, "groups": groups})


def queries(alert: Alert, addresses: Addresses) -> dict[str, str]:
    """Return the queries of an alert by their refId: A is the alert, B has the bridge of its session."""
    found = {"A": inlined(alert.name)}
    if alert.page and not addresses.public_url:
        bridge = one_line(BRIDGE_OF_SESSION)
        found["B"] = f"({found['A']}) * on (session_id) group_left (public_url) ({bridge})"
    return found


def _group(group: Group, addresses: Addresses, datasource: str) -> Data:
    alerts = [rule for rule in group.rules if isinstance(rule, Alert)]
    return {
        "orgId": 1,
        "name": group.name,
        "folder": FOLDER,
        "interval": "1m",
        "rules": [_rule(alert, addresses, datasource) for alert in alerts],
    }


def _rule(alert: Alert, addresses: Addresses, datasource: str) -> Data:
    asked = queries(alert, addresses)
    board = {"dashboardUid": alert.board.split("?")[0].removeprefix("/d/")} if alert.board else {}
    return {
        "uid": f"trainbridge-{alert.name.lower()}",
        "title": alert.name,
        "condition": "C",
        "data": [*(_query(ref, expr, datasource) for ref, expr in asked.items()), _threshold()],
        **board,
        "noDataState": "OK",
        "execErrState": "Error",
        "for": alert.wait or "0s",
        "labels": {"severity": alert.severity.value},
        "annotations": dict(_annotations(alert, addresses)),
    }


def _query(ref: str, expr: str, datasource: str) -> Data:
    return {
        "refId": ref,
        "relativeTimeRange": {"from": 600, "to": 0},
        "datasourceUid": datasource,
        "model": {
            "refId": ref,
            "datasource": {"type": "prometheus", "uid": datasource},
            "editorMode": "code",
            "expr": expr,
            "instant": True,
            "range": False,
        },
    }


def _threshold() -> Data:
    return {
        "refId": "C",
        "datasourceUid": "__expr__",
        "model": {
            "refId": "C",
            "type": "threshold",
            "expression": "A",
            "conditions": [{"evaluator": {"type": "gt", "params": [LOWEST]}}],
        },
    }


def _annotations(alert: Alert, addresses: Addresses) -> Iterator[tuple[str, str]]:
    """Go through the annotations; Grafana's templates know the bridge of a session by the labels of query B."""
    yield "summary", _template(alert.summary)
    yield "description", _template(flat(alert.description))
    for key, path in (("page", alert.page), ("images", alert.images)):
        if path and addresses.public_url:
            yield key, f"{addresses.public_url}{path}"
        elif path:
            yield key, f"{{{{ with $values.B.Labels.public_url }}}}{{{{ . }}}}{path}{{{{ end }}}}"
    if alert.board and addresses.grafana_url:
        yield "dashboard", f"{addresses.grafana_url}{alert.board}"
    key = "runbook_url" if addresses.runbook_url else "runbook"
    yield key, f"{addresses.runbook_url or RUNBOOK}#{alert.name.lower()}"


def _template(text: str) -> str:
    """Return a template of Prometheus as Grafana's: in place of one value there are those of all queries."""
    return text.replace("$value ", "$values.A.Value ")
