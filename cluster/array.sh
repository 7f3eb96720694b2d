#!/usr/bin/env bash
# One sweep as the tasks of one Slurm array, without Ray: each task trains runs that no other is at, and
# ends when nothing is left for it. Submit from the root of the checkout, with as many tasks as may run at once:
#
#   sbatch --array=1-20 cluster/array.sh sweeps/quickstart.py
#
# Adapt the #SBATCH lines to the site. A task takes one core, or with --gres=gpu:1 one GPU. The job needs the
# environment of `make venv` and a results folder that all nodes see, on a file system with locks (flock).
# Tasks may start and end at any time; evicted or out of time: submit the same line again.
#SBATCH --job-name=jetscale-work
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=3G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@60
#SBATCH --output=jetscale-%A-%a.log
set -euo pipefail

fail() {
    echo "array.sh: $*" >&2
    exit 1
}

[ $# -ge 1 ] || fail "no sweep given: sbatch --array=1-20 cluster/array.sh sweeps/NAME.py"
[ -n "${SLURM_JOB_ID:-}" ] || fail "not inside a Slurm job: submit with sbatch"
cd "$SLURM_SUBMIT_DIR"
[ -f "$1" ] || fail "no sweep file $1 in $PWD: submit from the root of the checkout"
venv=${JETSCALE_VENV:-.venv}
[ -x "$venv/bin/jetscale" ] || fail "no environment in $venv: run \`make venv\`, or set JETSCALE_VENV"
export JETSCALE_HOME=${JETSCALE_HOME:-$PWD/runs} OMP_NUM_THREADS=1

# In place of this shell, so that Slurm's signals reach it.
exec "$venv/bin/jetscale" work "$@"
