# Debian packages of any suite and architecture, without touching the system's own apt: lists, status and sources live under
# the cache, and every suite has a world of its own, so that no version of one can be taken for another's. Works as an
# ordinary user. Sourced after lib.sh.
#
# A mirror in the middle of its own update serves a signed Release beside package lists of another day, for hours. apt is right
# to refuse them. What helps is another way to the same signed contents (see routes): the suite's alias (dists/stable for
# dists/trixie) is another file for a mirror and is often whole; so is another compression; and lists that were read earlier,
# here or by the machine itself, still name archives that the pool has kept. Lists whose signature does not fit are never used:
# what comes from them would run here, if only under qemu-arm.
# shellcheck shell=bash

debian_home=$cache/debian
# MTDSHIM_DEBIAN and MTDSHIM_DEBIAN_KEYRING name another archive than the system's and the key that signs it.
archive_keyring=${MTDSHIM_DEBIAN_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}
machine_lists=/var/lib/apt/lists
aliases=(stable oldstable oldoldstable testing unstable)

# The archive's address and settings (proxy, certificates) are those the system already uses.
archive() {
  local address=${MTDSHIM_DEBIAN:-}
  [ -n "$address" ] || address=$(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 2>/dev/null |
    awk '$2 == "Debian" { print $1; exit }')
  [ -n "$address" ] || address=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d \
    2>/dev/null | head -n 1)
  [ -n "$address" ] || { warn "no Debian archive in this system's apt sources: set MTDSHIM_DEBIAN to one"; return 1; }
  echo "${address%/}"
}

# apt_private SUITE ARCH COMMAND...: one command of apt in that world. SUITE is a name of the archive, or "machine" for all that
# the system's own sources offer; ARCH is an architecture or "source".
apt_private() {
  local world=$debian_home/apt/$1-$2 arch=$2 command=$3
  shift 3
  [ "$arch" != source ] || arch=armhf
  "$command" -q -o Dir::State="$world/state" -o Dir::State::status="$world/status" -o Dir::Cache="$world/cache" \
    -o Dir::Etc::sourcelist="${sources_list:-$world/sources.list}" -o Dir::Etc::sourceparts="$world/sources" \
    -o Dir::Cache::pkgcache=packages.bin -o Dir::Cache::srcpkgcache=sources.bin \
    -o Dir::Etc::preferencesparts=/dev/null -o APT::Architecture="$arch" -o APT::Architectures="$arch" \
    -o APT::Get::List-Cleanup=false -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o Acquire::Languages=none \
    -o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o APT::Sandbox::User= "$@"
}

# The machine's sources, without limits to one architecture.
machine_sources() {
  local world=$1 file
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    if [ -f "$file" ]; then sed -E 's/arch=[a-z0-9,]+ ?//; s/\[ *\]//' "$file" >"$world/sources/$(basename "$file")"; fi
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    if [ -f "$file" ]; then sed -E '/^Architectures:/d' "$file" >"$world/sources/$(basename "$file")"; fi
  done
}

source_line() { # source_line ADDRESS NAME ARCH
  local type=deb
  [ "$3" != source ] || type=deb-src
  echo "$type [signed-by=$archive_keyring] $1 $2 main"
}

# with_lists SUITE ARCH ACTION...: runs ACTION with the package lists of that world. Where it returns 75 (what the lists name did
# not arrive: they may have moved on since they were read) they are read again, by every route in turn. ACTION leaves its reason
# in fetch_reason.
with_lists() {
  local suite=$1 arch=$2 world=$debian_home/apt/$1-$2 route status alias='' fresh='' fetch_reason='' fetch_until fetch_round
  shift 2
  mkdir -p "$world"/{state/lists/partial,cache/archives/partial,sources}
  : >"$world/status"
  # Whoever waited for the lock while another gave up need not find out again.
  if [ ! -e "$world/ready" ] && [ -n "$(find "$world/gave-up" -mmin -3 2>/dev/null)" ]; then
    unavailable_now "$(cat "$world/gave-up")"
    return
  fi
  fetch_begin
  if [ -e "$world/ready" ]; then
    status=0
    "$@" || status=$?
    [ "$status" = "$unavailable" ] || return "$status"
  fi
  while :; do
    for route in suite:xz alias:xz suite:gz alias:gz; do
      [ "$SECONDS" -lt "$fetch_until" ] || break
      read_lists "$suite" "$arch" "$route" || continue
      fresh=1 status=0
      "$@" || status=$?
      [ "$status" = "$unavailable" ] || return "$status"
    done
    fetch_again || break
  done
  if [ -z "$fresh" ] && kept_lists "$suite" "$arch"; then
    warn "package lists of $suite $arch: going on with those that were read before"
    status=0
    "$@" || status=$?
    [ "$status" = "$unavailable" ] || return "$status"
  fi
  [ -n "$fetch_reason" ] || fetch_reason="package lists of $suite $arch: $(reason_in "$(log_of "package lists of $suite $arch")")"
  echo "$fetch_reason" >"$world/gave-up"
  unavailable_now "$fetch_reason"
}

