# Fetching that outlives a registry in the middle of its own update: again after growing pauses, but not for ever. What can
# never be had is given up in less than two minutes, with the name of what is missing. Sourced by lib.sh.
# shellcheck shell=bash

# The exit status of what could not be done because a registry does not serve it now (EX_TEMPFAIL): not an error of ours.
unavailable=75
fetch_seconds=${MTDSHIM_FETCH_SECONDS:-50} # after these no further attempt starts
fetch_pauses=(1 3 9 27)
fetch_stall=25 # an attempt is ended when nothing more has arrived for so many seconds

# fetch_begin, then after every failed round `fetch_again || give up`. The caller declares fetch_until and fetch_round local.
fetch_begin() { fetch_until=$((SECONDS + fetch_seconds)) fetch_round=0; }
fetch_again() {
  local pause=${fetch_pauses[fetch_round]:-}
  [ -n "$pause" ] && [ $((SECONDS + pause)) -lt "$fetch_until" ] || return 1
  warn "the next attempt starts in $pause s"
  sleep "$pause"
  fetch_round=$((fetch_round + 1))
}

# unavailable_now WHAT: says so in the one line that tests show as their reason.
unavailable_now() {
  printf 'UNAVAILABLE: %s\n' "$*" >&2
  return "$unavailable"
}

# attempt NAME FOLDER COMMAND...: one try; its output goes to a log, a failure to one line. It is ended when FOLDER, which
# receives what is fetched, stops growing.
attempt() {
  local name=$1 folder=$2 log fetcher watcher status=0
  shift 2
  log=$(log_of "$name")
  "$@" >"$log" 2>&1 </dev/null &
  fetcher=$!
  end_when_stalled "$fetcher" "$folder" "$log" >/dev/null 2>&1 </dev/null &
  watcher=$!
  wait "$fetcher" 2>/dev/null || status=$?
  kill "$watcher" 2>/dev/null || true
  wait "$watcher" 2>/dev/null || true
  [ "$status" = 0 ] || warn "$name: $(reason_in "$log")"
  return "$status"
}

end_when_stalled() {
  local fetcher=$1 folder=$2 log=$3 size=-1 now since=$SECONDS
  while sleep 1; do
    now=$(du -sb "$folder" 2>/dev/null | cut -f1)
    if [ "$now" != "$size" ]; then size=$now since=$SECONDS; fi
    [ $((SECONDS - since)) -ge "$fetch_stall" ] || continue
    echo "E: nothing arrived for $fetch_stall s" >>"$log"
    end_tree "$fetcher"
    return
  done
}

# The process and what it started: a fetcher's helpers would go on alone.
end_tree() {
  local child
  for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do end_tree "$child"; done
  kill "$1" 2>/dev/null || true
}

# The line of a log that says most about a failure.
reason_in() {
  { grep -m 1 -E '^(E:|error)' "$1" || grep -m 1 -E '^(W:|Err)' "$1" || tail -n 1 "$1"; } | sed -E 's/ \[IP: [^]]*\]//' | cut -c1-240
}

# retry NAME COMMAND...
retry() {
  local name=$1 fetch_until fetch_round
  shift
  fetch_begin
  until quietly "$name" "$@"; do fetch_again || return "$unavailable"; done
}

# cargo_retrying NAME COMMAND...: cargo shows its own progress; only trouble with the crate registry is tried again. Returns 75
# where that trouble stays, cargo's own status for everything else.
cargo_retrying() {
  local name=$1 log status fetch_until fetch_round
  shift
  log=$(log_of "$name")
  fetch_begin
  while :; do
    status=0
    CARGO_NET_RETRY=1 CARGO_HTTP_TIMEOUT=20 "$@" 2>&1 </dev/null | tee "$log" || status=$?
    if [ "$status" = 0 ]; then return 0; fi
    grep -qiE 'failed to (download|fetch|get|query|update)|unable to update|spurious network|checksum .*(changed|fail)|registry index' \
      "$log" || return "$status"
    warn "$name: the crate registry did not deliver"
    fetch_again || return "$unavailable"
  done
}
