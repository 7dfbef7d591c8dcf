"""Where settings come from, and what is refused."""

import pytest

from bridge.config import load
from bridge.config.settings import Settings, flag_of, info_of, is_secret, variable_of
from bridge.config.sources import rows
from bridge.errors import SettingError

SECRET = "hunter2-hunter2"


def settings(environment=None, **flags):
    """Return what is in effect."""
    return load(flags, environment or {}).settings


def refusal(environment=None, **flags):
    """Return why these settings are refused."""
    with pytest.raises(SettingError) as caught:
        load(flags, environment or {})
    return str(caught.value)


@pytest.fixture
def yaml_file(tmp_path):
    """Write a YAML file, and return its name."""

    def write(text):
        path = tmp_path / "trainbridge.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_defaults_need_nothing():
    """Without a word from anybody a bridge serves on this machine alone."""
    plain = settings()

    assert plain.grpc_address == "127.0.0.1:50051"
    assert plain.http_address == "127.0.0.1:8080"
    assert plain.spans_endpoint == ""
    assert load({}, {}).warnings == ()


def test_a_flag_wins_over_a_variable_over_the_file(yaml_file):
    """Each source gives way to the one closer to the command."""
    path = yaml_file("max_sessions: 1\nmax_streams: 1\nlog_level: debug\n")
    environment = {"TRAINBRIDGE_MAX_SESSIONS": "2", "TRAINBRIDGE_MAX_STREAMS": "2"}

    loaded = load({"config": path, "max_sessions": "3"}, environment)

    assert loaded.settings.max_sessions == 3
    assert loaded.settings.max_streams == 2
    assert loaded.settings.log_level == "debug"
    assert str(loaded.origins["max_sessions"]) == "flag --max-sessions"
    assert str(loaded.origins["max_streams"]) == "variable TRAINBRIDGE_MAX_STREAMS"
    assert str(loaded.origins["log_level"]) == f"config {path}"
    assert str(loaded.origins["state"]) == "default"


def test_the_file_may_be_named_by_a_variable(yaml_file):
    """In a container everything can come from the environment."""
    assert settings({"TRAINBRIDGE_CONFIG": yaml_file("max_sessions: 7")}).max_sessions == 7


def test_a_secret_may_come_from_a_file(tmp_path):
    """A mounted secret is read without its line end, and gives way to a variable."""
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    environment = {"TRAINBRIDGE_S3_SECRET_KEY_FILE": str(path)}

    from_file = load({}, environment)
    from_variable = settings({**environment, "TRAINBRIDGE_S3_SECRET_KEY": "other"})

    assert from_file.settings.s3_secret_key.get_secret_value() == SECRET
    assert str(from_file.origins["s3_secret_key"]) == f"file {path}"
    assert from_variable.s3_secret_key.get_secret_value() == "other"
    assert "TRAINBRIDGE_S3_SECRET_KEY_FILE is /nowhere" in refusal(
        {"TRAINBRIDGE_S3_SECRET_KEY_FILE": "/nowhere"}
    )