# read_lists SUITE ARCH ROUTE: one apt-get update. What it replaces is kept when it fails. Uses the caller's alias, which is
# looked for once, and only where it is needed.
read_lists() {
  local suite=$1 arch=$2 world=$debian_home/apt/$1-$2 name=$1 address compression=${3#*:} sources_list
  if [ "$suite" = machine ]; then
    case $3 in alias:*) return 1 ;; esac
    machine_sources "$world"
    : >"$world/sources.list"
    # A third-party source may not answer at all: what counts is whether the packages are found in the rest.
    attempt "package lists of $suite $arch" "$world/state/lists" apt_private "$suite" "$arch" apt-get update || true
    touch "$world/ready"
    return
  fi
  address=$(archive) || return 1
  if [ "${3%:*}" = alias ]; then
    [ -n "$alias" ] || alias=$(find_alias "$suite" "$arch" "$address") || alias=none
    if [ "$alias" = none ]; then return 1; fi
    name=$alias
  fi
  sources_list=$world/sources.list.new
  source_line "$address" "$name" "$arch" >"$sources_list"
  attempt "package lists of $suite $arch" "$world/state/lists" apt_private "$suite" "$arch" apt-get update --error-on=any \
    -o Acquire::CompressionTypes::Order::="$compression" || return 1
  # Aliases move on when Debian makes a release: apt has verified this file, so its word counts.
  if ! grep -sqx "Codename: $suite" "$world/state/lists/$(list_prefix "$address" "$name")_"{InRelease,Release}; then
    warn "$name is not $suite"
    return 1
  fi
  [ "$name" = "$suite" ] || say "package lists of $suite $arch: read as $name" >&2
  mv "$sources_list" "$world/sources.list"
  touch "$world/ready"
}

list_prefix() { sed -E 's,^[a-z]+://,,; s,/,_,g' <<<"$1/dists/$2"; }

# find_alias SUITE ARCH ADDRESS: the other name of a suite, e.g. oldstable-backports for bookworm-backports. Only a hint:
# read_lists checks the signed word.
find_alias() {
  local suite=$1 arch=$2 address=$3 folder=$debian_home/apt/$1-$2/alias alias suffix=
  case $suite in *-*) suffix=-${suite#*-} ;; esac
  mkdir -p "$folder"
  for alias in "${aliases[@]/%/$suffix}"; do
    [ "$SECONDS" -lt "$fetch_until" ] || break
    rm -f "$folder/InRelease"
    attempt "Release of $alias" "$folder" apt_private "$suite" "$arch" /usr/lib/apt/apt-helper download-file \
      "$address/dists/$alias/InRelease" "$folder/InRelease" || continue
    if grep -qx "Codename: $suite" "$folder/InRelease"; then
      echo "$alias"
      return
    fi
  done
  return 1
}

# kept_lists SUITE ARCH: whether lists are there from earlier, here or in the system's own apt (which has verified them).
kept_lists() {
  local suite=$1 arch=$2 world=$debian_home/apt/$1-$2 address name prefix
  [ "$suite" != machine ] || return 1
  [ ! -e "$world/ready" ] || return 0
  address=$(archive) || return 1
  for name in "$suite" "${aliases[@]}"; do
    prefix=$(list_prefix "$address" "$name")
    grep -qx "Codename: $suite" "$machine_lists/${prefix}_InRelease" 2>/dev/null || continue
    compgen -G "$machine_lists/${prefix}_main_binary-${arch}_Packages*" >/dev/null || continue
    cp "$machine_lists/${prefix}_InRelease" "$machine_lists/${prefix}_main_binary-${arch}_Packages"* "$world/state/lists/"
    source_line "$address" "$name" "$arch" >"$world/sources.list"
    touch "$world/ready"
    return
  done
  return 1
}

