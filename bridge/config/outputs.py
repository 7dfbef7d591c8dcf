"""Settings of what the bridge keeps and sends on: state, images and spans."""

from typing import Literal

from pydantic import BaseModel, ByteSize, SecretStr

from bridge.config.fields import (
    Endpoint,
    Headers,
    ReadableFile,
    Region,
    ResourceAttributes,
    Size,
    State,
    Store,
    Text,
    Url,
    setting,
)


class Keeping(BaseModel):
    """Where the bridge keeps its state, and how much of it it keeps."""

    state: State = setting(
        "./trainbridge-state",
        "The folder for the database, the spool and, unless `images_store` is set, the images; or `memory`: "
        "a temporary folder that is deleted when the bridge stops; or the URL of a PostgreSQL, which several bridges "
        "share (docs/scaling.md). Its password is never shown.",
        expected="a folder that can be written to, memory, or postgresql://user@host:5432/database",
        repr=False,
    )
    spool_max_bytes: Size = setting(
        ByteSize(10 << 30),
        "The disk space for images waiting for the object store; images beyond it are dropped and counted.",
        expected="a size of at least 1MiB, such as 10GiB",
        ge=1 << 20,
    )
    shutdown_grace_seconds: float = setting(
        20.0,
        "How long the bridge goes on delivering images and spans when it is stopped.",
        expected="a number of seconds from 0 to 3600, such as 20",
        ge=0,
        le=3600,
    )


class Images(BaseModel):
    """Which images are kept, and where."""

    images_store: Store | None = setting(
        None,
        "The object store or folder for images.",
        expected="file:///folder or s3://bucket/prefix",
        default_text="file://<state>/images",
    )
    images_keep: Literal["sample", "all", "none"] = setting(
        "sample",
        "Which images are kept: a sample (the batch with the highest loss in each window of time, and the "
        "first batch of each epoch), all, or none.",
        expected="sample, all or none",
    )
    images_batches_per_second: float = setting(
        2.0,
        "When sampling, how many batches with images are kept per session and second.",
        expected="a number above 0 and up to 1000, such as 2",
        gt=0,
        le=1000,
    )
    images_index_limit: int = setting(
        500_000,
        "How many images of sessions that other bridges have received are indexed here, so that their links answer; "
        "each takes about 250 bytes of disk, and the sessions looked at longest ago give way.",
        expected="a whole number from 1000 to 100000000, such as 500000",
        ge=1_000,
        le=100_000_000,
    )
    shard_seconds: float | None = setting(
        None,
        "How long images are collected in one file, a shard, before it goes to the store; a node that is lost with its "
        "disk takes along what has not gone there.",
        expected="a number of seconds from 0.1 to 3600, such as 30",
        default_text="30, or 5 with PostgreSQL",
        ge=0.1,
        le=3600,
    )


class Decoding(BaseModel):
    """What decoding an image for a contact sheet may cost; one that would cost more is grey."""

    images_decode_seconds: float = setting(
        2.0,
        "The processor time that an image may take.",
        expected="a number of seconds from 0.1 to 60, such as 2",
        ge=0.1,
        le=60,
    )
    images_decode_pixels: int = setting(
        4096**2,
        "The most pixels that an image may have.",
        expected="a whole number from 1 to 1000000000, such as 16777216",
        ge=1,
        le=10**9,
    )
    images_decode_memory_bytes: Size = setting(
        ByteSize(256 << 20),
        "The memory of each of the two processes that decode.",
        expected="a size from 128MiB to 16GiB, such as 256MiB",
        ge=128 << 20,
        le=16 << 30,
    )


