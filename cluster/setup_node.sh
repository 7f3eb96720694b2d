#!/usr/bin/env bash
# Prepare one node of a cluster: the shared folder, the Python environment, the login environment.
# Run by `ray up` on the head and by the autoscaler on every worker; running it again changes nothing.
#
#   JETSCALE_HOME          results folder, on a file system that all nodes share (required)
#   JETSCALE_EXTRAS        extras of the package, comma-separated; may be empty
#   JETSCALE_NFS           SERVER:/EXPORT to mount on the parent folder of JETSCALE_HOME; without it
#                          the folder must be there already
#   JETSCALE_NFS_OPTIONS   options of that mount
#   PYTHON                 interpreter to build the environment with (default python3)
set -euo pipefail

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$HOME/jetscale-venv
python=${PYTHON:-python3}

fail() {
    echo "setup_node.sh: $*" >&2
    exit 1
}

check_settings() {
    [ -n "${JETSCALE_HOME:-}" ] || fail "JETSCALE_HOME is not set: give it in setup_commands"
    local name
    for name in JETSCALE_HOME JETSCALE_NFS; do
        case ${!name:-} in
            *SET_ME*) fail "$name is still the placeholder '${!name}': put your own value in the cluster file" ;;
        esac
    done
    [ -s "$HOME/.ray/auth_token" ] ||
        fail "no Ray token in ~/.ray/auth_token: run \`ray get-auth-token --generate\` where you call \`ray up\`"
    chmod 600 "$HOME/.ray/auth_token"
}

install_system_packages() {
    if ! command -v mount.nfs4 > /dev/null || ! "$python" -c 'import ensurepip' 2> /dev/null; then
        sudo apt-get -o DPkg::Lock::Timeout=300 update -qq
        sudo apt-get -o DPkg::Lock::Timeout=300 install -y -qq nfs-common python3-venv
    fi
}

mount_shared_folder() {
    local folder
    folder=$(dirname "$JETSCALE_HOME")
    if ! mountpoint -q "$folder"; then
        sudo mkdir -p "$folder"
        sudo mount -t nfs -o "${JETSCALE_NFS_OPTIONS:-hard}" "$JETSCALE_NFS" "$folder" ||
            fail "cannot mount $JETSCALE_NFS on $folder: check the name and that port 2049 is open to the nodes"
    fi
    sudo mkdir -p "$JETSCALE_HOME"
    sudo chown "$(id -u):$(id -g)" "$JETSCALE_HOME"
}

check_shared_folder() {
    mkdir -p "$JETSCALE_HOME" 2> /dev/null ||
        fail "cannot make $JETSCALE_HOME: is the shared folder mounted on $(hostname)?"
    [ -w "$JETSCALE_HOME" ] || fail "$JETSCALE_HOME is not writable for $(id -un) on $(hostname)"
}

install_jetscale() {
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
        fail "$("$python" --version) on $(hostname): jetscale needs Python 3.11, 3.12 or 3.13; set PYTHON"
    local extras=${JETSCALE_EXTRAS:+[$JETSCALE_EXTRAS]} wanted
    wanted=$(cat "$checkout/pyproject.toml" "$checkout/constraints.txt" | sha256sum)$extras
    # Homes are often shared between machines: one node installs, the others wait and find it done.
    exec 9> "$venv.lock"
    flock 9
    if [ "$(cat "$venv/.installed" 2> /dev/null)" != "$wanted" ]; then
        "$python" -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --progress-bar off \
            -c "$checkout/constraints.txt" -e "$checkout$extras"
        echo "$wanted" > "$venv/.installed"
    fi
    exec 9>&-
}

# Ray runs every command in an interactive login shell, so ~/.bashrc reaches `ray exec`, the bare `python`
# of `ray submit` and the bare `ray stop` of `ray down`.
write_environment() {
    cat > "$HOME/.jetscale_env.new" << ENV
export RAY_AUTH_MODE=token
export RAY_USAGE_STATS_ENABLED=0
export MLFLOW_DISABLE_TELEMETRY=true
export JETSCALE_HOME=$(printf %q "$JETSCALE_HOME")
# The node that runs the MLflow server logs through it.
if [ "\$(cat "\$JETSCALE_HOME/mlflow.host" 2> /dev/null)" = "\$(hostname)" ]; then
    export MLFLOW_TRACKING_URI=http://127.0.0.1:5000
fi
. $(printf %q "$venv/bin/activate")
ENV
    mv "$HOME/.jetscale_env.new" "$HOME/.jetscale_env"
    grep -qxF '. ~/.jetscale_env' "$HOME/.bashrc" 2> /dev/null || echo '. ~/.jetscale_env' >> "$HOME/.bashrc"
}

check_settings
if [ -n "${JETSCALE_NFS:-}" ]; then
    install_system_packages
    mount_shared_folder
fi
check_shared_folder
install_jetscale
write_environment
