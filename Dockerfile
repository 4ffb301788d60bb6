# The proxy alone; the backend is a service of its own (docker-compose.yml).
FROM python:3.13-slim-bookworm AS wheel
WORKDIR /build
COPY requirements.build.lock pyproject.toml setup.py README.md LICENSE ./
COPY proxy ./proxy
COPY pipelines ./pipelines
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements.build.lock \
 && /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist .

FROM python:3.13-slim-bookworm AS install
WORKDIR /install
COPY requirements.runtime.lock ./
COPY --from=wheel /build/dist ./dist
RUN python -m venv /opt/querymill \
 && /opt/querymill/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements.runtime.lock \
 && /opt/querymill/bin/pip install --no-cache-dir --no-deps --no-index dist/*.whl \
 && QUERYMILL_CACHE_DIR=/opt/querymill/cache /opt/querymill/bin/querymill prepare

FROM python:3.13-slim-bookworm
RUN useradd --system --home-dir /var/lib/querymill --create-home querymill
COPY --from=install --chown=querymill:querymill /opt/querymill /opt/querymill
USER querymill
ENV QUERYMILL_CACHE_DIR=/opt/querymill/cache \
    QUERYMILL_LISTEN=0.0.0.0:9280
EXPOSE 9280
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=6 \
  CMD ["/opt/querymill/bin/python", "-m", "proxy.cli.health"]
ENTRYPOINT ["/opt/querymill/bin/querymill"]
CMD ["serve"]
