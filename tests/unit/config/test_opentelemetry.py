"""The OTEL_* variables hold as OpenTelemetry's specification says."""

import pytest

from bridge.config import load
from bridge.config.attributes import split_attributes
from bridge.errors import SettingError

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:9999"}
OTLP = "OTEL_EXPORTER_OTLP_"


def settings(environment, **flags):
    """Return the settings that an environment makes."""
    return load(flags, environment).settings


def warnings(environment, **flags):
    """Return what is said about an environment."""
    return load(flags, environment).warnings


@pytest.mark.parametrize(
    "switch",
    [
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_SDK_DISABLED": "True"},
        {"OTEL_TRACES_EXPORTER": "none"},
    ],
)
@pytest.mark.parametrize("endpoint", ["otlp_endpoint", "otlp_traces_endpoint"])
def test_a_switch_holds_whatever_else_is_set(switch, endpoint):
    """No spans are sent, and a setting of ours that would send them is named."""
    loaded = load({endpoint: "http://own:9999"}, {**ENDPOINT, **switch})
    [name] = switch

    assert loaded.settings.spans_endpoint == ""
    assert str(loaded.origins[endpoint]) == f"variable {name}"
    assert len(loaded.warnings) == 1
    assert f"though {endpoint} is set (from flag --" in loaded.warnings[0]


def test_a_switch_holds_for_an_endpoint_in_the_file(tmp_path):
    """It is not a value of a setting: the file does not come before it; what it switches off is named."""
    path = tmp_path / "trainbridge.yaml"
    path.write_text("otlp_endpoint: http://own:4317\n")
    loaded = load({"config": str(path)}, {"OTEL_SDK_DISABLED": "true"})

    assert loaded.settings.spans_endpoint == ""
    assert f"though otlp_endpoint is set (from config {path})" in loaded.warnings[0]


def test_variables_that_agree_are_no_reason_to_warn():
    """An endpoint for all programs and a switch for this one are both meant."""
    assert warnings({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_SDK_DISABLED", "false"),
        ("OTEL_SDK_DISABLED", "1"),
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_TRACES_EXPORTER", "console,otlp"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
    ],
)
def test_anything_else_switches_nothing_off(name, value):
    """Only true disables (any other value counts as false), and only none means no exporter."""
    environment = {**ENDPOINT, name: value}

    assert settings(environment).spans_endpoint == "http://collector:9999"
    is_odd = value in ("1", "zipkin")
    assert [name in text for text in warnings(environment)] == [True] * is_odd


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "trainbridge"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=team%20a,x=y"}, "team a"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a", "OTEL_SERVICE_NAME": "b"}, "b"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a", "TRAINBRIDGE_OTLP_SERVICE_NAME": "c"}, "c"),
        ({"TRAINBRIDGE_OTLP_RESOURCE_ATTRIBUTES": "service.name=d"}, "d"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "x=y"}, "trainbridge"),
    ],
)
def test_the_service_has_the_name_that_was_given_most_explicitly(environment, name):
    """A name of its own wins over one among attributes, and that over the default."""
    assert settings(environment).otlp_service_name == name


@pytest.mark.parametrize(
    ("environment", "file", "name"),
    [
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a"}, "otlp_service_name: own", "own"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a"}, "max_streams: 1", "a"),
        ({"OTEL_SERVICE_NAME": "a"}, "otlp_resource_attributes: service.name=own", "own"),
        ({}, "otlp_service_name: own\notlp_resource_attributes: service.name=b", "own"),
        (
            {"TRAINBRIDGE_OTLP_RESOURCE_ATTRIBUTES": "service.name=a"},
            "otlp_service_name: own",
            "a",
        ),
    ],
)
def test_the_name_of_the_service_has_the_order_of_all_settings(tmp_path, environment, file, name):
    """The source that counts first names it, by attributes too; a name of its own counts before one among those."""
    path = tmp_path / "trainbridge.yaml"
    path.write_text(file)

    assert settings(environment, config=str(path)).otlp_service_name == name


