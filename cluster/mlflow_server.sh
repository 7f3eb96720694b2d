#!/usr/bin/env bash
# Start the MLflow server on the head, on loopback only, unless it already answers.
# One server process: the run database is a SQLite file on the shared folder, and a network file system
# is no place for several writers.
set -euo pipefail

: "${JETSCALE_HOME:?mlflow_server.sh: JETSCALE_HOME is not set}"
port=5000
log=$JETSCALE_HOME/mlflow-server.log

healthy() {
    python - "$port" << 'PY' 2> /dev/null
import sys, urllib.request
urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/health", timeout=2)
PY
}

mkdir -p "$JETSCALE_HOME"
if ! healthy; then
    # A session of its own, so that the end of the SSH connection does not end the server.
    MLFLOW_DISABLE_TELEMETRY=true setsid nohup mlflow server \
        --host 127.0.0.1 --port "$port" --workers 1 \
        --backend-store-uri "sqlite:///$JETSCALE_HOME/mlflow.db" \
        --artifacts-destination "$JETSCALE_HOME/mlartifacts" \
        > "$log" 2>&1 < /dev/null &
    server=$!
    for _ in $(seq 180); do
        healthy && break
        kill -0 "$server" 2> /dev/null || break
        sleep 1
    done
fi
if ! healthy; then
    echo "mlflow_server.sh: no answer on 127.0.0.1:$port; the end of $log:" >&2
    tail -n 5 "$log" >&2 || true
    exit 1
fi
hostname > "$JETSCALE_HOME/mlflow.host"
