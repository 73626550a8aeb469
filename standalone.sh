#!/usr/bin/env bash
# Serve models_serve/ from this folder: make .venv, install requirements.txt, read the file env, start the server.
#
#   ./standalone.sh                     serve; the last lines that it prints are a curl command to paste
#   ./standalone.sh check [FOLDER ...]  load the models, run their examples and report, without serving
#
# Works as root or not, from any directory, and again and again: the second run starts at once. Settings come from
# the caller's environment, then from the file env, then from their defaults.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # for who types `sh standalone.sh`
set -euo pipefail

repo=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd -P)
venv=$repo/.venv
installed=$venv/requirements.installed
readonly repo venv installed
readonly COULD_NOT_START=3 BAD_CONFIGURATION=2
readonly NEW_ENOUGH='import sys; sys.exit(sys.version_info < (3, 11))'

say() { printf 'standalone: %s\n' "$*"; }
fail() { # exit code, sentence
  printf 'standalone: %s\n' "$2" >&2
  exit "$1"
}

make_absolute() { # variable, folder that a relative value is meant from
  local value=${!1:-}
  [[ -z $value || $value == /* ]] || export "$1=$2/$value"
}

# Takes each line literally, as `docker run --env-file env` does: sourcing would expand $ and cut at a #.
read_env_file() {
  local line name value number=0
  [[ -e $repo/env ]] || return 0
  [[ -r $repo/env ]] || fail $BAD_CONFIGURATION "this user may not read $repo/env"
  while IFS= read -r line || [[ -n $line ]]; do
    number=$((number + 1))
    line=${line%$'\r'} # an editor on Windows leaves these
    [[ $line =~ ^[[:space:]]*(#|$) ]] && continue
    [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?([A-Za-z_][A-Za-z_0-9]*)=(.*)$ ]] ||
      fail $BAD_CONFIGURATION "env, line $number: expected NAME=value, found: $line"
    name=${BASH_REMATCH[2]} value=${BASH_REMATCH[3]}
    [[ $value != [\"\']* ]] || fail $BAD_CONFIGURATION "env, line $number: $name wants its value plain, without quotes"
    [[ -n ${!name+set} ]] || export "$name=$value" # what the caller says wins
  done <"$repo/env"
}

read_settings() {
  make_absolute MODELS_DIR "$PWD"
  make_absolute STATE_DIR "$PWD"
  read_env_file
  make_absolute MODELS_DIR "$repo"
  make_absolute STATE_DIR "$repo"
}

find_python() {
  local candidate without_venv=
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    "$candidate" -c "$NEW_ENOUGH" >/dev/null 2>&1 || continue
    if "$candidate" -c 'import venv, ensurepip' >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
    without_venv=${without_venv:-$candidate}
  done
  [[ -z $without_venv ]] ||
    fail $COULD_NOT_START "Python's venv is missing; on Debian and Ubuntu install it with: $(as_root apt-get install "$(venv_package "$without_venv")")"
  fail $COULD_NOT_START "Python 3.11 or newer is missing; on Debian and Ubuntu install it with: $(as_root apt-get install python3 python3-venv)"
}

as_root() { ((EUID == 0)) && echo "$*" || echo "sudo $*"; }

venv_package() { "$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'; }

has_python() { "$venv/bin/python" -c "$NEW_ENOUGH" >/dev/null 2>&1; }

has_pip() { "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null 2>&1; }

is_installed() { cmp -s -- "$repo/requirements.txt" "$installed" && has_python; }

make_venv() {
  # No pip: an earlier run was stopped half-way. No Python: the system's own went away under it.
  has_python && has_pip && return
  local python
  python=$(find_python)
  [[ -w $repo ]] || fail $COULD_NOT_START "this user may not write to $repo, where .venv belongs"
  say "making .venv with $("$python" --version)"
  "$python" -m venv --clear -- "$venv" || fail $COULD_NOT_START "the virtual environment could not be made, see above"
}

# From the repository, because a path in requirements.txt is meant from there.
pip_install() {
  (cd -- "$repo" && "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-input "$@" </dev/null)
}

# The first block of requirements.txt, up to the heading of the second.
server_requirements() { sed '/^# Libraries of /,$d' "$repo/requirements.txt"; }

# What stands below it: one requirement a line, options such as --extra-index-url left out, broken lines joined.
other_requirements() {
  sed '1,/^# Libraries of /d' "$repo/requirements.txt" |
    sed -e ':again' -e '/\\$/{N;s/\\\n//;t again' -e '}' | sed -E 's/(^|[[:space:]])#.*//' |
    grep -Ev '^[[:space:]]*$|^[[:space:]]*-([ifc]|-)' || true
}

options_of_requirements() { grep -E '^[[:space:]]*-([ifc]|-)' "$repo/requirements.txt" || true; }

# When the whole does not install, what does still serves: the server's own libraries, then the others one by one.
install_what_can_be() {
  local temporary requirement missing=()
  temporary=$(mktemp -d)
  { options_of_requirements && server_requirements; } >"$temporary/server.txt"
  server_requirements >"$temporary/constraints.txt"
  say "not everything in requirements.txt can be installed, see above; going on with what can be"
  pip_install -r "$temporary/server.txt" || fail $COULD_NOT_START "the server's own libraries could not be installed, see above"
  while IFS= read -r requirement; do
    { options_of_requirements && printf '%s\n' "$requirement"; } >"$temporary/one.txt"
    pip_install -r "$temporary/one.txt" -c "$temporary/constraints.txt" >/dev/null 2>&1 || missing+=("${requirement%%[[:space:]]*}")
  done < <(other_requirements)
  rm -rf -- "$temporary"
  ((${#missing[@]} == 0)) || say "could not install: ${missing[*]}; the models that import them will not load until they are"
}

install_requirements() {
  say "installing requirements.txt (the first time takes a minute)"
  # Copied before, so that an edit while pip runs is not taken for installed; kept only when all went well.
  cp -- "$repo/requirements.txt" "$installed.new" 2>/dev/null || true
  if pip_install -r "$repo/requirements.txt"; then
    [[ ! -e $installed.new ]] || mv -- "$installed.new" "$installed"
  else
    install_what_can_be
  fi
}

may_listen() { # port; says why not
  "$venv/bin/python" - "${HOST:-0.0.0.0}" "$1" <<'PYTHON'
import socket, sys
host, port = sys.argv[1].strip("[]"), int(sys.argv[2])
with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        sys.exit(print(error.strerror.lower()) or 1)
    print(listener.getsockname()[1])
PYTHON
}

choose_port() {
  local answer
  if [[ -z ${PORT:-} ]]; then
    export PORT=80
    answer=$(may_listen 80) && return
    export PORT=8080
    say "port 80 cannot be used ($answer), so this is port 8080; PORT=... chooses another"
  elif [[ $PORT == 0 ]]; then
    # Any free port, chosen here because the curl command has to name it.
    PORT=$(may_listen 0) || fail $COULD_NOT_START "no port can be listened on ($PORT)"
  fi
}

# Numeric libraries start a thread per core for each call; with many callers those stand in each other's way.
limit_threads_per_call() {
  local name
  for name in OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS NUMEXPR_NUM_THREADS; do
    [[ -n ${!name:-} ]] || export "$name=1"
  done
}

main() {
  read_settings
  if ! is_installed; then
    make_venv
    install_requirements
  fi
  if (($# == 0)); then
    choose_port
    # Not a child of the server, which the next line turns this process into: it has no reason to wait for one.
    ("$venv/bin/python" "$repo/try_it.py" "$$" &)
  fi
  limit_threads_per_call
  exec "$venv/bin/python" "$repo/server.py" "$@"
}

main "$@"
