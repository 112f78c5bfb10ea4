# What OpenTelemetry's operator copies into a pod to instrument Python, with flask_chest_otel in it. In the repository's root:
#
#     docker build --file collector-config/deploy/operator/python.Dockerfile --tag flask-chest-autoinstrumentation:0.1.0 .
ARG UPSTREAM=0.51b0
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY flask_chest_otel flask_chest_otel
COPY collector-config collector-config
# Without what it depends on: OpenTelemetry is in upstream's image already, and Flask must be the application's own, for
# this folder comes before its packages.
RUN pip install --no-cache-dir --no-deps --target /flask-chest .

FROM ghcr.io/open-telemetry/opentelemetry-operator/autoinstrumentation-python:${UPSTREAM}
COPY --from=build /flask-chest /autoinstrumentation
# For Alpine's C library, which newer images have a folder for; there is nothing in it that was compiled.
COPY --from=build /flask-chest /autoinstrumentation-musl
