"""What is counted within the time shown is counted exactly, rare things included."""

from grafana.counts import in_range

COUNTER = 'training_images_total{result="stored"}'


def test_the_first_of_a_rare_thing_counts():
    """Its series begins at 1 within the time shown: there was none before, so 1 is how often it happened."""
    assert f"- (last_over_time({COUNTER}[5m] offset $__range) or " in in_range(COUNTER)


def test_a_counter_that_began_anew_is_left_to_increase():
    """The difference of its ends would be negative."""
    assert in_range(COUNTER).endswith(
        f"and resets({COUNTER}[$__range]) == 0 or increase({COUNTER}[$__range]))"
    )
