# The proxy alone; the backend is a service of its own (docker-compose.yml).
FROM python:3.13-slim-bookworm AS build
WORKDIR /build
COPY requirements.runtime.lock pyproject.toml README.md LICENSE ./
COPY proxy ./proxy
COPY pipelines ./pipelines
RUN python -m venv /opt/querymill \
 && /opt/querymill/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements.runtime.lock \
 && /opt/querymill/bin/pip install --no-cache-dir setuptools==84.2.1 \
 && /opt/querymill/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && QUERYMILL_CACHE_DIR=/opt/querymill/cache /opt/querymill/bin/querymill prepare

FROM python:3.13-slim-bookworm
RUN useradd --system --home-dir /var/lib/querymill --create-home querymill
COPY --from=build --chown=querymill:querymill /opt/querymill /opt/querymill
USER querymill
ENV QUERYMILL_CACHE_DIR=/opt/querymill/cache \
    QUERYMILL_LISTEN=0.0.0.0:9280
EXPOSE 9280
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=6 \
  CMD ["/opt/querymill/bin/python", "-m", "proxy.health"]
ENTRYPOINT ["/opt/querymill/bin/querymill"]
CMD ["serve"]
