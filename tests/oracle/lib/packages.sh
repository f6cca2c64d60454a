# shellcheck shell=bash
# Debian packages, unpacked below $CACHE without installing anything. Sourced. Fetched as tools/debian.sh does it, from what the
# machine's own apt sources offer (security updates bring most kernels), with lists of its own.
. "$TOP/tools/lib.sh"
set +o pipefail # the scripts here were written without
. "$TOP/tools/debian.sh"

# oracle_deb PACKAGE:ARCH: the archive's path.
oracle_deb() {
  local arch=${1##*:}
  [ "$arch" != all ] || arch=armhf
  debs machine "$arch" "${1%%:*}"
}

# unpack ROOT PACKAGE:ARCH...
unpack() {
  local root=$1 package deb; shift
  for package in "$@"; do
    deb=$(oracle_deb "$package") || { echo "cannot download $package" >&2; return 1; }
    unpack_plain "$root" "$deb"
  done
}

# The kernel that the meta package stands for today, e.g. 6.1.0-50-armmp. An older one of the same series is as good an oracle:
# every recording says which one answered.
current_kernel() {
  exclusively debs-machine-armhf with_lists machine armhf kernel_dependency
}
kernel_dependency() {
  local found
  found=$(apt_private machine armhf apt-cache depends linux-image-armmp 2>/dev/null | sed -n 's/.*Depends: linux-image-\([^:]*\).*/\1/p' | head -1)
  if [ -z "$found" ]; then
    fetch_reason="the package lists do not have linux-image-armmp"
    return "$unavailable"
  fi
  echo "$found"
}
