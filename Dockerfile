# A bridge, and nothing else: docs/container.md says how to build it, run it and check it.
# Only what both BuildKit and Debian's buildah 1.28 understand is used here.

# The tag is for people, the digest decides. A mirror's name with the same digest does as well.
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# What the image is to have besides the SDK, as names of extras; a container that trains the demo adds `system demo`.
ARG EXTRAS="server images"

# The libraries come first, as they change least. The environment has no pip: the one of the base image fills it.
# A private index, if any, comes in the secret `pip`, which no layer keeps. Whatever the index, each archive has a hash that is known
# here before anything of it runs: wheels are only unpacked.
COPY pyproject.toml constraints.txt hashes.txt ./
COPY .ci/check-hashes .ci/check-hashes
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m venv --without-pip /opt/trainbridge \
    && python -c 'import os, tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; extras = project["optional-dependencies"]; print(*project["dependencies"], *(line for name in os.environ["EXTRAS"].split() for line in extras[name] if not line.startswith("trainbridge[")), sep="\n")' > requirements.txt \
    && python -m pip --python /opt/trainbridge/bin/python install --no-compile --only-binary :all: --report libraries.json --constraint constraints.txt --requirement requirements.txt \
    && python -m pip install --no-compile --only-binary :all: --report tools.json --constraint constraints.txt setuptools \
    && python .ci/check-hashes libraries.json tools.json

COPY README.md LICENSE ./
COPY bridge bridge
# Bytecode is compiled once, here, and trusted as it is: nobody can write it, or the sources, later.
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && python -m pip --python /opt/trainbridge/bin/python install --no-compile --no-deps --no-index dist/*.whl \
    && /opt/trainbridge/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/trainbridge/lib


FROM ${PYTHON_IMAGE}

# No program that installs others, none that runs as its owner, and nothing that everybody may write to but /tmp.
# The standard library comes without bytecode, and no bridge could write it: every health check would compile it again.
RUN library="$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && python -m pip uninstall --quiet --yes --root-user-action ignore pip \
    && rm -rf "$library/ensurepip" \
    && python -m compileall -q -f --invalidation-mode unchecked-hash "$library" \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && find / -xdev ! -type l -perm -0002 ! -path /tmp -exec chmod o-w {} + \
    && echo 'trainbridge:x:65532:65532::/var/lib/trainbridge:/usr/sbin/nologin' >> /etc/passwd \
    && echo 'trainbridge:x:65532:' >> /etc/group \
    && install --directory --owner 65532 --group 65532 --mode 0700 /var/lib/trainbridge
COPY --from=build /opt/trainbridge /opt/trainbridge

# Every interface, or no port could be published. So a bridge that is not given who may come in ends at once, and says what to set.
ENV PATH=/opt/trainbridge/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    TRAINBRIDGE_GRPC_ADDRESS=0.0.0.0:50051 \
    TRAINBRIDGE_HTTP_ADDRESS=0.0.0.0:8080 \
    TRAINBRIDGE_STATE=/var/lib/trainbridge

# A number, as Kubernetes can tell only of numbers that they are not root.
USER 65532:65532
WORKDIR /var/lib/trainbridge
EXPOSE 50051 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["trainbridge"]
CMD ["serve"]

ARG PYTHON_IMAGE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="trainbridge" \
      org.opencontainers.image.description="Live telemetry of model training: from gRPC to Prometheus, OpenTelemetry and object storage" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"

# It must at least start, be the version that the label says, and have every library.
RUN test "$(trainbridge --version)" = "trainbridge ${VERSION}" \
    && TRAINBRIDGE_ALLOW_ANONYMOUS=true trainbridge check-config \
    && python -c 'import PIL, bridge.service'
