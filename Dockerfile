# syntax=docker/dockerfile:1
# Stage 1: install the locked dependencies and the service into a virtual environment.
FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /opt/elr
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN /opt/elr/bin/pip install --no-cache-dir --require-hashes --no-deps --only-binary :all: -r requirements.lock
COPY service service
RUN /opt/elr/bin/pip install --no-cache-dir --no-deps --no-build-isolation . && /opt/elr/bin/pip check

# Stage 2: the runtime, without build tools, as a numeric non-root user.
FROM python:3.13-slim
ENV PATH=/opt/elr/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/elr /opt/elr
COPY config /etc/elr
RUN install -d -o 10001 -g 10001 -m 0750 /var/lib/elr
VOLUME /var/lib/elr
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"]
ENTRYPOINT ["elr"]
CMD ["serve", "--config", "/etc/elr/container.toml"]
