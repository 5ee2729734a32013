# The images of Driftloop's parts, one target each:
#   docker build --target monitor --tag driftloop/monitor:0.1.0 .
# Only the trainer's image holds torch. TORCH_BACKEND chooses its build: cpu, cu128, ...
FROM python:3.12-slim AS python
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# Installs the pinned versions into a virtual environment, which the images then copy.
FROM python AS build
ENV UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1
RUN python -m pip install --no-cache-dir --disable-pip-version-check uv==0.13.9 \
    && python -m venv --without-pip /opt/driftloop
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src

# With safetensors: it compares new versions with their parents (training.watch).
FROM build AS build-monitor
RUN uv pip install --no-cache --python /opt/driftloop/bin/python --constraint constraints.txt \
    ".[scorer,otel]"

FROM build AS build-scorer
RUN uv pip install --no-cache --python /opt/driftloop/bin/python --constraint constraints.txt \
    ".[scorer,otel]"

FROM build AS build-trainer
ARG TORCH_BACKEND=cpu
RUN uv pip install --no-cache --python /opt/driftloop/bin/python --constraint constraints.txt \
    --torch-backend "${TORCH_BACKEND}" ".[trainer,otel]"

FROM build AS build-demo
RUN uv pip install --no-cache --python /opt/driftloop/bin/python --constraint constraints.txt \
    ".[scorer,demo]"

# Without torch it tries policies on recorded predictions alone.
FROM build AS build-dashboard
RUN uv pip install --no-cache --python /opt/driftloop/bin/python --constraint constraints.txt \
    ".[dashboard,scorer,backtest,signing]"

# What all images share: no root, flows beside the package, folders that volumes take over.
FROM python AS runtime
RUN groupadd --gid 10001 driftloop \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/driftloop driftloop \
    && install --directory --owner 10001 --group 10001 --mode 0750 \
        /run/driftloop /var/lib/driftloop /var/lib/driftloop/recovery /var/lib/driftloop/recovery-scorer \
        /var/lib/driftloop/models /var/lib/driftloop/demo
COPY flows /app/flows
ENV PATH=/opt/driftloop/bin:$PATH \
    PYTHONPATH=/app \
    DRIFTLOOP_HOME=/run/driftloop
WORKDIR /var/lib/driftloop
USER 10001:10001
ENTRYPOINT ["driftloop"]

FROM runtime AS scorer
COPY --from=build-scorer /opt/driftloop /opt/driftloop
CMD ["scorer"]

FROM runtime AS trainer
COPY --from=build-trainer /opt/driftloop /opt/driftloop
CMD ["trainer"]

FROM runtime AS demo
COPY --from=build-demo /opt/driftloop /opt/driftloop
CMD ["demo", "--help"]

FROM runtime AS dashboard
COPY --from=build-dashboard /opt/driftloop /opt/driftloop
CMD ["dashboard"]

# The last one, so that a plain `docker build .` makes it.
FROM runtime AS monitor
COPY --from=build-monitor /opt/driftloop /opt/driftloop
CMD ["monitor"]
