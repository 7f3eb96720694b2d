#!/usr/bin/env bash
# Start the MLflow server on the head, on loopback only, unless it already answers:
#
#   bash mlflow_server.sh          start it; what it says goes to mlflow-server.log in JETSCALE_HOME
#   bash mlflow_server.sh stop     end it; the runs and files that it knows stay
#
#   JETSCALE_HOME              results folder; files that MLflow shows lie in it, too (required)
#   JETSCALE_MLFLOW_DATABASE   where it keeps its runs, such as postgresql://jetscale@dbhost/mlflow (extra
#                              postgres; the password belongs into ~/.pgpass). Without it a SQLite file in
#                              JETSCALE_HOME, and one server process: a network file system is no place
#                              for several writers.
set -euo pipefail

: "${JETSCALE_HOME:?mlflow_server.sh: JETSCALE_HOME is not set}"
port=5000
log=$JETSCALE_HOME/mlflow-server.log
place=$JETSCALE_HOME/mlflow.host
pid=$JETSCALE_HOME/mlflow-server.pid

fail() {
    echo "mlflow_server.sh: $*" >&2
    exit 1
}

healthy() {
    python - "$port" << 'PY' 2> /dev/null
import sys, urllib.request
urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/health", timeout=2)
PY
}

start() {
    local database=${JETSCALE_MLFLOW_DATABASE:-} workers=4 server
    if [ -z "$database" ]; then
        database=sqlite:///$JETSCALE_HOME/mlflow.db workers=1
    fi
    # A session of its own, so that the end of the SSH connection does not end the server. The database is
    # told by the environment: everybody can read command lines. The jobs of MLflow are of language models.
    MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
        MLFLOW_BACKEND_STORE_URI=$database setsid nohup mlflow server \
        --host 127.0.0.1 --port "$port" --workers "$workers" \
        --artifacts-destination "$JETSCALE_HOME/mlartifacts" \
        > "$log" 2>&1 < /dev/null &
    server=$!
    for _ in $(seq 180); do
        healthy && break
        kill -0 "$server" 2> /dev/null || break
        sleep 1
    done
    if ! healthy; then
        echo "mlflow_server.sh: no answer on 127.0.0.1:$port; the end of $log:" >&2
        tail -n 5 "$log" >&2 || true
        exit 1
    fi
    echo "$server" > "$pid"
}

# The server and what it started are one process group.
stop() {
    local group
    [ "$(cat "$place" 2> /dev/null)" = "$(hostname)" ] && [ -s "$pid" ] ||
        fail "no server was started on $(hostname) for $JETSCALE_HOME"
    group=$(cat "$pid")
    case $(ps -o args= -p "$group" || true) in
        *"mlflow server"*) # and nobody else who has its number now
            kill -- "-$group"
            for _ in $(seq 30); do
                kill -0 -- "-$group" 2> /dev/null || break
                sleep 1
            done
            ! kill -0 -- "-$group" 2> /dev/null || kill -KILL -- "-$group"
            ;;
    esac
    rm -f "$place" "$pid"
}

case ${1:-start} in
    start)
        mkdir -p "$JETSCALE_HOME"
        healthy || start
        hostname > "$place"
        ;;
    stop) stop ;;
    *) fail "unknown command '$1': give none, or stop" ;;
esac
