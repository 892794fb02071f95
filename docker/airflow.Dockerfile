# Airflow with the DAGs, the plugin and `undersky` without its science: it orchestrates, and loads no torch.
#
#   docker build -f docker/airflow.Dockerfile -t undersky-airflow:0.1.0 .
#   docker build -f docker/airflow.Dockerfile --target onemachine -t undersky-onemachine:0.1.0 .
#
# `onemachine` holds the worker besides, so that stages run as child processes of the scheduler:
# docker/compose.yaml runs it. The entry is that of the official image: `airflow` is put before what is no
# python or bash, so `undersky` is run as a command of its own, --entrypoint undersky.
#
#   BASE_DIGEST  sha256:..., pins the base; `docker buildx imagetools inspect apache/airflow:TAG` says it
#   BASE         another registry's copy, or a base of your own that trusts your own certificates
#   BACKEND, --build-context wheels=DIR  for onemachine alone, see worker.Dockerfile
#
# The official image comes whole and slim. Slim holds Airflow alone: every provider is then one of our lock.

ARG BASE=docker.io/apache/airflow
ARG BASE_VERSION=slim-3.3.2-python3.11
ARG BASE_DIGEST=

# Empty, unless the build is given a context of this name.
FROM scratch AS wheels

FROM ${BASE}:${BASE_VERSION}${BASE_DIGEST:+@${BASE_DIGEST}} AS tools
USER 50000
# The base's certificates, not those that the tools bring along: a base may know an authority of your own.
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    UV_CACHE_DIR=/tmp/.cache/uv \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy
WORKDIR /tmp/build
RUN --mount=type=cache,target=/tmp/.cache,uid=50000 \
    python3 -m venv /tmp/tools \
    && /tmp/tools/bin/pip install --cache-dir /tmp/.cache/pip uv==0.13.9 hatchling==1.33.0

FROM tools AS package
COPY --chown=50000:0 LICENSE README.md pyproject.toml ./
COPY --chown=50000:0 ml ml
# Without its needs: those that Airflow's side has are of the lock below, the others are the worker's.
RUN /tmp/tools/bin/uv build --wheel --no-build-isolation --python /tmp/tools --out-dir dist . \
    && /tmp/tools/bin/uv pip install --python /home/airflow/.local --prefix /tmp/package --no-deps dist/*.whl

# What the stages need, in an environment of this image's own Python.
FROM tools AS worker
ARG BACKEND=cpu
ARG TORCH="torch==2.13.0 kornia==0.9.0 monai==1.6.1"
USER 0
RUN install --directory --owner=50000 --group=0 /opt/undersky
USER 50000
RUN python3 -m venv --without-pip /opt/undersky
COPY requirements/runtime.txt ./
RUN --mount=type=cache,target=/tmp/.cache,uid=50000 \
    /tmp/tools/bin/uv pip install --python /opt/undersky --no-build --requirement runtime.txt
# hadolint ignore=SC2086
RUN --mount=type=cache,target=/tmp/.cache,uid=50000 --mount=type=bind,from=wheels,target=/wheels \
    if ls /wheels/torch-*.whl; then source="--find-links /wheels"; else source="--torch-backend $BACKEND"; fi \
    && /tmp/tools/bin/uv pip install --python /opt/undersky --no-build $source $TORCH

FROM ${BASE}:${BASE_VERSION}${BASE_DIGEST:+@${BASE_DIGEST}} AS orchestrator
USER 50000
COPY requirements/airflow.txt /tmp/airflow.txt
# The lock is whole: nothing is left to be resolved. Everything is compiled once, for a read-only root keeps no
# bytecode; what cannot be compiled is a template of some package. Airflow writes a configuration where it finds
# none, which such a root forbids: it finds an empty one. pip's cache is a mount, and no part of the image.
# hadolint ignore=DL3042
RUN --mount=type=cache,target=/tmp/.cache,uid=50000 \
    PIP_CACHE_DIR=/tmp/.cache/pip PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
        pip install --no-deps --no-compile --only-binary :all: --requirement /tmp/airflow.txt \
    && (python -m compileall -qq /home/airflow/.local/lib || true) \
    && touch /opt/airflow/airflow.cfg
COPY --from=package --chown=50000:0 /tmp/package /home/airflow/.local
COPY plugins /opt/airflow/plugins
COPY dags /opt/airflow/dags
ARG VERSION=0.1.0
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="undersky-airflow" \
      org.opencontainers.image.description="Airflow with Undersky's flows" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
# The defaults of Airflow's own image, said again: what lies there is ours.
ENV AIRFLOW__CORE__DAGS_FOLDER=/opt/airflow/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/airflow/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/airflow

FROM orchestrator AS onemachine
USER 0
# As in worker.Dockerfile, and for the same reasons.
# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    apt-get update \
    && apt-get install --yes --no-install-recommends libexpat1 libgfortran5 \
    && install --directory --owner=50000 --group=0 /scratch
USER 50000
COPY --from=worker /opt/undersky /opt/undersky
COPY --from=package /tmp/package/lib /opt/undersky/lib
LABEL org.opencontainers.image.title="undersky-onemachine"
ENV UNDERSKY_WORKER="/opt/undersky/bin/python -m undersky" \
    UNDERSKY_SCRATCH=/scratch

# The last stage is what is built when no target is named.
FROM orchestrator AS airflow
