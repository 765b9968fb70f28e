# A replica of the gateway; ops.migrate, ops.archiving, ops.replicas, ops.reconciliation, ops.resolution and
# ops.simulator run from the same image.
FROM python:3.13-slim AS packages

WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --root-user-action=ignore --requirement requirements.txt

# Lists the Python packages of the image; what lists them is not in it.
FROM packages AS listing
RUN python -m venv /listing && /listing/bin/pip install --no-cache-dir cyclonedx-bom==7.5.0
COPY pyproject.toml .
RUN /listing/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
    --output-format JSON --output-file /sbom.cdx.json "$(command -v python)"

FROM packages

ENV PYTHONPATH=/app:/app/http PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

# What volumes are mounted on exists here, so that a new named volume takes over its owner.
RUN useradd --system fiel && install -d -o fiel /journal /ledger

COPY --from=listing /sbom.cdx.json .
COPY . .
RUN python -m compileall -q .

USER fiel
EXPOSE 9999
CMD ["gunicorn", "-c", "ops/gunicorn.conf.py", "gateway.main:application()"]

# The commit that the image was built from: docker build --build-arg REVISION=$(git rev-parse HEAD) .
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Fiel" \
    org.opencontainers.image.description="A payment gateway of actors that never loses a payment and never charges one twice" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.revision="$REVISION"
