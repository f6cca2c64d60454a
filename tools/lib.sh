# Shared by the scripts in this directory: progress, failure, retry. Sourced, not run.
# shellcheck shell=bash

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Everything fetched or made once lives here; deleting it only costs the time to fetch it again.
cache=${MTDSHIM_CACHE:-$root/.cache}
mkdir -p "$cache"

started=$SECONDS
say() { printf '[%3ds] %s\n' "$((SECONDS - started))" "$*"; }
warn() { printf '[%3ds] %s\n' "$((SECONDS - started))" "$*" >&2; }
die() {
  printf '\nFAILED: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '  %s\n' "$line" >&2; done
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# quietly NAME COMMAND...: the command's output goes to a log; on failure its end is shown.
quietly() {
  local name=$1 log
  shift
  mkdir -p "$cache/log"
  log=${name//[^a-zA-Z0-9._-]/_}
  log=$cache/log/${log:0:80}.log
  if "$@" >"$log" 2>&1 </dev/null; then return 0; fi
  warn "$name did not work; the end of $log:"
  tail -n "${LOG_LINES:-12}" "$log" | sed 's/^/    | /' >&2
  return 1
}

# retry NAME COMMAND...: a registry that is being updated right now answers with wrong sums or missing files for a while.
retry() {
  local name=$1 attempt pause=3
  shift
  for attempt in 1 2 3 4 5; do
    if quietly "$name" "$@"; then return 0; fi
    if [ "$attempt" = 5 ]; then break; fi
    warn "$name: attempt $attempt of 5 failed, next one in $pause s"
    sleep "$pause"
    pause=$((pause * 3))
  done
  return 1
}

# cargo_retrying NAME COMMAND...: cargo shows its own progress; only trouble with the crate registry is tried again.
cargo_retrying() {
  local name=$1 attempt pause=5 log
  shift
  mkdir -p "$cache/log"
  log=$cache/log/$name.log
  for attempt in 1 2 3 4; do
    if "$@" 2>&1 </dev/null | tee "$log"; then return 0; fi
    if [ "$attempt" = 4 ] ||
      ! grep -qiE 'failed to (download|fetch|get|query|update)|unable to update|spurious network|checksum .*(changed|fail)|registry index' "$log"; then
      return 1
    fi
    warn "$name: the crate registry did not deliver; attempt $((attempt + 1)) of 4 in $pause s"
    sleep "$pause"
    pause=$((pause * 3))
  done
}

# as_root COMMAND...: directly, or by a sudo that asks nothing.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif have sudo && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    return 126
  fi
}

# once DIRECTORY INPUT...: true when DIRECTORY was already made from exactly these inputs.
stamp_of() { printf '%s\n' "$@" | sha256sum | cut -c1-32; }
made_from() {
  local directory=$1
  shift
  [ -f "$directory/.made-from" ] && [ "$(cat "$directory/.made-from")" = "$(stamp_of "$@")" ]
}
record_made_from() {
  local directory=$1
  shift
  stamp_of "$@" >"$directory/.made-from"
}
