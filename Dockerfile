# syntax=docker/dockerfile:1
# The server with the classifier of the workspace, for people and for SageMaker: see docs/serving.md.
#
#   make repro && docker build -t sentiment .
#   docker run --rm -p 127.0.0.1:8080:8080 -e SENTIMENT_API_KEY=... sentiment
FROM python:3.11-slim-bookworm AS build
# a package index with torch's CPU build makes the image smaller by gigabytes
ARG PIP_EXTRA_INDEX_URL=""
WORKDIR /src
COPY requirements.txt pyproject.toml README.md LICENSE ./
COPY sentiment ./sentiment
# the versions of the lock, and of its packages only those that the server needs
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --constraint requirements.txt ".[serve]"

FROM python:3.11-slim-bookworm
RUN useradd --uid 1000 --create-home --shell /usr/sbin/nologin sentiment
COPY --from=build /venv /venv
COPY models/classifier /opt/sentiment/classifier
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HF_HUB_OFFLINE=1 \
    SENTIMENT_CLASSIFIER=/opt/sentiment/classifier \
    SENTIMENT_HOST=0.0.0.0 \
    SENTIMENT_PORT=8080
USER 1000
WORKDIR /home/sentiment
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"SENTIMENT_PORT\"]}/health', timeout=2)"]
# process 1 is the server itself, which gets SIGTERM; `serve` is the word that SageMaker appends
ENTRYPOINT ["sentiment"]
CMD ["serve"]