class ObjectStore(BaseModel):
    """How an S3-compatible object store is reached."""

    s3_endpoint: Endpoint = setting(
        "https://s3.amazonaws.com",
        "The URL of the object store, when `images_store` is s3://...",
        expected="http:// or https:// with host and port, without a path, such as https://s3.example.org:9000",
        fallbacks=("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    )
    s3_region: Region = setting(
        "us-east-1",
        "The region to sign requests for.",
        expected="the name of a region, such as us-east-1",
        fallbacks=("AWS_REGION", "AWS_DEFAULT_REGION"),
    )
    s3_access_key: SecretStr | None = setting(
        None,
        "The access key that goes with `s3_secret_key`; none: taken from ~/.aws/credentials or the role of the machine.",
        expected="the access key of an account that may read and write the bucket",
        fallbacks=("AWS_ACCESS_KEY_ID",),
    )
    s3_secret_key: SecretStr | None = setting(
        None,
        "The secret key that goes with `s3_access_key`.",
        expected="the secret key that goes with the access key",
        fallbacks=("AWS_SECRET_ACCESS_KEY",),
    )
    s3_path_style: bool | None = setting(
        None,
        "Whether the bucket is in the path of a request rather than in its host name.",
        expected="true or false",
        default_text="true, but false for amazonaws.com",
    )
    s3_ca_file: ReadableFile | None = setting(
        None,
        "Certificates (PEM) to trust when a private authority signed the store's certificate.",
        expected="the name of a PEM file",
        fallbacks=("AWS_CA_BUNDLE",),
    )


class Spans(BaseModel):
    """Where spans go."""

    otlp_endpoint: Url | None = setting(
        None,
        "The OTLP endpoint for spans; none: no spans are made. With http/protobuf, /v1/traces is appended.",
        expected="http:// or https:// with host and port, such as http://localhost:4317 (without a scheme it "
        "would not be clear whether TLS is meant)",
        fallbacks=("OTEL_EXPORTER_OTLP_ENDPOINT",),
    )
    otlp_traces_endpoint: Url | None = setting(
        None,
        "The full URL for spans, used as it is, where `otlp_endpoint` with /v1/traces is not the right one.",
        expected="a URL such as https://otlp.example.org/custom/traces",
        fallbacks=("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",),
    )
    otlp_protocol: Literal["grpc", "http/protobuf"] = setting(
        "grpc",
        "The OTLP transport.",
        expected="grpc or http/protobuf",
        fallbacks=("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"),
    )
    otlp_headers: Headers | None = setting(
        None,
        "Headers sent with spans, such as an API key; values are percent-encoded.",
        expected="name=value,name=value",
        fallbacks=("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"),
    )
    otlp_service_name: Text = setting(
        "trainbridge",
        "The service.name of all spans.",
        expected="a name, such as trainbridge",
        fallbacks=("OTEL_SERVICE_NAME",),
    )
    otlp_resource_attributes: ResourceAttributes | None = setting(
        None,
        "Attributes of the resource of all spans; they replace those that trainbridge sets itself. "
        "A service.name among them counts where `otlp_service_name` is not set.",
        expected="name=value,name=value, with percent-encoded values, such as deployment.environment.name=lab",
        fallbacks=("OTEL_RESOURCE_ATTRIBUTES",),
    )
    otlp_timeout_seconds: float = setting(
        10.0,
        "The longest time for one export, from connecting to the last byte of the answer. The variables of "
        "OpenTelemetry are in milliseconds, as its specification has it.",
        expected="a number of seconds above 0 and up to 600, such as 10",
        fallbacks=("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"),
        gt=0,
        le=600,
    )
    otlp_compression: Literal["none", "gzip"] = setting(
        "none",
        "How exports are compressed.",
        expected="none or gzip",
        fallbacks=("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"),
    )
    otlp_ca_file: ReadableFile | None = setting(
        None,
        "Certificates (PEM) to trust when a private authority signed the endpoint's certificate.",
        expected="the name of a PEM file",
        fallbacks=("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
    )
    otlp_client_cert_file: ReadableFile | None = setting(
        None,
        "The certificate that the bridge shows to the endpoint, followed by its chain.",
        expected="a PEM file, with `otlp_client_key_file` beside it",
        fallbacks=(
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        ),
    )
    otlp_client_key_file: ReadableFile | None = setting(
        None,
        "The private key of that certificate.",
        expected="a PEM file, with `otlp_client_cert_file` beside it",
        fallbacks=("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"),
    )
    spans_every_steps: int = setting(
        0,
        "A running epoch has a span for every so many batches, so that a trace shows it while it runs; 0: none.",
        expected="a whole number, such as 1000",
        ge=0,
    )
    spans_every_seconds: float = setting(
        0.0,
        "The same by time: a span for every so many seconds of a running epoch. With both, whichever comes "
        "first; 0: none.",
        expected="a number of seconds, such as 60",
        ge=0,
    )
    spans_dl_attributes: bool = setting(
        False,
        "Spans have the attributes that NVIDIA NeMo Lens names, such as dl.iteration and dl.loss, beside ours.",
        expected="true or false",
    )