OTHERS = [
    ("AWS_REGION", "eu-west-1", "s3_region", "own"),
    ("AWS_DEFAULT_REGION", "eu-west-1", "s3_region", "own"),
    ("AWS_ENDPOINT_URL_S3", "http://store:9000", "s3_endpoint", "http://own"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317", "otlp_endpoint", "http://own"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://h/own", "otlp_traces_endpoint", "http://own"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "otlp_protocol", "grpc"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "otlp_compression", "none"),
    ("OTEL_SERVICE_NAME", "team-a", "otlp_service_name", "trainbridge"),
    ("OTEL_RESOURCE_ATTRIBUTES", "a=b", "otlp_resource_attributes", "c=d"),
]


@pytest.mark.parametrize(("variable", "value", "name", "own"), OTHERS)
def test_variables_of_other_tools_hold_where_ours_say_nothing(
    yaml_file, variable, value, name, own
):
    """What stands in the environment for every program gives way to what was written for this bridge, however."""
    environment = {variable: value}
    path = yaml_file(f"{name}: {own}\n")

    assert getattr(settings(environment), name) == value
    assert getattr(settings({**environment, variable_of(name): own}), name) == own
    assert getattr(settings(environment, config=path), name) == own
    assert getattr(settings(environment, config=yaml_file(f"{name}: null\n")), name) == value


def test_a_secret_of_other_tools_gives_way_to_the_file(yaml_file, tmp_path):
    """Secrets have the same order: variable, file that a variable names, YAML file, other tools."""
    secret = tmp_path / "headers"
    secret.write_text("k=mounted")
    path = yaml_file("otlp_headers: k=yaml\n")
    environment = {"OTEL_EXPORTER_OTLP_HEADERS": "k=other"}

    assert settings(environment).headers == {"k": "other"}
    assert settings(environment, config=path).headers == {"k": "yaml"}
    environment["TRAINBRIDGE_OTLP_HEADERS_FILE"] = str(secret)
    assert settings(environment, config=path).headers == {"k": "mounted"}
    environment["TRAINBRIDGE_OTLP_HEADERS"] = "k=variable"
    assert settings(environment, config=path).headers == {"k": "variable"}


def test_aws_keys_hold_and_temporary_ones_are_left_to_the_store():
    """Keys with a session token are of no use without it, and the store reads all three by itself."""
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": SECRET}

    assert settings(keys).s3_secret_key.get_secret_value() == SECRET
    assert settings({**keys, "AWS_SESSION_TOKEN": "t"}).s3_secret_key is None


AWS_KEYS = {"AWS_ACCESS_KEY_ID": "aws-id", "AWS_SECRET_ACCESS_KEY": "aws-secret"}
ACCESS, KEY = "TRAINBRIDGE_S3_ACCESS_KEY", "TRAINBRIDGE_S3_SECRET_KEY"


@pytest.mark.parametrize(
    ("environment", "file", "expected"),
    [
        (AWS_KEYS, "", "aws-id aws-secret"),
        (AWS_KEYS, "s3_access_key: a\ns3_secret_key: b\n", "a b"),
        ({**AWS_KEYS, ACCESS: "c", KEY: "d"}, "s3_access_key: a\ns3_secret_key: b\n", "c d"),
        ({**AWS_KEYS, ACCESS: "c"}, "s3_secret_key: b\n", "c b"),
        ({**AWS_KEYS, KEY: "d"}, "s3_access_key: a\n", "a d"),
        ({ACCESS: "c"}, "s3_access_key: a\ns3_secret_key: b\n", ""),
        ({KEY: "d"}, "s3_access_key: a\ns3_secret_key: b\n", ""),
        ({**AWS_KEYS, ACCESS: "c"}, "", ""),
        (AWS_KEYS, "s3_secret_key: b\n", ""),
        ({**AWS_KEYS, "AWS_SESSION_TOKEN": "t"}, "s3_access_key: a\n", ""),
    ],
)
def test_keys_are_a_pair(yaml_file, environment, file, expected):
    """Neither is taken from another pair: what would be mixed is refused where a bucket is used."""
    path = yaml_file(file)
    if not expected:
        assert "none is taken from another pair: give the" in refusal(
            environment, config=path, images_store="s3://bucket"
        )
        return
    loaded = settings(environment, config=path, images_store="s3://bucket")
    keys = (loaded.s3_access_key, loaded.s3_secret_key)
    assert " ".join(key.get_secret_value() for key in keys) == expected


def test_an_empty_variable_counts_as_none():
    """Charts set variables to nothing; that means the default."""
    assert settings({"TRAINBRIDGE_MAX_SESSIONS": "", "AWS_REGION": ""}) == settings()


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("grpc_address", "50051", "host:port"),
        ("http_address", "localhost:99999", "host:port"),
        ("public_url", "bridge.example.org", "a URL"),
        ("grafana_url", "grafana.example.org", "a URL"),
        ("grafana_url", "https://grafana.example.org/?orgId=1", "a URL"),
        ("grafana_url", "https://grafana;script-src", "a URL"),
        ("frame_ancestors", "https://a.example; script-src *", "origins"),
        ("frame_ancestors", "https://a.example,https://b.example", "origins"),
        ("frame_ancestors", "https://a.example/path", "origins"),
        ("frame_ancestors", "https://a.*.example", "origins"),
        ("frame_ancestors", "'unsafe-inline'", "origins"),
        ("frame_ancestors", "'none' https://a.example", "origins"),
        ("frame_ancestors", "https://a.example\nX-Header: x", "origins"),
        ("frame_ancestors", " ", "origins"),
        ("ports_file", "/nowhere/ports.json", "a folder that exists"),
        ("state", "", "a folder"),
        ("images_store", "s3:/bucket", "s3://bucket/prefix"),
        ("images_store", "file://relative", "file:///folder"),
        ("images_keep", "some", "sample, all or none"),
        ("images_batches_per_second", "0", "above 0"),
        ("images_batches_per_second", "nan", "above 0"),
        ("spool_max_bytes", "lots", "such as 10GiB"),
        ("spool_max_bytes", "-1", "such as 10GiB"),
        ("shutdown_grace_seconds", "-1", "from 0"),
        ("s3_endpoint", "store:9000", "http:// or https://"),
        ("s3_path_style", "perhaps", "true or false"),
        ("s3_ca_file", "/nowhere.pem", "PEM"),
        ("otlp_endpoint", "localhost:4317", "http:// or https://"),
        ("otlp_protocol", "http/json", "grpc or http/protobuf"),
        ("heartbeat_seconds", "inf", "seconds"),
        ("session_lost_seconds", "59", "three times"),
        ("max_sessions", "0", "at least 1"),
        ("max_streams", "1.5", "whole number"),
        ("max_message_bytes", "1KiB", "64KiB"),
        ("log_level", "loud", "debug"),
        ("log_format", "xml", "json or text"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would_be_right(name, value, right):
    """The refusal names setting, value, where it stands, and what to write instead."""
    text = refusal(**{name: value})

    assert text.startswith(f"{name} is {value!r} (from flag {flag_of(name)})")
    assert right in text.partition(": give ")[2]
    assert "\n" not in text


def test_everything_wrong_is_reported_at_once():
    """Nobody should have to start a bridge three times to find three mistakes."""
    text = refusal({"TRAINBRIDGE_MAX_SESSIONS": "none"}, log_level="x", images_keep="y")

    assert sorted(line.split()[0] for line in text.splitlines()) == [
        "images_keep",
        "log_level",
        "max_sessions",
    ]
    assert "variable TRAINBRIDGE_MAX_SESSIONS" in text


def test_one_key_without_the_other_is_refused_where_a_bucket_is_used():
    """Half a pair of keys is a mistake, but none that matters to a local store."""
    assert "s3_secret_key" in refusal(s3_access_key="id", images_store="s3://bucket")
    assert settings(s3_access_key="id").s3_secret_key is None


@pytest.mark.parametrize(
    ("key", "hint"),
    [("max_session", "max_sessions"), ("grpc-address", "grpc_address"), ("zzz", "--help")],
)
def test_an_unknown_key_of_the_file_is_refused(yaml_file, key, hint):
    """A misspelt key must not leave a default in effect; the refusal says what was meant."""
    text = refusal(config=yaml_file(f"{key}: 1"))

    assert text.startswith(f"unknown setting '{key}' in ")
    assert hint in text


@pytest.mark.parametrize("text", ["a: b: c", "- max_sessions", "just words", "{"])
def test_a_file_that_holds_no_settings_is_refused(yaml_file, text):
    """What is not a YAML mapping is said to be so, without a traceback."""
    assert refusal(config=yaml_file(text)).startswith("config is ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http_address: [::]:8080", "put the value into quotes, since it begins with ["),
        ("allowed_hosts: *.example.org", "put the value into quotes, since it begins with *"),
        (
            "http_address: 0.0.0.0:80\nhttp_address: 0.0.0.0:81",
            "line 2: http_address stands there a second time",
        ),
        ("log_level: !!int x", "line 1: could not determine a constructor for the tag"),
        ("log_level: " + "[" * 100, "more than 20 deep"),
        ("? [log_level]\n: info", "a list or a mapping stands in the place of a key"),
        ("s3_secret_key_file: /run/s3", "by the variable TRAINBRIDGE_S3_SECRET_KEY_FILE"),
        ("otlp_headers_file: /run/otlp", "by the variable TRAINBRIDGE_OTLP_HEADERS_FILE"),
    ],
)
def test_what_yaml_does_not_take_is_said_with_the_way_out(yaml_file, text, said):
    """Addresses in brackets and `*.name` are settings of ours, and signs of YAML; one of two lines would count unseen."""
    assert said in refusal(config=yaml_file(text))


