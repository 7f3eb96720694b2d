#!/usr/bin/env bash
# One sweep as one Slurm job: Ray starts on every node of the job, the sweep runs on the first, and all
# of it ends with the job. Submit from the root of the checkout:
#
#   sbatch cluster/slurm.sh sweeps/quickstart.py
#
# Adapt the #SBATCH lines to the site. The job needs the environment of `make venv` and a home directory
# that the nodes share (the Ray token lies there). Out of time or evicted: submit the same line again,
# finished runs are not repeated. Other jobs may be on the same nodes: ports and Ray's folder carry the job id.
#SBATCH --job-name=jetscale
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=1
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --output=jetscale-%j.log
set -euo pipefail

fail() {
    echo "slurm.sh: $*" >&2
    exit 1
}

[ $# -ge 1 ] || fail "no sweep given: sbatch cluster/slurm.sh sweeps/NAME.py"
[ -n "${SLURM_JOB_ID:-}" ] || fail "not inside a Slurm job: submit with sbatch"
cd "$SLURM_SUBMIT_DIR"
[ -f "$1" ] || fail "no sweep file $1 in $PWD: submit from the root of the checkout"
venv=${JETSCALE_VENV:-.venv}
[ -x "$venv/bin/ray" ] || fail "no environment in $venv: run \`make venv\`, or set JETSCALE_VENV"
# shellcheck source=/dev/null
. "$venv/bin/activate"

export JETSCALE_HOME=${JETSCALE_HOME:-$PWD/runs}
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 MLFLOW_DISABLE_TELEMETRY=true
export RAY_py_gcs_connect_timeout_s=180 # seconds to reach the head; the default of 30 is short on a busy node
ray get-auth-token --generate > /dev/null
chmod 600 "$HOME/.ray/auth_token" # Ray leaves it readable for everybody

nodes=$SLURM_JOB_NUM_NODES
# This script runs on the first node. Its name may resolve to a loopback address here, so take an address.
head=$(hostname -I | awk '{ for (i = 1; i <= NF; i++) if ($i !~ /:/) { print $i; exit } }')
[ -n "$head" ] || fail "no IPv4 address on $(hostname)"

# Three ports for each job id, below those that systems give to connections; all others are any free ones.
export JETSCALE_PORT=$((10000 + 3 * (SLURM_JOB_ID % 7000)))
export JETSCALE_ADDRESS=$head:$JETSCALE_PORT
export JETSCALE_RAY=/tmp/ray-$SLURM_JOB_ID # short: the paths of sockets are limited

# What each task does; the first one is on this node. SIGTERM ends all of its Ray, and nobody else's.
# shellcheck disable=SC2016  # expanded there
start_ray='
    mkdir -p -m 700 "$JETSCALE_RAY"
    set -- --block --num-cpus="${SLURM_CPUS_PER_TASK:-1}" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" \
        --min-worker-port=0 --max-worker-port=0 --dashboard-agent-listen-port=0
    if [ "$SLURM_PROCID" = 0 ]; then
        set -- "$@" --head --node-ip-address="${JETSCALE_ADDRESS%:*}" --port="$JETSCALE_PORT" \
            --temp-dir="$JETSCALE_RAY" --dashboard-host=127.0.0.1 --dashboard-port=$((JETSCALE_PORT + 1)) \
            --ray-client-server-port=$((JETSCALE_PORT + 2))
    else
        until (: > "/dev/tcp/${JETSCALE_ADDRESS/:/\/}") 2> /dev/null; do sleep 1; done
        set -- "$@" --address="$JETSCALE_ADDRESS"
    fi
    set -m # a process group for all of it
    ray start "$@" &
    ray=$!
    trap "kill $ray" TERM
    wait "$ray" || wait "$ray" || true # a signal ends a wait, not Ray
    kill -- "-$ray" 2> /dev/null || true # agents outlive their raylet for minutes
    rm -rf "$JETSCALE_RAY"'
srun --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 bash -c "$start_ray" &
step=$!
sweep=
stop() {
    trap '' TERM
    kill "$step" 2> /dev/null && wait "$step" || true
}
trap stop EXIT
# Slurm says it two minutes before the time is up (--signal): the sweep keeps its state and ends with 143.
trap 'kill -TERM "$sweep" 2> /dev/null || exit 143' TERM

# A sweep uses nodes that join later, too, but settles when it starts whether it trains on GPUs.
joined() { ray status --address "$JETSCALE_ADDRESS" 2> /dev/null | grep -c '^ 1 node_' || true; }
for _ in $(seq 120); do
    [ "$(joined)" -ge "$nodes" ] && break
    kill -0 "$step" 2> /dev/null || fail "Ray did not start; see above"
    sleep 2
done
[ "$(joined)" -ge "$nodes" ] || fail "$(joined) of $nodes nodes have joined after some minutes; see above"

jetscale run "$@" --address "$JETSCALE_ADDRESS" &
sweep=$!
# A signal ends a wait early, with a number above 128.
code=0
wait "$sweep" || code=$?
while kill -0 "$sweep" 2> /dev/null; do
    code=0
    wait "$sweep" || code=$?
done
exit "$code"
