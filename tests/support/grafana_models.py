"""Grafana's own models of a board, as its SDK has them."""

import json
import warnings

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
    # It prefers boards of Grafana 13, which older ones cannot read.
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models import units
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()

UNITS = {value for name, value in vars(units).items() if isinstance(value, str) and name[0] != "_"}


def round_trip(board):
    """Return what is left of a board that Grafana's models have read and written."""
    return json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