@pytest.mark.parametrize("text", ["service.name=", "service.name=%20"])
def test_an_empty_name_of_the_service_counts_as_none(text):
    """It stops no bridge."""
    assert settings({"OTEL_RESOURCE_ATTRIBUTES": text}).otlp_service_name == "trainbridge"


def test_an_endpoint_for_this_bridge_is_not_replaced_by_one_for_all(tmp_path):
    """The full URL counts before the general address only where its source does not come later."""
    every = {f"{OTLP}TRACES_ENDPOINT": "http://every/one"}
    path = tmp_path / "trainbridge.yaml"
    path.write_text("otlp_endpoint: http://own:4317\n")

    assert settings(every).spans_endpoint == "http://every/one"
    assert settings({**every, **ENDPOINT}).spans_endpoint == "http://every/one"
    assert settings(every, config=str(path)).spans_endpoint == "http://own:4317"
    path.write_text("otlp_traces_endpoint: http://own/traces\n")
    assert settings({**every, **ENDPOINT}, config=str(path)).spans_endpoint == "http://own/traces"


def test_certificate_and_key_are_a_pair(tmp_path):
    """The key of another tool is not used with the certificate of this bridge."""
    own, others = tmp_path / "own.pem", tmp_path / "others.pem"
    own.write_text("")
    others.write_text("")
    pair = {f"{OTLP}CLIENT_CERTIFICATE": str(others), f"{OTLP}CLIENT_KEY": str(others)}
    flags = {"otlp_client_cert_file": str(own), "otlp_endpoint": "http://h:4317"}

    assert settings({**ENDPOINT, **pair}).otlp_client_key_file == others
    with pytest.raises(SettingError, match=r"otlp_client_cert_file is .* which is not enough"):
        load(flags, pair)
    assert settings(pair, **flags, otlp_client_key_file=str(own)).otlp_client_key_file == own


def test_attributes_are_decoded():
    """Names and values are percent-encoded; a list may end with a comma."""
    assert split_attributes("a=b%2Cc, d=%C3%A4 ,") == {"a": "b,c", "d": "ä"}


@pytest.mark.parametrize("text", ["a", "=b", "a=b,c"])
def test_attributes_with_an_error_are_discarded_whole(text):
    """So the specification asks, with a warning."""
    environment = {"OTEL_RESOURCE_ATTRIBUTES": text}

    assert settings(environment).resource_attributes == {}
    assert "otlp_resource_attributes is" in warnings(environment)[0]


@pytest.mark.parametrize(
    ("variables", "setting", "value"),
    [
        ({f"{OTLP}TIMEOUT": "2500"}, "otlp_timeout_seconds", 2.5),
        ({f"{OTLP}TIMEOUT": "1", f"{OTLP}TRACES_TIMEOUT": "10000"}, "otlp_timeout_seconds", 10),
        ({f"{OTLP}COMPRESSION": "GZIP"}, "otlp_compression", "gzip"),
        (
            {f"{OTLP}COMPRESSION": "gzip", f"{OTLP}TRACES_COMPRESSION": "none"},
            "otlp_compression",
            "none",
        ),
        (
            {f"{OTLP}PROTOCOL": "grpc", f"{OTLP}TRACES_PROTOCOL": "http/protobuf"},
            "otlp_protocol",
            "http/protobuf",
        ),
        (
            {f"{OTLP}ENDPOINT": "c:4000", f"{OTLP}INSECURE": "true"},
            "otlp_endpoint",
            "http://c:4000",
        ),
        (
            {f"{OTLP}ENDPOINT": "c:4000", f"{OTLP}INSECURE": "false"},
            "otlp_endpoint",
            "https://c:4000",
        ),
        (
            {f"{OTLP}ENDPOINT": "http://c:4000", f"{OTLP}INSECURE": "false"},
            "otlp_endpoint",
            "http://c:4000",
        ),
        ({f"{OTLP}TRACES_ENDPOINT": "https://c/own"}, "otlp_traces_endpoint", "https://c/own"),
    ],
)
def test_a_variable_is_its_setting(variables, setting, value):
    """Durations are in milliseconds, names in any case, and what is for traces comes first."""
    assert getattr(settings(variables), setting) == value


