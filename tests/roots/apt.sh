# Debian packages of any suite and architecture, without touching the system's own apt: lists, status and sources live
# under the cache. (tools/apt.sh serves the machine's own suites; here every suite has a world of its own, so that no version
# of one can be taken for another's.) Sourced by build after tools/lib.sh; needs $home.
# shellcheck shell=bash

# The archive's address and settings (proxy, certificates) are those the system already uses; MTDSHIM_DEBIAN names another.
archive() {
  local address=${MTDSHIM_DEBIAN:-}
  [ -n "$address" ] || address=$(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 2>/dev/null |
    awk '$2 == "Debian" { print $1; exit }')
  [ -n "$address" ] || address=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d \
    2>/dev/null | head -n 1)
  [ -n "$address" ] || { warn "no Debian archive in this system's apt sources: set MTDSHIM_DEBIAN to one"; return 1; }
  echo "$address"
}

# apt_private SUITE ARCH COMMAND...: one apt-get or apt-cache command in that suite's world.
apt_private() {
  local world=$home/apt/$1-$2 arch=$2 command=$3
  shift 3
  "$command" -q -o Dir::State="$world/state" -o Dir::State::status="$world/status" -o Dir::Cache="$world/cache" \
    -o Dir::Etc::sourcelist="$world/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferencesparts=/dev/null -o APT::Architecture="$arch" -o APT::Architectures="$arch" \
    -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User= "$@"
}

# exclusively LOCK COMMAND...: several builds may run at once; what they share is made by one of them. A lock is taken
# inside another only in the order root, headers or compiler, archives, lists.
exclusively() {
  local lock=$home/locks/$1
  shift
  mkdir -p "$home/locks"
  (
    flock 9
    "$@" 9>&-
  ) 9>"$lock"
}

# lists SUITE ARCH: the package lists of one suite, fetched once.
lists() { exclusively "lists-$1-$2" lists_once "$@"; }
lists_once() {
  local suite=$1 arch=$2 world=$home/apt/$1-$2 address
  [ -e "$world/ready" ] && return 0
  address=$(archive) || return 1
  mkdir -p "$world/state/lists/partial" "$world/cache/archives/partial"
  : >"$world/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $address $suite main" >"$world/sources.list"
  retry "package lists of $suite $arch" apt_private "$suite" "$arch" apt-get update --error-on=any || return 1
  touch "$world/ready"
}

# debs SUITE ARCH PACKAGE...: downloads (once) and prints the paths of the archives.
debs() { exclusively "debs-$1-$2" debs_once "$@"; }
debs_once() {
  local suite=$1 arch=$2 store=$home/debs/$1-$2 package found wanted=()
  shift 2
  mkdir -p "$store"
  for package; do compgen -G "$store/${package}_*.deb" >/dev/null || wanted+=("$package"); done
  if [ ${#wanted[@]} -gt 0 ]; then
    lists "$suite" "$arch" || return 1
    if ! (cd "$store" && retry "packages of $suite $arch" apt_private "$suite" "$arch" apt-get download "${wanted[@]}" >&2); then
      rm -f "$home/apt/$suite-$arch/ready" # the lists may have moved on since they were read
      return 1
    fi
  fi
  for package; do
    found=$(compgen -G "$store/${package}_*.deb" | tail -n 1) || true
    [ -n "$found" ] || { warn "$suite $arch: $package did not arrive"; return 1; }
    echo "$found"
  done
}

# closure SUITE ARCH PACKAGE: the package and everything it needs, one name a line.
closure() {
  lists "$1" "$2" || return 1
  apt_private "$1" "$2" apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances "$3" | grep -E '^[a-z0-9]' | sort -u
}

# unpack ROOT DEB...: into a root whose /lib, /bin and /sbin are merged into /usr, whatever the package's own layout.
# Absolute links become relative ones: the linker would follow them out of the root.
unpack() {
  local root=$1 entry target
  shift
  mkdir -p "$root/usr/lib" "$root/usr/bin" "$root/usr/sbin"
  for entry in lib bin sbin; do [ -e "$root/$entry" ] || ln -s "usr/$entry" "$root/$entry"; done
  for entry; do
    dpkg-deb --fsys-tarfile "$entry" | tar -x -C "$root" --keep-directory-symlink --no-same-owner \
      --exclude=./usr/share/doc --exclude=./usr/share/man --exclude=./usr/share/locale || return 1
  done
  find "$root" -type l -lname '/*' | while read -r entry; do
    target=$root$(readlink "$entry")
    ln -sfnr "$target" "$entry"
  done
}
