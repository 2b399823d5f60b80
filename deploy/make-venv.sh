#!/bin/sh
# Make a virtual environment: make-venv.sh PYTHON FOLDER
# Debian's python3 comes without the module that puts pip into an environment (package python3-venv).
set -eu
python=${1:-} folder=$2

if [ -z "$python" ]; then
    echo "make: no Python from 3.11 to 3.13 found. On Debian 12 or later and Ubuntu 24.04: apt-get install python3" >&2
    exit 1
fi

if "$python" -c 'import ensurepip' 2>/dev/null; then
    exec "$python" -m venv "$folder"
fi
if command -v uv >/dev/null 2>&1; then
    exec uv venv -q --seed --python "$python" "$folder"
fi
if "$python" -m virtualenv --version >/dev/null 2>&1; then
    exec "$python" -m virtualenv -q "$folder"
fi
if "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --without-pip "$folder"
    exec "$python" -m pip --python "$folder/bin/python" install -q pip
fi
package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "make: installing $package, which Debian keeps apart from Python" >&2
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
    exec "$python" -m venv "$folder"
fi
echo "make: $python has no 'ensurepip', so no environment can be made. Cure: sudo apt-get install $package" >&2
exit 1
