# The worker: runs `undersky`, with torch and without Airflow, as a stage of the flow or by hand.
#
#   docker build -f docker/worker.Dockerfile -t undersky-worker:0.1.0 .
#   docker run --rm --read-only --tmpfs /tmp -v "$PWD/scenes:/scratch" undersky-worker:0.1.0 correct --help
#
# It writes to /scratch alone, as 10001:10001. Where the folder behind it belongs to somebody else:
# `--user "$(id -u):$(id -g)"`.
#
#   BASE_DIGEST  sha256:..., pins the base; `docker buildx imagetools inspect python:3.11-slim-bookworm` says it
#   BASE         another registry's copy, or a base of your own that trusts your own certificates
#   BACKEND      what torch computes on: cpu, cu128, ... as `uv pip install --torch-backend` takes it
#   --build-context wheels=DIR  takes torch from a folder of wheels instead

ARG BASE=docker.io/library/python
ARG BASE_VERSION=3.11-slim-bookworm
ARG BASE_DIGEST=

# Empty, unless the build is given a context of this name.
FROM scratch AS wheels

FROM ${BASE}:${BASE_VERSION}${BASE_DIGEST:+@${BASE_DIGEST}} AS libraries
ARG BACKEND=cpu
ARG TORCH="torch==2.13.0 kornia==0.9.0 monai==1.6.1"
# The base's certificates, not those that the tools bring along: a base may know an authority of your own.
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PIP_CACHE_DIR=/tmp/.cache/pip \
    UV_CACHE_DIR=/tmp/.cache/uv \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy
WORKDIR /build
RUN --mount=type=cache,target=/tmp/.cache \
    python3 -m venv /opt/tools \
    && /opt/tools/bin/pip install uv==0.13.9 hatchling==1.33.0 \
    && python3 -m venv --without-pip /opt/undersky
COPY requirements/runtime.txt requirements/
# Wheels alone: nothing is compiled, so that no stage needs a compiler.
RUN --mount=type=cache,target=/tmp/.cache \
    /opt/tools/bin/uv pip install --python /opt/undersky --no-build --requirement requirements/runtime.txt
# hadolint ignore=SC2086
RUN --mount=type=cache,target=/tmp/.cache --mount=type=bind,from=wheels,target=/wheels \
    if ls /wheels/torch-*.whl; then source="--find-links /wheels"; else source="--torch-backend $BACKEND"; fi \
    && /opt/tools/bin/uv pip install --python /opt/undersky --no-build $source $TORCH

FROM libraries AS package
COPY LICENSE README.md pyproject.toml ./
COPY ml ml
# Under a prefix of its own, which becomes a layer of its own: a release of Undersky moves megabytes, not torch.
RUN /opt/tools/bin/uv build --wheel --no-build-isolation --python /opt/tools --out-dir dist . \
    && /opt/tools/bin/uv pip install --python /opt/undersky --prefix /opt/package --no-deps dist/*.whl

FROM ${BASE}:${BASE_VERSION}${BASE_DIGEST:+@${BASE_DIGEST}} AS worker
# libexpat1: of rasterio's GDAL. libgfortran5: of the 6S program, where the tabulated physics are made again.
# Debian keeps no old versions to pin: the digest of the base and the date of the build say which they are.
# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    apt-get update \
    && apt-get install --yes --no-install-recommends libexpat1 libgfortran5 \
    && groupadd --gid 10001 undersky \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /scratch --shell /usr/sbin/nologin undersky \
    && install --directory --owner=10001 --group=10001 /scratch
COPY --from=libraries /opt/undersky /opt/undersky
COPY --from=package /opt/package /opt/undersky
ARG VERSION=0.1.0
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="undersky-worker" \
      org.opencontainers.image.description="Undersky's stages: surface reflectance and maps of the ground" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
# NVIDIA's runtime brings the driver's libraries in; which GPUs a container sees is not the image's to say.
ENV PATH=/opt/undersky/bin:$PATH \
    HOME=/scratch \
    TMPDIR=/scratch \
    UNDERSKY_SCRATCH=/scratch \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /scratch
USER 10001:10001
ENTRYPOINT ["undersky"]
CMD ["--help"]