def test_the_file_is_read_as_it_is_written(yaml_file):
    """Digits stay the digits they are, and `no` is a name, as in a flag or a variable."""
    path = yaml_file(
        "s3_access_key: 0123\ns3_secret_key: 1_000\notlp_service_name: no\ns3_region: 2026-11-27\n"
        "s3_path_style: yes\nmax_streams: 7\nspool_max_bytes: 1073741824\notlp_endpoint: ~\nlog_level:\n"
    )
    found = settings(config=path)
    assert found.s3_access_key.get_secret_value() == "0123"
    assert found.s3_secret_key.get_secret_value() == "1_000"
    assert (found.otlp_service_name, found.s3_region) == ("no", "2026-11-27")
    assert (found.s3_path_style, found.max_streams, found.spool_max_bytes) == (True, 7, 1 << 30)
    assert (found.otlp_endpoint, found.log_level) == (None, "info")


@pytest.mark.parametrize(
    ("grpc", "http", "blamed"),
    [
        ("127.0.0.1:8080", "127.0.0.1:8080", "grpc_address"),
        ("127.0.0.1:50051", "0.0.0.0:50051", "http_address"),
        ("[::]:9000", "localhost:9000", "http_address"),
    ],
)
def test_one_port_is_not_both(grpc, http, blamed):
    """Otherwise the bridge would find that another program listens there: itself."""
    other = {"grpc_address": "http_address", "http_address": "grpc_address"}[blamed]
    text = refusal(grpc_address=grpc, http_address=http)
    assert text.startswith(f"{blamed} is ")
    assert f"whose port {other} takes already: give host:port" in text


