"""Expressions of rules without the series that other rules record."""

import pytest

from bridge.alert_rules.inlined import RULES, inlined
from bridge.alert_rules.rule import Recording

RECORDED = [name for name, rule in RULES.items() if isinstance(rule, Recording)]


@pytest.mark.parametrize("name", RULES)
def test_nothing_recorded_is_left(name):
    """However many rules read one another."""
    assert not [recorded for recorded in RECORDED if recorded in inlined(name)]


def test_the_values_of_a_recorded_series_within_a_time_are_a_subquery():
    """Since only a selector has a range of its own."""
    inner = inlined("training:step_rate:rate5m")

    assert inlined("training:step_rate:usual1h") == (
        f"quantile_over_time(0.75, ({inner})[1h:] offset 10m)"
    )


def test_a_longer_name_is_not_taken_for_a_shorter_one():
    """training:goodput_ratio is not a part of training:goodput_ratio:increase1h."""
    assert inlined("training:goodput_ratio:increase1h").startswith(
        'sum by (session_id) (increase(training_phase_seconds_total{phase="training"}[1h]))'
    )


def test_an_unknown_rule_is_an_error():
    """A board that counts an alert of another name must not be written."""
    with pytest.raises(KeyError):
        inlined("TrainingStaled")
