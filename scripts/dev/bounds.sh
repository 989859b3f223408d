#!/bin/sh
# Install the package with the lowest versions that setup.cfg admits (or the newest) and run its tests.
#
#     scripts/dev/bounds.sh lowest 3.10 DIR      # DIR/venv and DIR/versions.txt; several GB
#     scripts/dev/bounds.sh highest 3.13 DIR
#
# Needs uv and that Python. `pytest` arguments follow DIR. The versions of the last complete runs stand in
# scripts/dev/bounds/.
set -eu
case "$1" in
  lowest) resolution=lowest-direct ;;
  highest) resolution=highest ;;
  *) echo "the first argument is lowest or highest, not $1" >&2; exit 2 ;;
esac
python=$2 folder=$3
shift 3
mkdir -p "$folder"
uv venv --quiet --python "$python" "$folder/venv"
export VIRTUAL_ENV="$folder/venv"
uv pip install --quiet --resolution "$resolution" --editable ".[test]"
uv pip freeze --exclude-editable >"$folder/versions.txt"
"$folder/venv/bin/python" -m pytest "$@"
