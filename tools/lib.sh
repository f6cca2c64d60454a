# Shared by the scripts in this directory: progress, failure, stamps. Sourced, not run.
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

log_of() {
  mkdir -p "$cache/log"
  local name=${1//[^a-zA-Z0-9._-]/_}
  printf '%s\n' "$cache/log/${name:0:80}.log"
}

# quietly NAME COMMAND...: the command's output goes to a log; on failure its end is shown.
quietly() {
  local name=$1 log
  shift
  log=$(log_of "$name")
  if "$@" >"$log" 2>&1 </dev/null; then return 0; fi
  warn "$name did not work; the end of $log:"
  tail -n "${LOG_LINES:-12}" "$log" | sed 's/^/    | /' >&2
  return 1
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

# exclusively LOCK COMMAND...: several builds may run at once; what they share is made by one of them. A lock is taken
# inside another only in the order root, headers or compiler, archives.
exclusively() {
  local lock=$cache/locks/$1
  shift
  mkdir -p "$cache/locks"
  (
    flock 9
    "$@" 9>&-
  ) 9>"$lock"
}

. "$root/tools/fetch.sh"
