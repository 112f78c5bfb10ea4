# The example shop from this repository: `docker compose build` in this folder.
FROM python:3.13-slim
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY flask_chest_otel flask_chest_otel
COPY collector-config collector-config
RUN pip install --no-cache-dir . gunicorn
COPY examples examples
# Not as root. A new volume takes over the folder's owner: what no collector has taken yet waits there.
RUN useradd --uid 10001 chest && install --directory --owner chest /var/lib/flask-chest/outbox
USER 10001
CMD ["gunicorn", "--workers", "2", "--bind", "0.0.0.0:8000", "examples.shop.app:create_app()"]
