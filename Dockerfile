# The server with the libraries of your models. README: "Run it with Docker".
#
#   docker build -t model-serving-framework .
#
# Your models' libraries: add them to requirements.txt and build, or begin a Dockerfile of your own with
#
#   FROM model-serving-framework
#   RUN ["python", "-m", "pip", "install", "--no-cache-dir", "scikit-learn==1.9.1"]     (as USER 0:0, then back to 65533:65533)
#
# A library that needs more than Python: --build-arg APT_PACKAGES="libgomp1" (lightgbm's, for one), and for one that
# compiles --build-arg BUILD_APT_PACKAGES="build-essential", which stays out of the image.
ARG BASE_IMAGE=python:3.13-slim-bookworm

FROM ${BASE_IMAGE} AS libraries
ARG BUILD_APT_PACKAGES=""
RUN if [ -n "$BUILD_APT_PACKAGES" ]; then \
      apt-get update && apt-get install -y --no-install-recommends $BUILD_APT_PACKAGES && rm -rf /var/lib/apt/lists/*; \
    fi
RUN python -m venv /opt/venv
COPY requirements.txt /tmp/requirements.txt
# Compiled here, because the server may not write them later; by hash and not by time, so that two builds are alike.
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/python -m pip install --no-compile --disable-pip-version-check -r /tmp/requirements.txt \
    && /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

FROM ${BASE_IMAGE}
ARG APT_PACKAGES=""
RUN if [ -n "$APT_PACKAGES" ]; then \
      apt-get update && apt-get install -y --no-install-recommends $APT_PACKAGES && rm -rf /var/lib/apt/lists/*; \
    fi
# What git-sync's image has too: volumes that Docker makes from these folders belong to the user that both run as.
RUN install -d -o 65533 -g 65533 -m 2775 /git /state
COPY --from=libraries /opt/venv /opt/venv
WORKDIR /app
COPY server.py settings.py logs.py check.py ./
COPY loader loader
COPY web web
COPY models_serve models_serve
RUN python -m compileall -q --invalidation-mode unchecked-hash server.py settings.py logs.py check.py loader web

# One thread for each call: libraries that start a thread per core and call stand in each other's way. Raise these for
# few, large models. The user has no home, and the root file system may be read-only: what is cached goes to /tmp.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin \
    PORT=8080 \
    STATE_DIR=/state \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    MKL_NUM_THREADS=1 \
    NUMEXPR_NUM_THREADS=1 \
    MALLOC_ARENA_MAX=2
VOLUME ["/state"]
EXPOSE 8080
# git-sync's user; a number, so that Kubernetes can see that it is not root.
USER 65533:65533
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "/app/server.py"]

ARG VERSION=1.0.0
ARG REVISION=""
LABEL org.opencontainers.image.title="model-serving-framework" \
      org.opencontainers.image.description="Serves every model folder of a git repository over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
