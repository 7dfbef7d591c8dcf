"""What is called missing, doubled or wrong, and what is not."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.canary.verdict import Account, Found, Kind, Values, Verdict, What

OVERDUE_SECONDS = 15.0
NOTHING = Values(0.0, {})


def account(said, owed, *, is_quiet, values=None):
    """Return what is known of a run of batches that have nothing but losses."""
    return Account(
        said={What.BATCH: said, What.LOSS: said, What.PREDICTION: said, What.IMAGE: 0},
        owed={What.BATCH: owed, What.LOSS: owed},
        is_quiet=is_quiet,
        values=values,
    )


def found(count, loss_sum=0.0, **more):
    """Return a page with so many batches."""
    counts = {What.BATCH: count, What.LOSS: count, What.PREDICTION: count, What.IMAGE: 0, **more}
    return Found(counts, Values(loss_sum, {}), images_stored=0, images_listed=0)


def judged(verdict, known, shown, at, after=None):
    """Return what is new as (kind, what, count)."""
    judgement = verdict.judge(known, after or known, shown, at=at)
    return [(one.kind, one.what, one.count) for one in judgement.findings]


@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 3),  # batches said since the last look
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
    at, said, shown, quiet_for = 0.0, 0, 0, 0.0
    for more, behind, seconds, is_readable in steps:
        said += more
        quiet_for = 0.0 if more else quiet_for + seconds
        # An honest page shows everything at the latest when all has been quiet for half of the time.
        shown = said if quiet_for > OVERDUE_SECONDS / 2 else max(shown, said - behind)
        at += seconds
        known = account(said, said, is_quiet=True, values=Values(float(said), {}))
        if is_readable:
            assert judged(verdict, known, found(shown, float(shown)), at) == []
        else:
            verdict.unreadable()


@given(
    lost=st.integers(1, 5),
    said=st.integers(5, 50),
    pauses=st.lists(st.floats(0.1, 2.0), min_size=200, max_size=200),
)
def test_what_stays_away_is_told_once(lost, said, pauses):
    """However often one looks, a lost batch counts once, after the time it was given."""
    verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)
    known = account(said, said, is_quiet=True)
    at, told = 0.0, []
    for pause in pauses:
        at += pause
        new = judged(verdict, known, found(said - lost), at)
        assert not new or at >= OVERDUE_SECONDS
        told += new

    expected = [(Kind.MISSING, What.BATCH, lost), (Kind.MISSING, What.LOSS, lost)]
    assert told == (expected if at - pauses[0] >= OVERDUE_SECONDS else [])


def test_nothing_is_missing_while_something_is_on_its_way():
    """Neither what is not acknowledged, nor what was said while the page was read."""
    verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)
    quiet, more = account(5, 5, is_quiet=True), account(6, 5, is_quiet=False)

    for at in range(0, 100, 5):
        assert judged(verdict, more, found(0), at) == []
        assert judged(verdict, quiet, found(0), at + 1, after=more) == []


def test_a_page_that_fails_in_between_starts_no_alarm():
    """A bridge that has just come back may need a moment; what came before does not count."""
    verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)
    known = account(5, 5, is_quiet=True)
    assert judged(verdict, known, found(4), 0) == []
    assert judged(verdict, known, found(4), 10) == []
    verdict.unreadable()

    assert judged(verdict, known, found(4), 1_000) == []
    assert judged(verdict, known, found(5), 1_014) == []


def test_a_page_that_fails_again_and_again_hides_nothing():
    """The time in which pages could be read is added up."""
    verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)
    known = account(5, 5, is_quiet=True)
    told = []
    for at in range(0, 200, 10):
        told += judged(verdict, known, found(4), at)
        told += judged(verdict, known, found(4), at + 2)
        verdict.unreadable()

    assert told == [(Kind.MISSING, What.BATCH, 1), (Kind.MISSING, What.LOSS, 1)]


def test_what_was_missing_may_come_back_and_go_again():
    """Each disappearance counts."""
    verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)
    known = account(5, 5, is_quiet=True)
    told = [
        judged(verdict, known, found(shown), at)
        for at, shown in ((0, 4), (20, 4), (30, 5), (40, 4), (60, 4))
    ]

    assert [len(new) for new in told] == [0, 2, 0, 0, 2]


def test_too_much_is_told_at_once_and_once():
    """It cannot come right any more; also while batches come."""
    verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)

    assert judged(verdict, account(5, 3, is_quiet=False), found(6), 0) == [
        (Kind.DUPLICATE, What.BATCH, 1),
        (Kind.DUPLICATE, What.LOSS, 1),
        (Kind.DUPLICATE, What.PREDICTION, 1),
    ]
    assert judged(verdict, account(5, 5, is_quiet=True), found(6), 1) == []
    assert len(judged(verdict, account(6, 6, is_quiet=True), found(8), 2)) == 3


def test_what_was_said_while_the_page_came_is_no_duplicate():
    """A page may show more than had been said when it was asked for."""
    verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)
    before, after = account(5, 5, is_quiet=True), account(8, 5, is_quiet=False)

    assert judged(verdict, before, found(8), 0, after=after) == []


def test_values_are_compared_only_where_their_number_is_right():
    """A sum that lacks a batch is no wrong sum."""
    verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)
    known = account(5, 5, is_quiet=True, values=Values(10.0, {}))

    assert judged(verdict, known, found(4, 7.5), 0) == []
    assert judged(verdict, known, found(5, 10.0), 1) == []
    assert judged(verdict, known, found(5, 10.5), 2) == [(Kind.WRONG, What.LOSS, 1)]
    assert judged(verdict, known, found(5, 10.5), 3) == []


def test_images_are_owed_where_the_bridge_says_it_keeps_them():
    """What acknowledgments or /metrics call stored must be listed; nothing is said where the list fails."""
    known = Account({What.IMAGE: 9}, {What.IMAGE: 9}, is_quiet=True, images_kept=4)
    told = []
    for listed, stored in ((4, 4), (3, 4), (4, 5), (None, 9), (9, 11)):
        verdict = Verdict(overdue_seconds=OVERDUE_SECONDS)
        page = Found({What.IMAGE: 9}, NOTHING, images_stored=stored, images_listed=listed)
        verdict.judge(known, known, page, at=0)
        told.append([one.count for one in verdict.judge(known, known, page, at=20).findings])

    assert told == [[], [1], [1], [], []]
