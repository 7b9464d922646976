# The one image of this system: worker, gateway, jobs and simulators are commands of it.
#   docker build --tag token-fulfillment:0.1.0 .

FROM python:3.11.13-slim-bookworm AS made
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/tokens
WORKDIR /opt/token-fulfillment
COPY requirements-runtime.lock .
# Wheels only, each checked by its hash: nothing is compiled, and what was tested is what runs.
RUN /opt/tokens/bin/pip install --require-hashes --no-deps --only-binary :all: --requirement requirements-runtime.lock
COPY . .
RUN /opt/tokens/bin/pip install --no-deps --no-build-isolation --editable . \
    && rm -rf build ./*.egg-info \
    && /opt/tokens/bin/pip uninstall --yes setuptools pip \
    && /opt/tokens/bin/python -m compileall -q /opt/tokens/lib .

FROM python:3.11.13-slim-bookworm
ENV PATH=/opt/tokens/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 1000 --no-create-home --home-dir /var/lib/tokens tokens \
    # Whoever owns the secrets' files runs it, so anybody may write here.
    && install -d -m 1777 /var/lib/tokens /var/lib/tokens/import /var/lib/tokens/anchors
COPY --from=made /opt/tokens /opt/tokens
COPY --from=made /opt/token-fulfillment /opt/token-fulfillment
WORKDIR /opt/token-fulfillment
USER 1000:1000
CMD ["python", "-m", "worker"]
