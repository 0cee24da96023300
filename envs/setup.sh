#!/usr/bin/env bash
# All set-up: Debian packages, then the virtual environment .venv from requirements.lock.
# Safe to repeat: what is there is left alone, and a second call takes no time.
#   envs/setup.sh          what a run needs
#   envs/setup.sh tests    and Slurm, which the tests start
set -eu
cd "$(dirname "$0")/.."

# Two set-ups started at once: the second waits (where there is no flock, both would install).
exec 9< envs/setup.sh
if command -v flock > /dev/null; then flock 9 2> /dev/null || true; fi

need() { # need PROGRAM-OR-TEST PACKAGE...
    local test=$1
    shift
    if ! sh -c "$test" > /dev/null 2>&1; then missing="$missing $*"; fi
}

install() { # install PACKAGE...
    local as_root=""
    [ "$(id -u)" = 0 ] || as_root=sudo
    $as_root apt-get update -q
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -q --no-install-recommends "$@"
}

missing=""
graph_tool='/usr/bin/python3 -c "import sys; sys.modules[\"cairo\"] = None; import graph_tool.inference"'
need "$graph_tool" python3-graph-tool
need "command -v chromium" chromium
need "python3 -c 'import venv, ensurepip'" python3-venv
if [ -n "$missing" ]; then
    if ! command -v apt-get > /dev/null; then
        echo "missing:$missing. This machine has no apt: install graph-tool (conda-forge: envs/graph-tool.yaml)" \
            "and Chromium by your own means, name the Python that imports graph_tool in the config" \
            "(interpreters.graph_tool), and call make again with SYSTEM_PACKAGES=no." >&2
        [ "${SYSTEM_PACKAGES:-yes}" = no ] || exit 1
    elif [ "${SYSTEM_PACKAGES:-yes}" = yes ]; then
        # shellcheck disable=SC2086
        install $missing
    fi
fi

# Without Slurm its tests are skipped, and say so: nothing else hangs on it.
if [ "${1:-}" = tests ] && [ "${SYSTEM_PACKAGES:-yes}" = yes ] && command -v apt-get > /dev/null; then
    missing=""
    need "PATH=\$PATH:/usr/sbin; command -v slurmctld && command -v slurmd && command -v munged && command -v sbatch" \
        slurmctld slurmd slurm-client munge
    if [ -n "$missing" ]; then
        # shellcheck disable=SC2086
        install $missing || echo "Slurm could not be installed: its tests will be skipped" >&2
    fi
fi

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "python3 is $(python3 -V); Python 3.11 or later is needed" >&2
    exit 1
}
if ! cmp -s requirements.lock .venv/requirements.lock; then
    if [ ! -w . ]; then
        echo "$PWD cannot be written to, and .venv is yet to be made there: copy the checkout" >&2
        exit 1
    fi
    # what a killed set-up left half made is made again
    .venv/bin/python -m pip --version > /dev/null 2>&1 || python3 -m venv --clear .venv
    .venv/bin/python -m pip install -q --upgrade pip
    cp requirements.lock .venv/installing.lock  # what is installed is noted, whatever is edited meanwhile
    .venv/bin/python -m pip install -q -r .venv/installing.lock
    mv .venv/installing.lock .venv/requirements.lock
fi
