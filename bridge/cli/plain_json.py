"""Records of BridgeClient as JSON, which has no NaN."""

import json
import math
from dataclasses import asdict
from typing import Any


def record_json(record: Any) -> Any:
    """Return a record as the API describes it, which spells out numbers that JSON does not have."""
    return _plain(asdict(record))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    return value
