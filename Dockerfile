# One image for server, receiver, drain and worker; compose.yaml starts them. Dependencies come from the hashed lock.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false O2C_HOME=/data PREFECT_HOME=/data/prefect \
    MALLOC_ARENA_MAX=2

WORKDIR /app
COPY requirements.lock .
RUN pip install --require-hashes --no-deps --only-binary :all: -r requirements.lock

# Runs of deployments start in /app, where prefect.yaml names their flows: an editable install keeps both in one place.
COPY pyproject.toml README.md LICENSE prefect.yaml ./
COPY order_to_cash order_to_cash
COPY flows flows
COPY tasks tasks
COPY blocks blocks
COPY expectations expectations
COPY emulators emulators
COPY salesforce salesforce
RUN pip install --no-deps --no-index --no-build-isolation --editable . \
    && useradd --create-home o2c && install --directory --owner o2c /data
USER o2c
VOLUME /data
CMD ["o2c", "--help"]
