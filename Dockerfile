# One image for every process: the command chooses (soko api, worker, scheduler, migrate, ...).

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
RUN python -m venv /opt/soko
COPY requirements/runtime.txt requirements/build.txt requirements/
# two steps, so that a change of our own code does not install the packages again; --no-deps: the lock is the whole set
RUN /opt/soko/bin/pip install --require-hashes --no-deps -r requirements/runtime.txt -r requirements/build.txt
COPY pyproject.toml README.md LICENSE alembic.ini ./
COPY requirements/runtime.in requirements/
COPY alembic alembic
COPY src src
# editable, so that code and migrations lie as they do in a checkout
RUN /opt/soko/bin/pip install --no-deps --no-build-isolation --editable . \
    && /opt/soko/bin/python -m compileall -q /opt/soko/lib src

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin soko \
    && install --directory --owner=soko --mode=0700 /data
COPY --from=build /opt/soko /opt/soko
COPY --from=build /app /app
ENV PATH=/opt/soko/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SOKO_HOST=0.0.0.0 \
    SOKO_PORT=8000 \
    SOKO_DATA_DIR=/data \
    SOKO_EMBEDDED_WORKER=false \
    SOKO_LOG_FORMAT=json
WORKDIR /app
USER soko
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
CMD ["soko", "api"]
