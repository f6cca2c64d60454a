# Compiles the clients against a root's own headers and libraries, never the host's, into ROOT/bin.
# Sourced by build; needs $gcc, $here, $top (the project), float_flags, kernel_headers.
# shellcheck shell=bash

# clients_of TREE COMPILE...: every client, by a function that is given SOURCE OUTPUT FLAG...
clients_of() {
  local tree=$1 compile=$2 client
  shift 2
  for client in threads stdio forkexec dirs answers sh dd; do
    "$compile" "$top/tests/roots/clients/$client.c" "$tree/bin/$client" "$@" || return 1
  done
  "$compile" "$top/tests/clients/mtdprobe.c" "$tree/bin/mtdprobe" -D_FILE_OFFSET_BITS=64 "$@" || return 1
}

common=(-std=gnu99 -O1 -w -nostdinc -isystem "$($gcc -print-file-name=include)" -include "$here/clients/compat.h" -Wl,-z,lazy)

# compile_client OUTPUT COMMAND...: one compiler run with a log of its own.
compile_client() { quietly "link $(basename "$(dirname "$(dirname "$1")")") $(basename "$1")" "${@:2}"; }

link_glibc() {
  local tree=$1 float=$2 triplet=arm-linux-gnueabihf flags headers
  shift 2
  [ "$float" = hf ] || triplet=arm-linux-gnueabi
  flags=$(float_flags "$float") && headers=$(kernel_headers) || return
  glibc_client() {
    local source=$1 output=$2
    shift 2
    # shellcheck disable=SC2086 # flags are words
    compile_client "$output" $gcc "${common[@]}" $flags --sysroot="$tree" -isystem "$headers" -isystem "$tree/usr/include/$triplet" \
      -isystem "$tree/usr/include" -B"$tree/usr/lib/$triplet" -L"$tree/usr/lib/$triplet" -static-libgcc "$@" \
      -o "$output" "$source" -lpthread
  }
  clients_of "$tree" glibc_client "$@" || return 1
  # The second set of entry points, of programs built without large-file support.
  [ $# -gt 0 ] || glibc_client "$top/tests/clients/mtdprobe.c" "$tree/bin/mtdprobe32"
}

# A libc that brings everything but the compiler's own library: start files and libraries are named one by one.
link_musl() {
  local tree=$1 triplet=arm-linux-musleabihf loader=/lib/ld-musl-armhf.so.1 flags headers
  [ "$2" = hf ] || { triplet=arm-linux-musleabi loader=/lib/ld-musl-arm.so.1; }
  flags=$(float_flags "$2") && headers=$(kernel_headers) || return
  musl_client() {
    local source=$1 output=$2 lib=$tree/usr/lib/$triplet
    shift 2
    # shellcheck disable=SC2086 # flags are words
    compile_client "$output" $gcc "${common[@]}" $flags -fPIE -pie -isystem "$tree/usr/include/$triplet" -isystem "$headers" \
      -nostdlib -Wl,--dynamic-linker=$loader "$@" -o "$output" "$lib/Scrt1.o" "$lib/crti.o" "$source" -L"$lib" -lc -lgcc \
      "$lib/crtn.o"
  }
  clients_of "$tree" musl_client
}

link_uclibc() {
  local tree=$1 hash=$3 flags headers
  flags=$(float_flags "$2") && headers=$(kernel_headers) || return
  uclibc_client() {
    local source=$1 output=$2 lib=$tree/usr/lib
    shift 2
    # shellcheck disable=SC2086 # flags are words
    compile_client "$output" $gcc "${common[@]}" $flags -fno-pie -no-pie -fno-stack-protector --sysroot="$tree" \
      -isystem "$tree/usr/include" -isystem "$headers" -nostdlib -Wl,--dynamic-linker=/lib/ld-uClibc.so.1 \
      -Wl,--hash-style="$hash" "$@" -o "$output" "$lib/crt1.o" "$lib/crti.o" "$source" -L"$lib" -lc -lgcc "$lib/crtn.o"
  }
  clients_of "$tree" uclibc_client || return 1
  uclibc_client "$top/tests/clients/mtdprobe.c" "$tree/bin/mtdprobe32"
}
