"""Who somebody is, and what that somebody may do."""

from bridge.access import ANYONE, Identity, Role
from bridge.access.identity import with_included


def test_who_may_command_may_view():
    """A command is sent from a page, so its sender sees the page."""
    assert with_included([Role.CONTROL]) == {Role.CONTROL, Role.VIEW}
    assert with_included([Role.INGEST, Role.METRICS]) == {Role.INGEST, Role.METRICS}


def test_a_prefix_is_of_the_name():
    """An identity owns the sessions whose names begin with its prefix, and all of them without one."""
    team = Identity("team-a", frozenset({Role.VIEW}), "team-a.")
    assert team.owns("team-a.resnet")
    assert not team.owns("team-ab.resnet")
    assert not team.owns("x-team-a.resnet")
    assert Identity("all", frozenset()).owns("team-ab.resnet")


def test_an_open_door_knows_no_bounds():
    """Anybody who is asked for nothing may do everything, without end."""
    assert all(ANYONE.may(role) for role in Role)
    assert ANYONE.owns("any")


def test_no_secret_is_shown():
    """What makes two identities different stands in no log that shows one."""
    assert "abcdef" not in repr(Identity("name", frozenset(), key="abcdef"))
