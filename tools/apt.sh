# A private apt: own lists and cache under .cache/, the machine's own sources and keys. Works as an ordinary user and leaves
# the system as it is. Sourced after lib.sh.
# shellcheck shell=bash

# apt_setup ARCHITECTURE: writes a configuration and exports APT_CONFIG.
apt_setup() {
  local architecture=$1 home=$cache/apt-$1
  have apt-get || die "this is not a Debian system: apt-get is missing" "Debian 12 is what these scripts know how to use."
  mkdir -p "$home"/{state/lists/partial,cache/archives/partial,sources} "$cache/debs"
  : >"$home/status"
  apt_sources "$home"
  cat >"$home/apt.conf" <<CONF
Dir::State "$home/state";
Dir::State::status "$home/status";
Dir::Cache "$home/cache";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$home/sources";
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
APT::Sandbox::User "";
APT::Get::AllowUnauthenticated "false";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
  export APT_CONFIG=$home/apt.conf
}

# The machine's sources, with source packages switched on and without limits to one architecture.
apt_sources() {
  local home=$1 file
  rm -f "$home"/sources/*
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$file" ] || continue
    sed -E -e 's/arch=[a-z0-9,]+ ?//; s/\[ *\]//' -e '/^deb /{p;s/^deb /deb-src /}' "$file" \
      >"$home/sources/$(basename "$file")"
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] || continue
    sed -E -e '/^Architectures:/d' -e 's/^Types:.*/Types: deb deb-src/' "$file" >"$home/sources/$(basename "$file")"
  done
}

# apt_update: fetches the index, at most once a day.
apt_update() {
  local fresh=${APT_CONFIG%/*}/updated
  if [ -n "$(find "$fresh" -mtime -1 2>/dev/null)" ]; then return 0; fi
  say "reading the package index ($(sed -n 's/^APT::Architecture "\(.*\)";/\1/p' "$APT_CONFIG"))"
  # A mirror in the middle of its own update serves indexes whose sums do not fit, sometimes for an hour, and a third-party
  # source may not answer at all. Neither must stop us: what counts is whether the packages are found in the rest.
  local attempt
  for attempt in 1 2 3; do
    if LOG_LINES=2 quietly "apt-get update" apt-get -q update; then break; fi
    if [ "$attempt" = 3 ]; then warn "part of the package index is missing (see above); going on with the rest"; break; fi
    warn "apt-get update: attempt $attempt of 3 failed, next one in $((attempt * 4)) s"
    sleep $((attempt * 4))
  done
  touch "$fresh"
}

# apt_unpack DIRECTORY PACKAGE...: downloads into .cache/debs and unpacks, without running any maintainer script.
apt_unpack() {
  local directory=$1 package archive
  shift
  # A failure may mean that the index moved on since it was read: it is read again between the attempts.
  apt_download "$@" || { rm -f "${APT_CONFIG%/*}/updated" && apt_update && retry "second download" apt_download "$@"; } || return 1
  mkdir -p "$directory"
  for package in "$@"; do
    archive=$(apt_archive "$package") || { warn "no archive of $package after its download"; return 1; }
    dpkg -x "$archive" "$directory" || { rm -f "$archive"; return 1; }
  done
}

apt_download() (
  cd "$cache/debs"
  quietly "download of $*" apt-get -q download "$@"
)

# The newest archive of a package in .cache/debs for the architecture in use.
apt_archive() {
  local architecture file newest=
  architecture=$(sed -n 's/^APT::Architecture "\(.*\)";/\1/p' "$APT_CONFIG")
  for file in "$cache/debs/$1"_*_"$architecture".deb "$cache/debs/$1"_*_all.deb; do
    if [ -f "$file" ] && { [ -z "$newest" ] || [ "$file" -nt "$newest" ]; }; then newest=$file; fi
  done
  [ -n "$newest" ] && printf '%s\n' "$newest"
}
