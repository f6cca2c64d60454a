# shellcheck shell=bash
# Debian packages, unpacked below $CACHE without installing anything. Sourced.
# The machine's own apt sources for Debian are used, with private lists, so no foreign architecture has to be enabled.

APT_DIR=$CACHE/apt

# Foreign repositories may not carry armhf: only the sources signed by Debian's own key are taken.
apt_setup() {
  mkdir -p "$APT_DIR"/{lists/partial,cache/archives/partial,parts,debs}
  [ -e "$APT_DIR/status" ] || : > "$APT_DIR/status"
  local source
  for source in /etc/apt/sources.list.d/*; do
    if grep -qs debian-archive-keyring "$source"; then cp "$source" "$APT_DIR/parts/"; fi
  done
  cat > "$APT_DIR/apt.conf" <<CONF
APT::Architecture "armhf";
APT::Architectures { "armhf"; "$(dpkg --print-architecture)"; };
APT::Get::List-Cleanup "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::State::lists "$APT_DIR/lists";
Dir::State::status "$APT_DIR/status";
Dir::Cache "$APT_DIR/cache";
Dir::Etc::sourceparts "$APT_DIR/parts";
CONF
}

apt_private() { local tool=$1; shift; APT_CONFIG=$APT_DIR/apt.conf "$tool" "$@"; }

# An index may be in the middle of an update on a mirror: one more try after a pause, then without that index.
# An older kernel of the same series is as good an oracle; every recording says which one answered.
apt_update() {
  apt_setup
  apt_private apt-get update -qq && return
  sleep 10
  apt_private apt-get update -qq || echo "going on with the indexes that could be fetched" >&2
}

# unpack ROOT PACKAGE...: downloads what is not there yet and unpacks it into ROOT.
unpack() {
  local root=$1 package deb; shift
  mkdir -p "$root"
  for package in "$@"; do
    deb=$(find "$APT_DIR/debs" -name "${package%%:*}_*.deb" | grep -E "_(${package##*:}|all)\.deb$" | head -1)
    if [ -z "$deb" ]; then
      (cd "$APT_DIR/debs" && apt_private apt-get download -qq "$package") || { echo "cannot download $package" >&2; return 1; }
      deb=$(find "$APT_DIR/debs" -name "${package%%:*}_*.deb" | grep -E "_(${package##*:}|all)\.deb$" | head -1)
    fi
    dpkg -x "$deb" "$root"
  done
}

# The kernel that the meta package stands for today, e.g. 6.1.0-50-armmp.
current_kernel() {
  apt_private apt-cache depends linux-image-armmp:armhf | sed -n 's/.*Depends: linux-image-\([^:]*\).*/\1/p' | head -1
}
