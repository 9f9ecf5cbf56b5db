# The service with the shipped model; neither PyTorch nor DVC. docs/deployment.md describes how to run it.
#
# The tag of the base image moves. `docker buildx imagetools inspect python:3.11-slim` prints its digest; pin it with
# FROM python:3.11-slim@sha256:...
FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app

COPY requirements-serve.lock .
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-serve.lock

COPY digits digits
COPY models/best models/best

USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT ["python", "-m", "digits.server", "--host", "0.0.0.0"]
CMD ["--rate", "50", "--drain", "2"]
