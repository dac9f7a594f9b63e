# Encodery's server with its bundled models: the locked serving dependencies, no pip, no torch.
# The image is never root, never writes, and needs no network. Check it with `python3 dev.py image`.

# The Python that the tests run on, as docker-library/repo-info had it at commit 2477d55 (3.11.15, August 2026).
# For a newer one put `docker buildx imagetools inspect python:3.11-slim` here: docs/operations.md.
ARG PYTHON_IMAGE=python:3.11-slim@sha256:90744cff8f32887f075c47d747a173ff333e9e98801667af93c357fa9f5e28ff


FROM ${PYTHON_IMAGE} AS build

# A tag alone may be another image tomorrow.
ARG PYTHON_IMAGE
ARG BASE_WITHOUT_DIGEST=no
RUN case "${PYTHON_IMAGE} ${BASE_WITHOUT_DIGEST}" in *@sha256:*|*" yes") ;; \
    *) echo "PYTHON_IMAGE has no digest; add @sha256:..., or --build-arg BASE_WITHOUT_DIGEST=yes" >&2; exit 1 ;; esac

# Dependencies before code: a change of code leaves this layer as it is.
# Who demands signed bundles (ENCODERY_TRUSTED_KEYS) builds with SIGNING=yes: 16 MB more.
ARG SIGNING=no
COPY requirements/serve.lock requirements/signing.lock /build/
RUN python -m venv --without-pip /opt/venv \
    && if [ "${SIGNING}" = yes ]; then set -- --requirement /build/signing.lock; fi \
    && python -m pip --python /opt/venv/bin/python install --no-cache-dir --no-input \
        --disable-pip-version-check --require-hashes --no-deps --requirement /build/serve.lock "$@"

WORKDIR /srv/encodery
COPY LICENSE NOTICE ./
COPY app ./app
COPY bundle ./bundle
COPY encodery ./encodery
COPY tabular ./tabular
COPY models /srv/models
COPY dev.py pyproject.toml ./
# This directory goes on the path of the environment, and the version where importlib.metadata finds it.
# Whatever the umask of the checkout was, any uid may read this, and only root may write it.
RUN python -c "import dev, pathlib; dev.register(pathlib.Path('/opt/venv/bin/python'))" \
    && rm -r dev.py pyproject.toml __pycache__ \
    && python -m compileall -q app bundle encodery tabular \
    && chmod -R u=rwX,go=rX /srv

# Where a volume may keep proofs and prepared weights from start to start: it takes owner and mode from here.
RUN mkdir -p /build/cache/encodery && chmod 700 /build/cache/encodery


FROM ${PYTHON_IMAGE}

# onnxruntime reports to its makers by default, from the moment it is imported; a server of vectors must not.
ENV ORT_DISABLE_TELEMETRY=1 \
    PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ENCODERY_HOST=0.0.0.0 \
    ENCODERY_MODELS_DIR=/srv/models

COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv/models /srv/models
COPY --from=build /srv/encodery /srv/encodery
COPY --from=build --chown=10001:10001 /build/cache/ /var/cache/

WORKDIR /srv/encodery
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8000

# Asks where the settings say that the server listens: another port, a Unix socket, with TLS or without.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-m", "encodery.probe"]

# No flags, which would come before the variables of whoever runs it.
CMD ["python", "-m", "encodery", "serve"]
