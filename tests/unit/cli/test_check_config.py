"""`trainbridge check-config`."""

import json

import pytest
from support.certificates import Authority
from support.otlp import receiving
from support.ports import free_port

from bridge import cli
from bridge.config.settings import Settings


def test_connections_are_tried_only_when_asked(capsys, tmp_path):
    """Without --connect nothing outside the settings is touched."""
    words = ["check-config", "--state", str(tmp_path / "state")]

    assert cli.main(words) == 0
    assert "\nconnection" not in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_every_neighbor_is_one_line(capsys, tmp_path):
    """What works is ok; what does not is named with its address, and the exit status is 1."""
    words = ["check-config", "--connect", "--state", str(tmp_path / "state")]
    with receiving("grpc") as receiver:
        assert cli.main([*words, "--otlp-endpoint", receiver.url]) == 0
        fine = [line for line in capsys.readouterr().out.splitlines() if "connection " in line]
    closed = f"http://127.0.0.1:{free_port()}"
    assert cli.main([*words, "--otlp-endpoint", closed]) == 1
    [wrong] = [line for line in capsys.readouterr().out.splitlines() if "connection otlp" in line]

    assert sorted(fine) == [
        f"connection object_store (file://{tmp_path}/state/images): ok",
        f"connection otlp ({receiver.url}): ok",
        f"connection state_folder ({tmp_path}/state): ok",
    ]
    assert wrong.startswith(f"connection otlp ({closed}): ")
    assert not wrong.endswith("ok")
    assert list(tmp_path.iterdir()) == []


def test_json_is_for_programs(capsys, tmp_path):
    """The same, as one JSON object; secrets are masked there too."""
    words = ["check-config", "--connect", "--json", "--state", str(tmp_path)]
    assert cli.main([*words, "--s3-secret-key", "hunter2"]) == 0
    out = capsys.readouterr().out
    content = json.loads(out)

    assert {row["name"] for row in content["settings"]} == set(Settings.model_fields)
    assert [row["error"] for row in content["connections"]] == [None, None]
    assert "hunter2" not in out


@pytest.mark.parametrize("prefix", ["tls", "http-tls"])
def test_certificates_are_looked_into(capsys, tmp_path, prefix):
    """A key that is another certificate's is said here, too, and not only by a bridge that starts."""
    authority = Authority(tmp_path / "certificates")
    one, other = authority.issue("one"), authority.issue("other")
    words = ["check-config", "--state", "memory", f"--{prefix}-cert-file", str(one.certificate)]

    assert cli.main([*words, f"--{prefix}-key-file", str(one.key)]) == 0
    assert cli.main([*words, f"--{prefix}-key-file", str(other.key)]) == 2
    assert f"{prefix.replace('-', '_')}_cert_file" in capsys.readouterr().err


def test_files_of_tokens_and_rules_are_read(capsys, tmp_path):
    """What a bridge would not start with is refused, and what is weak about a token is a warning."""
    tokens, rules = tmp_path / "tokens.yaml", tmp_path / "rules.yaml"
    tokens.write_text(f"tokens: [{{name: a, sha256: {'a' * 64}, roles: [view], sessions: team}}]")
    rules.write_text("claims: []")
    words = ["check-config", "--tokens-file", str(tokens), "--access-rules-file", str(rules)]
    assert cli.main(words) == 0
    assert "warning: tokens_file: the token a also sees" in capsys.readouterr().out
    rules.write_text("claims: [{name: x, match: {sub: a}}]")
    assert cli.main(words) == 2
    assert f"access_rules_file is {rules}, whose rule 1 of claims (x)" in capsys.readouterr().err
    rules.write_text("")
    tokens.write_text("tokens: [{name: a}]")
    assert cli.main(words) == 2
    assert f"tokens_file is {tokens}, whose entry 1" in capsys.readouterr().err
