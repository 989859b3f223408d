#!/bin/sh
# Build sdist and wheel, install the wheel in a new environment, and run the commands from empty folders:
# as they are; without a compiler; with a home that cannot be written; with HOME unset; as another user; without libGL.
#
#     scripts/dev/wheel_check.sh DIR [PYTHON]       # DIR must be empty or new, and readable by others; several GB
#
# Needs uv, curl and, for the last two, root on Linux (setpriv, unshare); they are left out otherwise and named.
set -eu
folder=$(mkdir -p "$1" && cd "$1" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
uv build --quiet --out-dir "$folder/dist" "$root"
uv venv --quiet --python "${2:-python3}" "$folder/venv"
export VIRTUAL_ENV="$folder/venv"
uv pip install --quiet "$(echo "$folder"/dist/*.whl)[export,demo]"
predcnn=$folder/venv/bin/predcnn
tiny="data.train_sequences=16 data.val_sequences=4 data.test_sequences=4"

# Run the six commands in a new folder; the arguments come before each: env, setpriv, unshare.
commands() {
  name=$1
  shift
  work=$folder/$name
  mkdir "$work" && chmod 777 "$work" && cd "$work"
  # shellcheck disable=SC2086
  {
    "$@" "$predcnn" train translator=moganet trainer.max_steps=4 $tiny hydra.run.dir=run
    "$@" "$predcnn" evaluate ckpt_path=run
    "$@" "$predcnn" predict
    "$@" "$predcnn" benchmark 'translators=[vit]' 'models=[copy_last]' $tiny trainer.max_steps=2
    "$@" "$predcnn" export ckpt_path=run format=torch_export output=exported
  } >log.txt 2>&1 || { tail -20 log.txt; echo "$name: FAILED, $work/log.txt" >&2; exit 1; }
  "$@" "$predcnn" demo port=7861 >demo.txt 2>&1 &
  demo=$!
  curl --silent --show-error --retry 60 --retry-delay 1 --retry-connrefused --output page.html http://127.0.0.1:7861
  kill "$demo" && wait "$demo" || true
  grep -q "<html" page.html
  echo "$name: train, evaluate, predict, benchmark, export and demo pass"
}

commands plain env
commands no_compiler env PATH="$folder/venv/bin"
commands no_home env -u HOME -u XDG_CACHE_HOME
commands read_only_home env HOME=/proc XDG_CACHE_HOME=
if [ "$(id -u)" != 0 ]; then
  echo "not root: another user and a machine without libGL were left out"
  exit 0
fi
commands another_user setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/nonexistent
libgl=$(ldconfig -p | sed -n 's/.*libGL\.so\.1 .*=> //p' | head -1)
hide="${libgl:+mount --bind /dev/null $(readlink -f "${libgl:-/}");}"
if unshare -m sh -c "$hide $predcnn predict" >"$folder/libgl.txt" 2>&1; then
  echo "no_libgl: this opencv-python needs none"
else
  grep -q opencv-python-headless "$folder/libgl.txt"
  uv pip uninstall --quiet opencv-python
  uv pip install --quiet opencv-python-headless
fi
commands no_libgl unshare -m sh -c "$hide exec \"\$@\"" sh
