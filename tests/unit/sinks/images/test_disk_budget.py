"""The spool knows how much room it has."""

import os

import pytest

from bridge.sinks.images.disk_budget import DiskBudget


@pytest.mark.parametrize(
    ("used", "sampled", "first"), [(899, True, True), (900, False, True), (950, False, False)]
)
def test_images_are_shed_in_order(tmp_path, used, sampled, first):
    """At 90 % of the limit no sampled images, at 95 % none."""
    budget = DiskBudget(tmp_path, max_bytes=1000)

    assert budget.has_capacity(used, starts_epoch=False) is sampled
    assert budget.has_capacity(used, starts_epoch=True) is first


def test_a_disk_that_is_nearly_full_lowers_the_limit(tmp_path):
    """However much the spool is allowed, it leaves room to the database."""
    disk = os.statvfs(tmp_path)
    free = disk.f_bavail * disk.f_frsize
    budget = DiskBudget(tmp_path, max_bytes=1 << 60)

    budget.refresh(used_bytes=1000)

    assert budget.limit_bytes < free + 1000
    assert DiskBudget(tmp_path, max_bytes=500).limit_bytes == 500
