#!/usr/bin/env bash
# One sweep as one Slurm job: Ray starts on every node of the job, the sweep runs on the first, and all
# of it ends with the job. Submit from the root of the checkout:
#
#   sbatch cluster/slurm.sh sweeps/quickstart.py
#
# Adapt the #SBATCH lines to the site. The job needs the environment of `make venv` and a home directory
# that the nodes share (the Ray token lies there). Out of time or evicted: submit the same line again,
# finished runs are not repeated.
#SBATCH --job-name=jetscale
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=1
#SBATCH --exclusive
#SBATCH --time=08:00:00
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
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=180 # the default of 30 s is short for a busy file system
ray get-auth-token --generate > /dev/null
chmod 600 "$HOME/.ray/auth_token" # Ray leaves it readable for everybody

nodes=$SLURM_JOB_NUM_NODES
# This script runs on the first node. Its name may resolve to a loopback address here, so take an address.
head=$(hostname -I | awk '{ for (i = 1; i <= NF; i++) if ($i !~ /:/) { print $i; exit } }')
[ -n "$head" ] || fail "no IPv4 address on $(hostname)"

# The same command on every node; Ray makes the first one the head and runs the sweep there.
srun --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 \
    ray symmetric-run --address "$head:6379" --min-nodes "$nodes" \
    --num-cpus="${SLURM_CPUS_PER_TASK:-1}" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" --dashboard-host=127.0.0.1 \
    -- jetscale run "$@" --address auto
