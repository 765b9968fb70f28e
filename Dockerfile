# A replica of the gateway; ops.migrate, ops.archiving, ops.replicas, ops.reconciliation, ops.resolution and
# ops.simulator run from the same image.
FROM python:3.13-slim

ENV PYTHONPATH=/app:/app/http PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app

COPY requirements.txt .
RUN pip install --no-cache-dir --root-user-action=ignore --requirement requirements.txt

# What volumes are mounted on exists here, so that a new named volume takes over its owner.
RUN useradd --system fiel && install -d -o fiel /journal /ledger

COPY . .
RUN python -m compileall -q .

USER fiel
EXPOSE 9999
CMD ["gunicorn", "-c", "ops/gunicorn.conf.py", "gateway.main:application()"]
