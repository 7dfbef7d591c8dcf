"""Which URLs of a PostgreSQL are taken, and that no password of one is ever shown."""

import pytest

from bridge.config.state_url import check_state, has_password, is_state_url, masked

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/bridges",
        "postgresql://bridge@db:5432/bridges",
        f"postgresql://bridge:{SECRET}@db-0:5432,db-1:5432/bridges?sslmode=verify-full",
        f"postgresql://bridge:{SECRET}%40%2F%3A%23@[::1]:5432/bridges",
        "postgresql:///bridges?host=/var/run/postgresql",
        "postgresql://user%40realm@db/bridges",
    ],
)
def test_what_libpq_takes_is_taken_as_it_is(url):
    """Several hosts, sockets, parameters and encoded characters are libpq's business."""
    assert check_state(url) == url
    assert is_state_url(url)
    assert SECRET not in masked(url)
    assert has_password(url) == (SECRET in url)


def test_the_short_scheme_means_the_same():
    """Managed databases hand out either."""
    assert check_state("postgres://db/x") == "postgresql://db/x"
    assert check_state("PostgreSQL://db/x") == "postgresql://db/x"


def test_a_folder_is_a_folder():
    """Everything else is as it was before there were URLs."""
    for folder in ("./trainbridge-state", "memory", "/var/lib/postgresql", "~/x@y", "postgres"):
        assert check_state(folder) == masked(folder) == folder
        assert not is_state_url(folder)
        assert not has_password(folder)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("mysql://db/x", "something other than PostgreSQL"),
        ("postgresql+psycopg://db/x", "something other than PostgreSQL"),
        ("host=db dbname=x", "a list of keywords"),
        (f"password={SECRET}", "a list of keywords"),
        ("postgresql://", "no host and no database"),
        ("postgresql://u@", "no host and no database"),
        (f"postgresql://u:{SECRET} x@db/x", "a space"),
        (f"postgresql://u:{SECRET}#x@db/x", "a #"),
        (f"postgresql://u:{SECRET}/x@db/x", "of the user name or password is not"),
        (f"postgresql://u:{SECRET}@x@db/x", "of the user name or password is not"),
        (f"postgresql://u:{SECRET}:x@db/x", "of the user name or password is not"),
        (f"postgresql://u:{SECRET}%@db/x", "a % is not followed"),
        (f"postgresql://u:{SECRET}%00@db/x", "a % is not followed"),
    ],
)
def test_what_nobody_can_have_meant_is_refused_without_being_repeated(text, why):
    """A password that was not encoded would end up as a host name, in the log of a name server."""
    with pytest.raises(ValueError, match=why) as caught:
        check_state(text)

    assert SECRET not in str(caught.value)
    if is_state_url(text):
        assert SECRET not in masked(text)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://u:{SECRET}@db/x", "postgresql://u:********@db/x"),
        (
            f"postgresql://db/x?user=u&password={SECRET}",
            "postgresql://db/x?user=u&password=********",
        ),
        (f"postgres://db/x?sslpassword={SECRET}&a=b", "postgres://db/x?sslpassword=********&a=b"),
        ("postgresql://u@db:1/x?sslmode=require", "postgresql://u@db:1/x?sslmode=require"),
        (f"postgresql://u:{SECRET}@db", "postgresql://u:********@db"),
    ],
)
def test_only_the_password_is_masked(url, shown):
    """Whoever looks for a fault needs to see the rest."""
    assert masked(url) == shown
