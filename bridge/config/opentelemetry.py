"""The variables of OpenTelemetry that a bridge obeys, and how their values become those of settings."""

from collections.abc import Iterator, Mapping

PREFIX = "OTEL_"
EXPORTER = "OTEL_EXPORTER_OTLP_"

NONE = "none"

Environment = Mapping[str, str]


def switched_off(environment: Environment) -> str:
    """Return the variable that asks for no spans, with its value, or ""."""
    if _is_true(environment.get("OTEL_SDK_DISABLED", "")):
        return "OTEL_SDK_DISABLED=true"
    if environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() == NONE:
        return "OTEL_TRACES_EXPORTER=none"
    return ""


def warnings(environment: Environment) -> Iterator[str]:
    """Yield what is ignored of the variables that are no setting's."""
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower()
    if disabled not in ("", "true", "false"):
        yield f"OTEL_SDK_DISABLED is {disabled!r}, which counts as false: give true or false"
    exporters = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporters not in ("", NONE) and "otlp" not in exporters.split(","):
        yield f"OTEL_TRACES_EXPORTER is {exporters!r}: ignored, spans are sent by OTLP only: give otlp or none"


def setting_value(variable: str, text: str, environment: Environment) -> str:
    """Return the value of a setting for that of a variable; one that cannot be read is returned as it is."""
    if variable in MILLISECONDS:
        return _seconds(text)
    if variable in ENDPOINTS:
        return _with_scheme(text, environment)
    return text.lower() if variable in CASE_INSENSITIVE else text


MILLISECONDS = (f"{EXPORTER}TRACES_TIMEOUT", f"{EXPORTER}TIMEOUT")
"""A duration is a whole number of milliseconds, says the specification ("Environment Variable Specification",
"Duration"), though OpenTelemetry's own SDK for Python takes seconds (opentelemetry-python#4044)."""

EXPECTED: Mapping[str, str] = dict.fromkeys(
    MILLISECONDS, "a whole number of milliseconds from 1 to 600000, such as 10000"
)
"""What may be given where it differs from what the setting takes."""

ENDPOINTS = (f"{EXPORTER}TRACES_ENDPOINT", f"{EXPORTER}ENDPOINT")

CASE_INSENSITIVE = tuple(
    f"{EXPORTER}{signal}{name}"
    for signal in ("TRACES_", "")
    for name in ("PROTOCOL", "COMPRESSION")
)
"""Variables in whose values case does not matter."""

INSECURE = (f"{EXPORTER}TRACES_INSECURE", f"{EXPORTER}INSECURE")

READ: Mapping[str, str] = {
    "OTEL_SDK_DISABLED": "`true`: no spans are made, whatever else is set",
    "OTEL_TRACES_EXPORTER": "`none`: no spans are made, whatever else is set; `otlp` is what there is otherwise",
    "OTEL_SERVICE_NAME": "`otlp_service_name`",
    "OTEL_RESOURCE_ATTRIBUTES": "`otlp_resource_attributes`; its service.name counts where no other is set",
    f"{EXPORTER}[TRACES_]ENDPOINT": "`otlp_endpoint`, and `otlp_traces_endpoint` for the one with TRACES_",
    f"{EXPORTER}[TRACES_]INSECURE": "for an endpoint without a scheme: `true` means http://, `false` https://",
    f"{EXPORTER}[TRACES_]PROTOCOL": "`otlp_protocol`",
    f"{EXPORTER}[TRACES_]HEADERS": "`otlp_headers`",
    f"{EXPORTER}[TRACES_]TIMEOUT": "`otlp_timeout_seconds`, here in milliseconds",
    f"{EXPORTER}[TRACES_]COMPRESSION": "`otlp_compression`",
    f"{EXPORTER}[TRACES_]CERTIFICATE": "`otlp_ca_file`",
    f"{EXPORTER}[TRACES_]CLIENT_CERTIFICATE": "`otlp_client_cert_file`",
    f"{EXPORTER}[TRACES_]CLIENT_KEY": "`otlp_client_key_file`",
}
"""All that are read, with what each sets; the variable with TRACES_ counts before the one without."""


def _is_true(text: str) -> bool:
    return text.strip().lower() == "true"


def _seconds(text: str) -> str:
    """Return milliseconds as seconds; anything but a whole number becomes what no setting takes."""
    return f"{int(text) / 1000:g}" if text.strip().isdecimal() else "not milliseconds"


def _with_scheme(text: str, environment: Environment) -> str:
    """Return an endpoint with the scheme that ..._INSECURE means, which only counts where it has none."""
    insecure = next(filter(None, map(environment.get, INSECURE)), "")
    if "://" in text or not insecure:
        return text
    return f"{'http' if _is_true(insecure) else 'https'}://{text}"
