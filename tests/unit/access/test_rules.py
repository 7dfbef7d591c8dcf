"""A file of rules: what it may hold, and whom it admits to what."""

import pytest

from bridge.access import Role
from bridge.access.rules import identity_of, read_rules
from bridge.errors import SettingError, UnauthenticatedError

KUBERNETES = {
    "sub": "system:serviceaccount:team-a:trainer",
    "kubernetes.io": {"namespace": "team-a", "serviceaccount": {"name": "trainer"}},
}
PERSON = {
    "sub": "3f1",
    "email": "ada@example.org",
    "email_verified": True,
    "groups": ["staff", "ml-vision"],
}

GOOD = """
claims:
- name: "{kubernetes.io.namespace}/{kubernetes.io.serviceaccount.name}"
  match: {sub: "system:serviceaccount:team-*:trainer"}
  roles: [ingest]
  sessions: "{kubernetes.io.namespace}."
- {name: vision, match: {groups: "ml-*", email_verified: true}, roles: [control]}
- {name: "{email}", match: {sub: "*"}, roles: view}
certificates:
- {name: "{name}", match: "*.trainers.example.org", roles: [ingest], sessions: team-b.}
"""


@pytest.fixture
def rules(tmp_path):
    """Return the rules of a good file."""
    return read_rules(written(tmp_path, GOOD))


def written(folder, text):
    """Write a rules file."""
    path = folder / "rules.yaml"
    path.write_text(text)
    return path


def test_a_service_account_gets_the_prefix_of_its_namespace(rules):
    """Names and prefixes are built of claims, whose own names may have dots."""
    found = identity_of(rules.claims, KUBERNETES)
    assert (found.name, found.sessions, found.roles) == (
        "team-a/trainer",
        "team-a.",
        {Role.INGEST},
    )


def test_the_first_rule_that_matches_counts(rules):
    """Any element of a list does, and all claims of a match must."""
    assert identity_of(rules.claims, PERSON).name == "vision"
    assert identity_of(rules.claims, PERSON).roles == {Role.CONTROL, Role.VIEW}
    for change in ({"groups": ["staff"]}, {"email_verified": False}, {"groups": "Ml-vision"}):
        assert identity_of(rules.claims, {**PERSON, **change}).name == "ada@example.org"
    assert identity_of(rules.claims, {**PERSON, "groups": "ml-x"}).name == "vision"


def test_who_matches_no_rule_is_nobody(rules):
    """A claim that is missing, or is not text, matches nothing."""
    for claims in ({}, {"sub": None}, {"sub": {"a": "b"}}, {"sub": 1.5}, {"sub": [[]]}):
        assert identity_of(rules.claims, claims) is None
    assert identity_of(rules.certificates, {"name": "trainers.example.org"}) is None


def test_a_certificate_is_known_by_a_name(rules):
    """The name may become that of the identity."""
    found = identity_of(rules.certificates, {"name": "a.trainers.example.org"})
    assert (found.name, found.sessions) == ("a.trainers.example.org", "team-b.")


@pytest.mark.parametrize(
    "namespace", [None, "", "a.b", "a/b", "a*", "a b", "\u00e4", "-a", "a" * 48, ["a"], {"a": "b"}]
)
def test_a_claim_that_might_name_other_sessions_admits_nobody(rules, namespace):
    """What is missing, holds the separator or a foreign character, or is too long makes no prefix."""
    claims = {
        **KUBERNETES,
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": "t"}},
    }
    with pytest.raises(UnauthenticatedError, match="ask the operator"):
        identity_of(rules.claims, claims)


def test_no_tenant_sees_another(rules):
    """Whatever two namespaces are called, the prefix of one never begins that of another."""
    names = ("a", "a-b", "ab", "a-", "a_b", "b")
    prefixes = [
        identity_of(
            rules.claims,
            {**KUBERNETES, "kubernetes.io": {"namespace": n, "serviceaccount": {"name": "t"}}},
        ).sessions
        for n in names
    ]
    assert all(
        not one.startswith(other) for one in prefixes for other in prefixes if one is not other
    )


BAD = {
    "claim: []": "did you mean claims?",
    "claims: 3": "is not a list",
    "claims: [{name: x, match: {sub: a}, role: [view]}]": "did you mean roles?",
    "claims: [{name: x, match: {sub: a}}]": "no usable roles",
    "claims: [{name: x, match: {sub: a}, roles: [admin]}]": "ingest, view, control, metrics",
    "claims: [{match: {sub: a}, roles: [view]}]": "has no name",
    "claims: [{name: 'a{', match: {sub: a}, roles: [view]}]": "has no name",
    "claims: [{name: x, roles: [view]}]": "no match of 1 to",
    "claims: [{name: x, match: {}, roles: [view]}]": "no match of 1 to",
    "claims: [{name: x, match: 'a*', roles: [view]}]": "no match of 1 to",
    "claims: [{name: x, match: {sub: ''}, roles: [view]}]": "is not a pattern",
    "claims: [{name: x, match: {sub: [a]}, roles: [view]}]": "is not a pattern",
    "claims: [{name: x, match: {sub: 'a[b'}, roles: [view]}]": "brackets do not close",
    "claims: [{name: x, match: {sub: 'a[z-a]'}, roles: [view]}]": "hold nothing",
    "claims: [{name: x, match: {sub: a}, roles: [view], sessions: '{sub}'}]": "put one of . _",
    "claims: [{name: x, match: {sub: a}, roles: [view], sessions: '{sub}-'}]": "put one of . _",
    "claims: [{name: x, match: {sub: a}, roles: [view], sessions: '{a}{b}.'}]": "put one of . _",
    "claims: [{name: x, match: {sub: a}, roles: [view], sessions: 'a b'}]": "separator",
    "claims: [{name: x, match: {sub: a}, roles: [view], sessions: '{sub'}]": "separator",
    "certificates: [{name: x, match: {sub: a}, roles: [view]}]": "one pattern",
    "certificates: [{name: x, roles: [view]}]": "is not a pattern",
    "claims: [": "not valid YAML",
}


@pytest.mark.parametrize("text", BAD)
def test_a_file_that_cannot_be_used_says_why(tmp_path, text):
    """The sentence names the file, the rule, and what would be right."""
    path = written(tmp_path, text)
    with pytest.raises(SettingError) as caught:
        read_rules(path)
    assert str(caught.value).startswith(f"access_rules_file is {path}")
    assert BAD[text] in str(caught.value)


def test_a_pattern_takes_no_time(tmp_path):
    """Stars in a row, and a claim as long as a token may be, hold nothing up."""
    stars = "*a" * 100
    rules = read_rules(
        written(tmp_path, f"claims: [{{name: x, match: {{sub: '{stars}b'}}, roles: [view]}}]")
    )
    assert identity_of(rules.claims, {"sub": "a" * 16_000}) is None
