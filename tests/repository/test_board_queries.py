"""Every query of every board is PromQL about series that exist, narrowed to what its reader has chosen."""

import re
from datetime import timedelta

import promql_parser
import pytest
from support.boards import BOARDS, DURATIONS, all_queries, nodes, parsed, queries, selectors

from grafana.promql import narrowing

RATE_INTERVAL = timedelta(seconds=int(DURATIONS["__rate_interval"].removesuffix("s")))

RATES = ("rate", "irate")

OVER_TIME = (*RATES, "increase", "last_over_time", "resets", "changes")

CHOSEN = {"job": "$job", "instance": "$instance"}

OF_ALERTS = "ALERTS"
"""What Prometheus makes of rules; its labels are those of the alert, and most are about a session, not an instance."""

FOREIGN = ("pod", "namespace", "node", "container")
"""Labels that a session may leave behind: it moves."""

COUNTERS_AS_THEY_STAND = {
    "training_phase_seconds_total": "shares of all the time since a session began, over all attempts",
    "training_epochs_completed_total": "how far the session is, not how quickly it goes",
    "training_batches_total": "how far the session is, not how quickly it goes",
    "training_samples_total": "how far the session is, not how quickly it goes",
    "training_tokens_total": "how far the session is, not how quickly it goes",
}
"""Counters that a query may read without a rate, and what it reads of them."""


def name_of(selector):
    """Return which series a selector selects."""
    return selector.name or next(
        (one.value for one in selector.matchers.matchers if one.name == "__name__"), ""
    )


@pytest.fixture(params=BOARDS)
def board(request):
    """The name of a board."""
    return request.param


def test_every_query_is_promql(board):
    """It parses and its types fit, with Grafana's variables filled in."""
    for asked in all_queries(board):
        try:
            parsed(asked.expr)
        except ValueError as error:
            pytest.fail(f"{asked}: {error}: {asked.expr}")


def test_every_series_exists(board):
    """No query asks for what no bridge and no Prometheus has."""
    known = {*narrowing(), OF_ALERTS}
    asked_for = {
        (str(asked), name_of(selector))
        for asked in all_queries(board)
        for selector, _ in selectors(parsed(asked.expr))
    }

    assert {(where, name) for where, name in asked_for if not is_in(known, name)} == set()


def is_in(known, name):
    """Return whether a name, or a pattern of several, is of series that exist."""
    return any(re.fullmatch(name, one) for one in known)


def test_every_selector_is_narrowed(board):
    """Whoever chooses a job or an instance sees nothing of another one, wherever a query looks."""
    assert [
        f"{asked}: {selector.prettify()}"
        for asked in queries(board)
        for selector, _ in selectors(parsed(asked.expr))
        if name_of(selector) != OF_ALERTS and not is_narrowed(selector)
    ] == []


def is_narrowed(selector):
    """Return whether a selector has the matchers of the board."""
    matchers = [
        (one.name, one.value)
        for one in selector.matchers.matchers
        if one.op == promql_parser.MatchOp.Re
    ]
    return all((name, value) in matchers for name, value in CHOSEN.items())


def test_rates_are_of_the_interval_that_grafana_chooses(board):
    """A rate over less than two scrapes is empty, and one over too much hides what a point of the chart is about."""
    wrong = [
        f"{asked}: {node.prettify()}"
        for asked in queries(board)
        if not asked.target.get("instant")
        for node, _ in nodes(parsed(asked.expr))
        if isinstance(node, promql_parser.Call) and node.func.name in RATES
        for argument in node.args
        if argument.range != RATE_INTERVAL
    ]

    assert wrong == []


def test_counters_are_read_as_rates(board):
    """The height of a counter says since when it counts, and nothing else."""
    wrong = [
        f"{asked}: {name}"
        for asked in queries(board)
        for selector, above in selectors(parsed(asked.expr))
        if (name := name_of(selector)).endswith("_total") and name not in COUNTERS_AS_THEY_STAND
        if not any(
            isinstance(node, promql_parser.Call) and node.func.name in OVER_TIME for node in above
        )
    ]

    assert wrong == []


def test_nothing_is_added_up_by_where_it_ran(board):
    """A session may move: by pod or node it would fall to pieces."""
    for asked in all_queries(board):
        for node, _ in nodes(parsed(asked.expr)):
            if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
                labels = node.modifier.labels
                assert not set(labels) & set(FOREIGN), f"{asked}: {labels}"


def test_the_rules_above_can_be_broken():
    """Each kind of mistake is one that the syntax tree shows."""
    tree = parsed('sum by (pod) (rate(training_batches_total{job=~"$job"}[5m])) + up')

    names = [name_of(selector) for selector, _ in selectors(tree)]
    [rate] = [node for node, _ in nodes(tree) if isinstance(node, promql_parser.Call)]
    [total] = [node for node, _ in nodes(tree) if isinstance(node, promql_parser.AggregateExpr)]
    assert names == ["training_batches_total", "up"]
    assert not any(is_narrowed(selector) for selector, _ in selectors(tree))
    assert rate.args[0].range == timedelta(minutes=5) != RATE_INTERVAL
    assert list(total.modifier.labels) == ["pod"]