def test_ports_of_different_addresses_and_free_ports_may_be_the_same():
    """Each address has ports of its own."""
    assert settings(grpc_address="127.0.0.1:9000", http_address="127.0.0.2:9000")
    assert settings(grpc_address="127.0.0.1:0", http_address="127.0.0.1:0")


@pytest.mark.parametrize("text", ["64Mi", "64MiB", "64 mi", "67108864", "0.0625Gi"])
def test_a_size_may_be_written_as_kubernetes_has_it(text):
    """Operators copy it from the size of a volume or the limit of a pod."""
    found = settings(max_message_bytes=text, spool_max_bytes="10G")
    assert (found.max_message_bytes, found.spool_max_bytes) == (64 << 20, 10**10)


@pytest.mark.parametrize("region", ["EU West", "", "-eu", "https://eu", "x" * 64])
def test_a_region_is_a_name(region):
    """The client library would refuse it only when a bridge starts, and under the name of another setting."""
    text = refusal(s3_region=region, images_store="s3://bucket")
    assert "which is not the name of a region: give the name of a region, such as us-east-1" in text


def test_an_empty_file_changes_nothing(yaml_file):
    """A file with comments only is fine."""
    path = yaml_file("# nothing yet\n")

    assert settings(config=path).model_dump(exclude={"config"}) == settings().model_dump(
        exclude={"config"}
    )


def test_a_file_cannot_name_another_one(yaml_file):
    """The key `config` in a file would have no effect, so it is refused."""
    assert "unknown setting 'config' in " in refusal(config=yaml_file("config: other.yaml"))


def test_an_unknown_variable_is_warned_of():
    """A misspelt variable must not stop a bridge (others may own the name), but is reported."""
    [warning] = load({}, {"TRAINBRIDGE_GRPC_ADRESS": "x"}).warnings

    assert "TRAINBRIDGE_GRPC_ADRESS" in warning
    assert "TRAINBRIDGE_GRPC_ADDRESS?" in warning


