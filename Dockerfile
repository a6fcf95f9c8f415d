# Serves http://<host>:8000/mcp as an unprivileged user. There is no authentication: put one in front.
# Calls under a name other than localhost are answered only when UDS_ALLOWED_HOSTS has that name.
#   docker build -t uds-mcp .
#   docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/data:/data:ro" -v uds-state:/state -e UDS_DATA=/data uds-mcp
FROM python:3.12-slim

RUN useradd --create-home --uid 10001 uds && install -d -o uds -g uds -m 0700 /state
WORKDIR /opt/uds-mcp
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY server ./server
COPY tools ./tools
COPY state ./state
COPY sources ./sources
RUN pip install --no-cache-dir -c constraints.txt '.[redis,newrelic]' && rm -rf /opt/uds-mcp/*

ENV UDS_STATE_DIR=/state
VOLUME /state
USER uds
WORKDIR /home/uds
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
CMD ["uds-mcp", "serve", "--http", "--host", "0.0.0.0", "--port", "8000"]
