"""What is called missing, doubled or wrong, and what is not."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bridge.canary.verdict import Expectation, Kind, Shown, Verdict, What

OVERDUE_SECONDS = 15.0
NO_VALUES = {what: {} for what in What}


def expectation(sent, expected, *, is_quiet, loss_sum=None):
    """Return what must be shown of a run of batches that have nothing but losses."""
    return Expectation(
        sent={What.BATCH: sent, What.LOSS: sent, What.PREDICTION: sent, What.IMAGE: 0},
        expected={What.BATCH: expected, What.LOSS: expected, What.IMAGE: 0},
        is_quiet=is_quiet,
        values=None if loss_sum is None else {What.LOSS: {"sum": loss_sum}},
    )


def shows(count, loss_sum=0.0):
    """Return a page with so many batches."""
    counts = dict.fromkeys(What, count) | {What.IMAGE: 0, What.EPOCH: 0}
    values = NO_VALUES | {What.LOSS: {"sum": loss_sum}}
    return Shown(counts, values, images_stored=0, images_there=0)


def judged(verdict, expected, shown, at):
    """Return what is new as (kind, what, count)."""
    findings, _ = verdict.judge(expected, shown, at=at)
    return [(one.kind, one.what, one.count) for one in findings]


@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 3),  # batches sent since the last look
            st.integers(0, 5),  # how many the page is behind
            st.floats(0.1, 5.0),  # seconds until the next look
            st.booleans(),  # the page can be read
        ),
        max_size=60,
    )
)
def test_an_honest_bridge_is_never_blamed(steps):
    """Whatever is on its way, however often the page fails: no finding while the page catches up in time."""
    verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)
    at, sent, shown, quiet_for = 0.0, 0, 0, 0.0
    for more, behind, seconds, is_readable in steps:
        sent += more
        quiet_for = 0.0 if more else quiet_for + seconds
        # An honest page shows everything at the latest when all has been quiet for half of the time.
        shown = sent if quiet_for > OVERDUE_SECONDS / 2 else max(shown, sent - behind)
        at += seconds
        known = expectation(sent, sent, is_quiet=True, loss_sum=float(sent))
        if is_readable:
            assert judged(verdict, known, shows(shown, float(shown)), at) == []
        else:
            verdict.note_unreadable()


@given(
    lost=st.integers(1, 5),
    sent=st.integers(5, 50),
    pauses=st.lists(st.floats(0.1, 2.0), min_size=200, max_size=200),
)
def test_what_stays_away_is_reported_once(lost, sent, pauses):
    """However often one looks, a lost batch counts once, after the time it was given."""
    verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)
    known = expectation(sent, sent, is_quiet=True)
    at, reported = 0.0, []
    for pause in pauses:
        at += pause
        new = judged(verdict, known, shows(sent - lost), at)
        assert not new or at >= OVERDUE_SECONDS
        reported += new

    expected = [(Kind.MISSING, What.BATCH, lost), (Kind.MISSING, What.LOSS, lost)]
    assert reported == (expected if at - pauses[0] >= OVERDUE_SECONDS else [])


def test_nothing_is_missing_while_something_is_on_its_way():
    """Neither what is not acknowledged, nor what was sent while the page was read."""
    verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)
    quiet, more = expectation(5, 5, is_quiet=True), expectation(6, 5, is_quiet=False)

    for at in range(0, 100, 5):
        assert judged(verdict, more, shows(0), at) == []
        assert judged(verdict, quiet, shows(0), at + 1) == []


def test_a_page_that_fails_in_between_starts_no_alarm():
    """A bridge that has just come back may need a moment; what came before does not count."""
    verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)
    known = expectation(5, 5, is_quiet=True)
    assert judged(verdict, known, shows(4), 0) == []
    assert judged(verdict, known, shows(4), 10) == []
    verdict.note_unreadable()

    assert judged(verdict, known, shows(4), 1_000) == []
    assert judged(verdict, known, shows(5), 1_014) == []


def test_a_page_that_fails_again_and_again_hides_nothing():
    """The time in which pages could be read is added up."""
    verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)
    known = expectation(5, 5, is_quiet=True)
    reported = []
    for at in range(0, 200, 10):
        reported += judged(verdict, known, shows(4), at)
        reported += judged(verdict, known, shows(4), at + 2)
        verdict.note_unreadable()

    assert reported == [(Kind.MISSING, What.BATCH, 1), (Kind.MISSING, What.LOSS, 1)]


def test_what_was_missing_may_come_back_and_go_again():
    """Each disappearance counts."""
    verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)
    known = expectation(5, 5, is_quiet=True)
    reported = [
        judged(verdict, known, shows(shown), at)
        for at, shown in ((0, 4), (20, 4), (30, 5), (40, 4), (60, 4))
    ]

    assert [len(new) for new in reported] == [0, 2, 0, 0, 2]


def test_too_much_is_reported_at_once_and_once():
    """It cannot come right any more; also while batches come."""
    verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)

    assert judged(verdict, expectation(5, 3, is_quiet=False), shows(6), 0) == [
        (Kind.DUPLICATE, What.BATCH, 1),
        (Kind.DUPLICATE, What.LOSS, 1),
        (Kind.DUPLICATE, What.PREDICTION, 1),
    ]
    assert judged(verdict, expectation(5, 5, is_quiet=True), shows(6), 1) == []
    assert len(judged(verdict, expectation(6, 6, is_quiet=True), shows(8), 2)) == 3


def test_a_message_that_was_refused_is_wrong():
    """All that is sent is valid; each refusal counts once, also while batches come."""
    verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)
    reported = [
        judged(verdict, replace(expectation(5, 3, is_quiet=False), refused=refused), shows(3), 0)
        for refused in (1, 1, 3)
    ]

    assert reported == [[(Kind.WRONG, What.BATCH, 1)], [], [(Kind.WRONG, What.BATCH, 2)]]


def test_values_are_compared_only_where_their_number_is_right():
    """A sum that lacks a batch is not a wrong sum."""
    verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)
    known = expectation(5, 5, is_quiet=True, loss_sum=10.0)

    assert judged(verdict, known, shows(4, 7.5), 0) == []
    assert judged(verdict, known, shows(5, 10.0), 1) == []
    assert judged(verdict, known, shows(5, 10.5), 2) == [(Kind.WRONG, What.LOSS, 1)]
    assert judged(verdict, known, shows(5, 10.5), 3) == []


def test_images_are_expected_where_the_bridge_says_it_keeps_them():
    """What acknowledgments or /metrics call stored must be there; nothing is reported where the list fails."""
    counts = dict.fromkeys(What, 0) | {What.IMAGE: 9}
    known = Expectation({What.IMAGE: 9}, {What.IMAGE: 9}, is_quiet=True, images_kept=4)
    reported = []
    for there, stored in ((4, 4), (3, 4), (4, 5), (None, 9), (9, 11)):
        verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)
        page = Shown(counts, NO_VALUES, images_stored=stored, images_there=there)
        verdict.judge(known, page, at=0)
        reported.append([one[2] for one in judged(verdict, known, page, 20)])

    assert reported == [[], [1], [1], [], []]