def test_files_are_settings_too(tmp_path):
    """Authority, certificate and key, as the variables name them."""
    path = tmp_path / "x.pem"
    path.write_text("")
    variables = {
        f"{OTLP}{name}": str(path) for name in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
    }
    loaded = settings({**ENDPOINT, **variables})

    assert loaded.otlp_ca_file == loaded.otlp_client_cert_file == path
    assert loaded.otlp_client_key_file == path


UNUSABLE = {
    f"{OTLP}PROTOCOL": "http/json",
    f"{OTLP}TIMEOUT": "soon",
    f"{OTLP}TRACES_TIMEOUT": "-1",
    f"{OTLP}COMPRESSION": "zip",
    f"{OTLP}HEADERS": "no equals sign",
    f"{OTLP}CERTIFICATE": "/nowhere.pem",
    f"{OTLP}CLIENT_KEY": "/nowhere.pem",
    "OTEL_RESOURCE_ATTRIBUTES": "x",
}


@pytest.mark.parametrize("endpoint", [{}, ENDPOINT])
def test_an_unusable_value_is_ignored_with_a_warning(endpoint):
    """The next value counts, and the start is not stopped; each warning says what would be right."""
    loaded = load({}, {**UNUSABLE, **endpoint})

    assert loaded.settings.otlp_protocol == "grpc"
    assert loaded.settings.otlp_timeout_seconds == 10
    assert len(loaded.warnings) == len(UNUSABLE)
    for variable in UNUSABLE:
        [text] = [text for text in loaded.warnings if f"(from variable {variable})" in text]
        assert ": give " in text
        assert text.endswith("; it is ignored")


@pytest.mark.parametrize("text", ["soon", "1.5", "-1", "0", "700000"])
def test_a_timeout_is_refused_as_it_was_written(text):
    """The message has the value and the unit of the variable, which is not that of the setting."""
    [warning] = warnings({f"{OTLP}TIMEOUT": text})

    assert f"is {text!r} (from variable OTEL_EXPORTER_OTLP_TIMEOUT)" in warning
    assert "give a whole number of milliseconds" in warning


def test_an_unusable_value_for_traces_leaves_the_general_one():
    """What is ignored does not take others along."""
    assert settings({**UNUSABLE, f"{OTLP}TIMEOUT": "2000"}).otlp_timeout_seconds == 2


def test_half_a_pair_of_certificate_and_key_is_ignored(tmp_path):
    """Only where spans are sent it matters, and there it costs itself."""
    path = tmp_path / "x.pem"
    path.write_text("")
    half = {f"{OTLP}CLIENT_CERTIFICATE": str(path)}

    assert warnings(half) == ()
    assert "otlp_client_cert_file is" in warnings({**half, **ENDPOINT})[0]
    assert settings({**half, **ENDPOINT}).otlp_client_cert_file is None


def test_variables_of_aws_matter_only_where_there_is_a_bucket():
    """They are there for other programs; a bridge with a folder starts."""
    environment = {"AWS_CA_BUNDLE": "/nowhere.pem", "AWS_ENDPOINT_URL": "store"}

    assert len(warnings(environment)) == 2
    with pytest.raises(Exception, match=r"s3_ca_file is '/nowhere\.pem'"):
        load({"images_store": "s3://bucket"}, environment)


@pytest.mark.parametrize(("port", "protocol"), [(4318, "grpc"), (4317, "http/protobuf")])
def test_the_port_of_the_other_protocol_is_noticed(port, protocol):
    """Before anything is sent, the flag to set is named."""
    [text] = warnings({}, otlp_endpoint=f"http://h:{port}", otlp_protocol=protocol)

    assert f"port {port} is usually" in text
    assert "--otlp-protocol" in text


def test_seconds_given_as_milliseconds_are_noticed():
    """OpenTelemetry's SDK for Python reads seconds there: such a value is taken as it is written, and named."""
    loaded = load({}, {**ENDPOINT, f"{OTLP}TIMEOUT": "10"})

    assert loaded.settings.otlp_timeout_seconds == 0.01
    assert "is in milliseconds" in loaded.warnings[0]
