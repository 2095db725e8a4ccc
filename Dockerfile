# The platform as an image; compose.yaml starts a whole installation from it.
#
#   docker build --build-arg CODE_VERSION="$(git describe --always --dirty)" -t labelstudio-llm .
#
# TORCH=cuda (GPU machines), cpu (machines that train without a GPU) or none (pages and the worker
# "default", which never import it: a gigabyte instead of seven).
FROM python:3.11-slim-bookworm

ARG TORCH=cuda
ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    VAR_DIR=/var/lib/labelstudio-llm \
    BIND=0.0.0.0
WORKDIR /app

# Before the code, so that a change of the code installs nothing again.
COPY requirements.txt requirements.lock requirements-cuda.lock ./
RUN pip install --require-hashes --no-deps -r requirements.lock
RUN case "$TORCH" in \
        cuda) pip install --require-hashes --no-deps -r requirements-cuda.lock ;; \
        cpu) pip install --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' requirements.txt)" ;; \
        none) ;; \
        *) echo "TORCH is '$TORCH'; set it to cuda, cpu or none." >&2; exit 1 ;; \
    esac

COPY . .
# As a demonstration, and in a folder that goes: the files need no settings, only the start does.
RUN DEMO=1 BIND= VAR_DIR=/tmp/build python manage.py collectstatic --noinput -v 0 \
    && rm -rf /tmp/build \
    && useradd --system --uid 10001 --home-dir "$VAR_DIR" labelstudio \
    && install -d -o labelstudio -g labelstudio -m 750 "$VAR_DIR"

ARG CODE_VERSION=unknown
ENV CODE_VERSION=$CODE_VERSION
USER labelstudio
VOLUME /var/lib/labelstudio-llm
EXPOSE 8000
ENTRYPOINT ["python", "-m", "labelstudio_llm.process"]
CMD ["web"]
