# uClibc-ng from Debian's uclibc-source, built with the cross compiler the other roots use.
# Sourced by build; needs $home, $here, $gcc, kernel_headers.
# shellcheck shell=bash

# uclibc_config HEADERS OPTION...: what every variant has in common, then the variant's own options.
uclibc_config() {
  local headers=$1 option
  shift
  for option in TARGET_arm CONFIG_ARM_EABI ARCH_WANTS_LITTLE_ENDIAN ARCH_USE_MMU UCLIBC_HAS_FPU DO_C99_MATH HAVE_SHARED DOPIC \
    LDSO_PRELOAD_ENV_SUPPORT LDSO_LD_LIBRARY_PATH MALLOC_STANDARD UCLIBC_SUSV2_LEGACY UCLIBC_SUSV3_LEGACY \
    UCLIBC_SUSV3_LEGACY_MACROS UCLIBC_SUSV4_LEGACY UCLIBC_LINUX_SPECIFIC UCLIBC_BSD_SPECIFIC UCLIBC_HAS_GNU_ERROR \
    UCLIBC_HAS_BSD_ERR UCLIBC_SV4_DEPRECATED UCLIBC_HAS_REALTIME UCLIBC_HAS_ADVANCED_REALTIME UCLIBC_HAS_EPOLL \
    UCLIBC_HAS_SOCKET UCLIBC_HAS_FTW UCLIBC_HAS_NFTW UCLIBC_HAS_FTS UCLIBC_HAS_GLOB UCLIBC_HAS_GNU_GLOB UCLIBC_HAS_FNMATCH \
    UCLIBC_HAS_GNU_GETOPT UCLIBC_HAS_CTYPE_TABLES UCLIBC_HAS_PROGRAM_INVOCATION_NAME UCLIBC_HAS___PROGNAME \
    UCLIBC_HAS_STDIO_BUFSIZ_4096 UCLIBC_HAS_STDIO_AUTO_RW_TRANSITION UCLIBC_HAS_STUBS DOSTRIP "$@"; do
    echo "$option=y"
  done
  # A root without its own ld.so.cache would be given the host's.
  echo "# LDSO_CACHE_SUPPORT is not set"
  echo "KERNEL_HEADERS=\"$headers\""
  echo 'RUNTIME_PREFIX="/"'
  echo 'DEVEL_PREFIX="/usr"'
  echo 'MULTILIB_DIR="lib"'
}

# uclibc_root ROOT FLAGS OPTION...: one variant in ROOT. What is not named stays off: UCLIBC_HAS_LINUXTHREADS leaves
# thread-local storage out. The library takes minutes, so it is kept apart from the root and its clients.
uclibc_root() {
  local root=$1 built=$home/uclibc/${1##*/} headers
  headers=$(kernel_headers) || return
  if ! made_from "$built" "$(uclibc_config "" "")" "${@:2}"; then
    rm -rf "$built" "$built.work"
    uclibc_build "$built" "$headers" "${@:2}" || return
    rm -rf "$built.work"
    record_made_from "$built" "$(uclibc_config "" "")" "${@:2}"
  fi
  cp -a "$built" "$root" && mkdir -p "$root/usr/bin" && ln -s usr/bin "$root/bin"
}

# uclibc_build TARGET HEADERS FLAGS OPTION...: configures, builds and installs into TARGET.
uclibc_build() {
  local built=$1 work=$1.work headers=$2 flags=$3 name=${1##*/} deb make
  deb=$(debs bookworm "$(dpkg --print-architecture)" uclibc-source) || return
  mkdir -p "$work" "$built"
  dpkg-deb --fsys-tarfile "$deb" | tar -xO --wildcards './usr/src/uClibc-ng-*.tar.xz' |
    tar -xJ -C "$work" --strip-components=1 || return 1
  uclibc_config "$headers" "${@:4}" >"$work/.config"
  make=(make -C "$work" -j"$(nproc)" ARCH=arm CC="$gcc $flags" AR="${gcc%gcc}ar" LD="${gcc%gcc}ld" NM="${gcc%gcc}nm"
    OBJDUMP="${gcc%gcc}objdump" STRIPTOOL="${gcc%gcc}strip" HOSTCC=cc)
  quietly "uClibc configuration $name" "${make[@]}" olddefconfig &&
    quietly "uClibc build $name" "${make[@]}" &&
    quietly "uClibc installation $name" "${make[@]}" PREFIX="$built" install_runtime install_dev
}