@pytest.mark.parametrize(
    "variable",
    [
        "TRAINBRIDGE_PORT",
        "TRAINBRIDGE_SERVICE_HOST",
        "TRAINBRIDGE_PORT_8080_TCP_ADDR",
        "TRAINBRIDGE_HTTP_SERVICE_PORT",
        "TRAINBRIDGE_TOKEN",
    ],
)
def test_variables_of_others_are_passed_over(variable):
    """Kubernetes makes variables for a Service called trainbridge, and the SDK has its own."""
    assert load({}, {variable: "tcp://10.0.0.1:8080"}).warnings == ()


OPEN = {"http_address": "0.0.0.0:8080", "allow_anonymous": True}


def test_an_open_address_is_warned_of():
    """Whoever lets in anybody from other machines learns that this is so."""
    [warning] = load(OPEN, {}).warnings

    assert warning.startswith("http_address is 0.0.0.0:8080")


def test_tokens_in_plain_text_are_warned_of(tmp_path):
    """Whoever listens on the way could use them; with TLS, and on this machine alone, nobody can."""
    file = tmp_path / "file"
    file.touch()
    given = {"tokens_file": str(file), "grpc_address": "0.0.0.0:9000"}
    [warning] = load(given, {}).warnings
    assert "tls_cert_file and tls_key_file" in warning
    assert load(given | {"tls_cert_file": str(file), "tls_key_file": str(file)}, {}).warnings == ()
    assert load({"tokens_file": str(file)}, {}).warnings == ()


def test_the_open_address_of_a_pod_is_not_warned_of():
    """A pod must listen on all its addresses; who reaches them is for a NetworkPolicy to say."""
    assert load(OPEN, {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}).warnings == ()


@pytest.mark.parametrize("name", ["grpc_address", "http_address"])
@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1", "bridge.example.org"])
def test_an_address_that_others_reach_needs_somebody_who_may_come_in(name, host):
    """The refusal names the address and each way out."""
    with pytest.raises(SettingError) as caught:
        load({name: f"{host}:9000"}, {})
    text = str(caught.value)
    assert f"{name} {host}:9000" in text
    for way_out in (
        "tokens_file",
        "trainbridge token new",
        "oidc_issuer",
        "client_ca_file",
        "allow_anonymous",
    ):
        assert way_out in text


def test_each_door_asks_for_itself(tmp_path):
    """Client certificates at one door say nothing of the other; tokens are for both."""
    file = tmp_path / "some.pem"
    file.touch()
    tls = dict.fromkeys(("tls_cert_file", "tls_key_file", "tls_client_ca_file"), str(file))
    grpc = {"grpc_address": "0.0.0.0:9000"}
    load(grpc | tls, {})
    with pytest.raises(SettingError, match=r"http_address 0\.0\.0\.0:8080"):
        load(grpc | tls | {"http_address": "0.0.0.0:8080"}, {})
    load(grpc | {"http_address": "0.0.0.0:8080", "tokens_file": str(file)}, {})
    load({"grpc_address": "127.0.0.1:9000", "http_address": "[::1]:8080"}, {})


def test_a_door_that_asks_is_not_open_to_anybody(tmp_path):
    """Of two settings that contradict each other none wins in silence; an issuer needs rules."""
    file = tmp_path / "file.yaml"
    file.touch()
    with pytest.raises(SettingError, match="though tokens_file asks for a token"):
        load({"tokens_file": str(file), "allow_anonymous": True}, {})
    with pytest.raises(SettingError, match="access_rules_file"):
        load({"oidc_issuer": "https://login.example.org"}, {})


