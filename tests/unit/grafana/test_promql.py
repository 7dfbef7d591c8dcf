"""Queries are narrowed to what the reader of a board has chosen, and to nothing else."""

import pytest
from support.tools import ROOT

from bridge.protocol import CANARY_CLIENT
from grafana.promql import (
    CHOSEN_BRIDGES,
    CHOSEN_SESSIONS,
    buckets,
    chosen,
    latest,
    mean,
    newest,
    of_bridges,
    quantile,
    trainings,
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("training_loss", f"training_loss{{{CHOSEN_SESSIONS}}}"),
        ("up == 1", f"up{{{CHOSEN_BRIDGES}}} == 1"),
        ('bridge_sessions{state="live"}', f'bridge_sessions{{{CHOSEN_BRIDGES}, state="live"}}'),
        (
            'sum by (le) (rate(training_batch_loss_bucket{le!="1"}[5m]))',
            f'sum by (le) (rate(training_batch_loss_bucket{{{CHOSEN_SESSIONS}, le!="1"}}[5m]))',
        ),
        ('label_replace(vector(1), "a", "training_loss", "b", "up")', None),
        (
            "sum by (public_url) (vector(1))\n  > bool ( 0 )",
            "sum by (public_url) (vector(1)) > bool (0)",
        ),
    ],
)
def test_every_selector_is_narrowed(query, expected):
    """Names in texts are left as they are, and line breaks go."""
    assert chosen(query) == (expected or query)


def test_a_panel_may_choose_its_sessions_itself():
    """The bridges stay chosen by the board."""
    narrowed = chosen("training_loss", session=f'{CHOSEN_BRIDGES}, session_id="a"')

    assert narrowed == f'training_loss{{{CHOSEN_BRIDGES}, session_id="a"}}'


@pytest.mark.parametrize("name", ["training_losses", "bridge_up", "training_batch_loss_total"])
def test_a_series_that_no_bridge_has_is_refused(name):
    """A board cannot be written with a query that would stay empty."""
    with pytest.raises(ValueError, match=name):
        chosen(f"rate({name}[5m])")


def test_a_quantile_is_had_of_both_forms_of_a_histogram():
    """Whichever Prometheus has stored, or both, which it would not take in one; matchers stand in both."""
    assert quantile(0.99, "bridge_commit_duration_seconds", "instance") == (
        "histogram_quantile(0.99, "
        "sum by (instance, le) (rate(bridge_commit_duration_seconds_bucket[$__rate_interval]))) "
        "or histogram_quantile(0.99, sum by (instance) (rate(bridge_commit_duration_seconds[$__rate_interval])))"
    )
    assert '_bucket{correct="true"}[' in quantile(
        0.5, 'training_prediction_confidence{correct="true"}'
    )
    assert 'confidence{correct="true"}[' in quantile(
        0.5, 'training_prediction_confidence{correct="true"}'
    )


def test_what_other_programs_have_too_is_of_bridges_alone():
    """All jobs chosen means all jobs of bridges, not all that Prometheus scrapes."""
    narrowed = chosen(of_bridges("up"))

    assert narrowed.startswith(f"up{{{CHOSEN_BRIDGES}}} and on (job, instance) ")
    assert f"bridge_build_info{{{CHOSEN_BRIDGES}}}[$__range]" in narrowed


def test_of_two_copies_the_newest_counts():
    """A session that moved is known to two bridges for a while; alternatives are taken together."""
    query = newest("training_loss or training_epoch_loss")

    assert query.startswith(
        "(training_loss or training_epoch_loss) and on (job, instance, session_id)"
    )
    assert "[2h]" in query


def test_what_has_ended_is_found_within_the_time_shown():
    """Its series are gone by now."""
    assert latest("training_epoch").startswith("(last_over_time(training_epoch[$__range])) and ")


def test_a_mean_and_a_heatmap_are_had_of_both_forms_of_a_histogram():
    """The classic one where there is one, so that nothing is drawn twice."""
    both = mean("training_batch_loss", "session_id")

    assert both.startswith(
        "sum by (session_id) (rate(training_batch_loss_sum[$__rate_interval])) / "
    )
    assert both.endswith("> 0)")
    assert "or histogram_sum(" in both
    assert ") or on () sum(increase(training_batch_loss[$__rate_interval]))" in buckets(
        "training_batch_loss"
    )


def test_the_canary_is_known_by_its_name():
    """By the one with which it registers."""
    source = (ROOT / "bridge/canary/service.py").read_text()

    assert "client_name=CANARY_CLIENT" in source
    assert f'client_name="{CANARY_CLIENT}"' in trainings("training_loss")
