"""What the database holds comes back as it was, however large the numbers of a client are."""

import pytest

from bridge.storage.packed import packed, sealed, unpacked, unsealed


@pytest.mark.parametrize("value", [0, -1, 2**64 - 1, -(2**63), 1.5, "a", b"a", None, True])
def test_plain_values_come_back(value):
    """The largest whole number of the protocol among them."""
    assert unpacked(packed([value])) == [value]


@pytest.mark.parametrize(
    ("grown", "kept"), [(2**64, 2**64 - 1), (5 * 2**64, 2**64 - 1), (-(2**70), -(2**63))]
)
def test_a_sum_that_no_longer_fits_is_kept_as_the_last_number_that_does(grown, kept):
    """Tokens of batches are added up: a checkpoint that failed would hold up every session's journal."""
    assert unsealed(sealed({"tokens": grown, "deep": [(grown,)]})) == {
        "tokens": kept,
        "deep": [[kept]],
    }


def test_anything_else_is_refused():
    """It was never meant to be written."""
    with pytest.raises(ValueError, match="not a plain value"):
        packed(object())