# debs SUITE ARCH PACKAGE...: downloads what is not there and prints the paths of the archives.
debs() { exclusively "debs-$1-$2" debs_once "$@"; }
debs_once() {
  local suite=$1 arch=$2 store=$debian_home/debs/$1-$2 package wanted=()
  shift 2
  mkdir -p "$store/arriving"
  for package; do [ -n "$(deb_of "$store" "$package")" ] || wanted+=("$package"); done
  if [ ${#wanted[@]} -gt 0 ]; then with_lists "$suite" "$arch" download "$suite" "$arch" "$store" "${wanted[@]}" || return; fi
  for package; do deb_of "$store" "$package"; done
}

# The newest archive of a package in a store.
deb_of() {
  local file newest=
  for file in "$1/$2"_*.deb; do
    if [ -f "$file" ] && { [ -z "$newest" ] || [ "$file" -nt "$newest" ]; }; then newest=$file; fi
  done
  [ -z "$newest" ] || printf '%s\n' "$newest"
}

# download SUITE ARCH STORE PACKAGE...: what arrives whole is kept even if the rest does not arrive.
download() {
  local suite=$1 arch=$2 store=$3 log wanted file sum missing=()
  shift 3
  log=$(log_of "names of $suite $arch")
  if ! wanted=$(apt_private "$suite" "$arch" apt-get download --print-uris "$@" 2>"$log"); then
    fetch_reason="$suite $arch: $(reason_in "$log")"
    warn "$fetch_reason"
    # With whole, new lists that is a wrong name, an error of ours; the machine's own may lack parts.
    if [ -n "$fresh" ] && [ "$suite" != machine ]; then return 1; fi
    return "$unavailable"
  fi
  (cd "$store/arriving" && attempt "packages of $suite $arch" . apt_private "$suite" "$arch" apt-get download "$@") || true
  while read -r _ file _ sum; do
    if whole "$store/arriving/$file" "$sum"; then
      mv "$store/arriving/$file" "$store/"
    elif ! whole "$store/$file" "$sum"; then
      missing+=("$file")
    fi
  done <<<"$wanted"
  rm -rf "$store/arriving"/*
  [ ${#missing[@]} != 0 ] || return 0
  fetch_reason="$suite $arch: did not arrive whole: ${missing[*]}"
  return "$unavailable"
}

# whole FILE ALGORITHM:SUM
whole() {
  case $2 in
  SHA256:* | SHA512:*) [ -f "$1" ] && "${2%%:*}sum" --check --status <<<"${2#*:}  $1" ;;
  *) return 1 ;;
  esac
}
SHA256sum() { sha256sum "$@"; }
SHA512sum() { sha512sum "$@"; }

# source_of SUITE PACKAGE: downloads a source package and prints the folder with its files.
source_of() { exclusively "source-$1-$2" source_once "$@"; }
source_once() {
  local suite=$1 package=$2 folder=$debian_home/source/$1-$2
  if [ ! -e "$folder" ]; then
    mkdir -p "$folder.new"
    with_lists "$suite" source download_source "$suite" "$package" "$folder.new" || return
    mv "$folder.new" "$folder"
  fi
  echo "$folder"
}
download_source() {
  (cd "$3" && attempt "source of $2" . apt_private "$1" source apt-get source --download-only "$2") && return
  fetch_reason="$1: source of $2: $(reason_in "$(log_of "source of $2")")"
  return "$unavailable"
}

# closure SUITE ARCH PACKAGE: the package and everything it needs, one name a line.
closure() { exclusively "debs-$1-$2" with_lists "$1" "$2" depends "$@"; }
depends() {
  apt_private "$1" "$2" apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances "$3" | grep -E '^[a-z0-9]' | sort -u
}

# unpack_plain FOLDER DEB...: without running any maintainer script.
unpack_plain() {
  local folder=$1 archive
  shift
  mkdir -p "$folder"
  for archive; do dpkg -x "$archive" "$folder" || { rm -f "$archive"; return 1; }; done
}