def test_keys_come_over_no_way_that_others_may_change(tmp_path):
    """An issuer on another machine is asked over TLS, wherever its keys are; one on this machine need not be."""
    file = tmp_path / "file.yaml"
    file.touch()
    always = {"access_rules_file": str(file)}
    load(always | {"oidc_issuer": "http://127.0.0.1:9000"}, {})
    load(
        always
        | {"oidc_issuer": "http://issuer", "oidc_jwks_url": "https://issuer.example.org/keys"},
        {},
    )
    for wrong in (
        {"oidc_issuer": "http://login.example.org"},
        {"oidc_issuer": "https://login.example.org", "oidc_jwks_url": "http://keys.example.org"},
    ):
        with pytest.raises(SettingError, match="does not begin with https://"):
            load(always | wrong, {})


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if is_secret(name)])
def test_secrets_are_never_shown(name):
    """Neither the settings in effect, nor their representation, nor a refusal holds a secret."""
    value = f"x={SECRET}"
    loaded = load({name: value, "log_level": "info"}, {})
    shown = "\n".join(map(" ".join, rows(loaded))) + repr(loaded) + str(loaded.settings)

    assert SECRET not in shown
    assert "********" in shown
    assert SECRET not in refusal(**{name: [SECRET]})


def test_a_password_in_a_url_is_refused_without_being_shown():
    """The refusal of such a URL must not be what shows it."""
    assert SECRET not in refusal(otlp_endpoint=f"http://user:{SECRET}@host")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"otlp_endpoint": "http://h:4317"}, "http://h:4317"),
        (
            {"otlp_endpoint": "http://h:4318/", "otlp_protocol": "http/protobuf"},
            "http://h:4318/v1/traces",
        ),
        (
            {"otlp_endpoint": "https://h/otlp", "otlp_protocol": "http/protobuf"},
            "https://h/otlp/v1/traces",
        ),
        (
            {"otlp_endpoint": "https://h/v1/traces", "otlp_protocol": "http/protobuf"},
            "https://h/v1/traces",
        ),
        (
            {"otlp_traces_endpoint": "https://h/own", "otlp_protocol": "http/protobuf"},
            "https://h/own",
        ),
        (
            {"otlp_traces_endpoint": "https://h/own", "otlp_endpoint": "http://other"},
            "https://h/own",
        ),
    ],
)
def test_the_path_for_spans_is_added_where_the_protocol_wants_it(given, expected):
    """A base address gets the path of OTLP over HTTP once; a full one is used as it is."""
    assert settings(**given).spans_endpoint == expected


def test_sizes_may_have_units():
    """Bytes are written the way people say them."""
    assert settings(spool_max_bytes="1.5 GiB").spool_max_bytes == 3 << 29
    assert settings(spool_max_bytes=str(1 << 20)).spool_max_bytes == 1 << 20


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("self", "'self'"),
        ("'self'  https://a.example:8443", "'self' https://a.example:8443"),
        ("None", "'none'"),
        ("https: a.example *.b.example http://*:*", "https: a.example *.b.example http://*:*"),
        (["self", "https://a.example", "'self'"], "'self' https://a.example"),
    ],
)
def test_frame_ancestors_are_the_sources_of_a_policy(given, expected):
    """Keywords may come without the quotes that a shell or YAML takes away, and lists as lists."""
    assert settings(frame_ancestors=given).frame_ancestors == expected


def test_a_state_in_memory_has_no_folder():
    """`memory` is a word, everything else a folder."""
    assert settings(state="memory").state_folder is None
    assert settings(state="~/x").state_folder.is_absolute()


def test_settings_cannot_be_changed_later():
    """What check-config has shown is what holds."""
    with pytest.raises(ValueError, match="frozen"):
        settings().max_sessions = 1


def test_every_setting_is_explained():
    """No setting is without its meaning, group, and what would be right."""
    for name, field in Settings.model_fields.items():
        assert field.description.endswith((".", "`")), name
        assert info_of(name).expected, name


def test_variables_of_training_processes_are_expected():
    """Whoever streams to a bridge, or queries it, has them beside it; none is taken for a misspelled setting."""
    names = ("ADDRESS", "TOKEN", "TOKEN_FILE", "CA_FILE", "SESSION_PREFIX", "JOB_NAME", "PANEL")

    loaded = load({}, {f"TRAINBRIDGE_{name}": "x" for name in names})

    assert not loaded.warnings
