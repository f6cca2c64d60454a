# shellcheck shell=bash
# The kernel, its modules (the shipped ones and those built here) and the root file system of the guest. Sourced.

ROOT=$CACHE/root          # what the guest sees
BUILD=$CACHE/build        # headers, kbuild tools and the mtd part of the kernel source

LIBRARIES="libc6 libgcc-s1 zlib1g liblzo2-2 libzstd1 libuuid1 libssl3 libselinux1 libpcre2-8-0 libiniparser1"

fetch_guest_root() {
  local library
  unpack "$ROOT" "linux-image-$KV:armhf" busybox-static:armhf mtd-utils:armhf
  for library in $LIBRARIES; do unpack "$ROOT" "$library:armhf"; done
}

# Kbuild's helper programs must run here, so they come from the package of this machine's architecture: Debian's modpost
# serves every target.
fetch_build_tree() {
  local file
  unpack "$BUILD" "linux-headers-$KV:armhf" "linux-headers-${KV%-armmp}-common:all" \
    "linux-kbuild-${KV%.*}:$(dpkg --print-architecture)" "linux-source-${KV%.*}:all"
  for file in "$BUILD/usr/src/linux-headers-$KV"/{Makefile,.kernelvariables}; do
    [ -e "$file" ] && sed -i "s#\([ =:]\)/usr/src/#\1$BUILD/usr/src/#g" "$file"
  done
  [ -d "$BUILD/source" ] && return
  mkdir -p "$BUILD/source.new"
  tar xJf "$BUILD/usr/src/linux-source-${KV%.*}.tar.xz" -C "$BUILD/source.new" --strip-components=1 \
    --wildcards '*/drivers/mtd'
  mv "$BUILD/source.new" "$BUILD/source"
}

# Debian ships nandsim, mtdblock, ofpart and spi-nor; what follows is in the source but not in its configuration.
write_kbuild_file() {
  local test own
  mkdir -p "$BUILD/modules"
  cp "$BUILD"/source/drivers/mtd/{devices/mtdram.c,devices/block2mtd.c,mtdcore.h} \
    "$BUILD"/source/drivers/mtd/chips/{chipreg,cfi_probe,gen_probe,cfi_util,cfi_cmdset_0001,cfi_cmdset_0002}.c \
    "$BUILD"/source/drivers/mtd/chips/fwh_lock.h "$BUILD"/source/drivers/mtd/tests/*.[ch] \
    "$BUILD"/source/drivers/mtd/parsers/cmdlinepart.c "$HERE"/guest/kmod/*.c "$BUILD/modules/" 2>/dev/null
  # nandsim refuses a program of less than page and spare area (data alone in RAW mode), which real chips take. A second
  # nandsim takes it too, so that what the kernel does with such programs can be recorded.
  sed 's/if (num != ns->regs.count) {/num = ns->regs.count;\n\t\tif (0) {/' \
    "$BUILD/source/drivers/mtd/nand/raw/nandsim.c" > "$BUILD/modules/nandsim_short.c"
  grep -q 'num = ns->regs.count' "$BUILD/modules/nandsim_short.c" || { echo "nandsim has changed: see kernel.sh" >&2; return 1; }
  {
    echo "obj-m := mtdram.o cmdlinepart.o nandsim_short.o block2mtd.o mtd_nandecctest.o"
    echo "obj-m += chipreg.o cfi_util.o gen_probe.o cfi_probe.o cfi_cmdset_0001.o cfi_cmdset_0002.o"
    for own in "$HERE"/guest/kmod/*.c; do [ -e "$own" ] && echo "obj-m += $(basename "$own" .c).o"; done
    for test in oobtest pagetest readtest speedtest stresstest subpagetest torturetest nandbiterrs; do
      echo "obj-m += mtd_$test.o"
      echo "mtd_$test-objs := $test.o mtd_test.o"
    done
    # The header <linux/mtd/map.h> leaves out what the kernel's configuration does not name.
    echo "ccflags-y := -DCONFIG_MTD_MAP_BANK_WIDTH_1=1 -DCONFIG_MTD_MAP_BANK_WIDTH_2=1 -DCONFIG_MTD_CFI_I1=1"
    echo "ccflags-y += -DCONFIG_MTD_COMPLEX_MAPPINGS=1 -DCONFIG_MTD_CFI_INTELEXT_MODULE=1 -DCONFIG_MTD_CFI_AMDSTD_MODULE=1"
    echo "ccflags-y += -DCONFIG_MTD_OTP=1 -DCONFIG_MTDRAM_TOTAL_SIZE=4096 -DCONFIG_MTDRAM_ERASE_SIZE=128"
    # That changes struct map_info, which the kernel's built-in chip registry also uses: the modules get one of their own.
    for own in do_map_probe map_destroy register_mtd_chip_driver unregister_mtd_chip_driver; do
      echo "ccflags-y += -D$own=oracle_$own"
    done
  } > "$BUILD/modules/Kbuild"
}

build_modules() {
  write_kbuild_file
  nice -n 10 make -C "$BUILD/usr/src/linux-headers-$KV" M="$BUILD/modules" ARCH=arm CROSS_COMPILE=arm-linux-gnueabihf- \
    modules > "$BUILD/make.log" 2>&1 || { tail -30 "$BUILD/make.log" >&2; return 1; }
  mkdir -p "$ROOT/lib/modules/$KV/extra"
  cp "$BUILD"/modules/*.ko "$ROOT/lib/modules/$KV/extra/"
}

# Only what flash needs goes into the guest: every module here is read at every boot.
pack_base() {
  local base=$CACHE/base keep
  rm -rf "$base"; mkdir -p "$base"/{bin,sbin,dev,proc,sys,etc,tmp,out,job,usr/sbin,lib/arm-linux-gnueabihf,"lib/modules/$KV/kernel"}
  cp "$ROOT/bin/busybox" "$base/bin/"
  cp "$ROOT"/usr/sbin/* "$base/usr/sbin/" 2>/dev/null || true
  cp -a "$ROOT"/{lib,usr/lib}/arm-linux-gnueabihf/*.so* "$base/lib/arm-linux-gnueabihf/" 2>/dev/null || true
  ln -sf arm-linux-gnueabihf/ld-linux-armhf.so.3 "$base/lib/ld-linux-armhf.so.3"
  for keep in drivers/mtd drivers/virtio drivers/block/virtio_blk.ko drivers/block/brd.ko drivers/spi lib/bch.ko drivers/char/hw_random crypto lib; do
    [ -e "$ROOT/lib/modules/$KV/kernel/$keep" ] || continue
    mkdir -p "$base/lib/modules/$KV/kernel/$(dirname "$keep")"
    cp -a "$ROOT/lib/modules/$KV/kernel/$keep" "$base/lib/modules/$KV/kernel/$(dirname "$keep")/"
  done
  cp -a "$ROOT/lib/modules/$KV/extra" "$base/lib/modules/$KV/" 2>/dev/null || true
  cp -a "$ROOT/lib/modules/$KV"/modules.{order,builtin,builtin.modinfo} "$base/lib/modules/$KV/" 2>/dev/null || true
  qemu-arm "$base/bin/busybox" depmod -b "$base" "$KV"
  cp "$HERE/guest/init" "$base/init"; chmod +x "$base/init"
  (cd "$base" && find . | LC_ALL=C sort | cpio -o -H newc --quiet | gzip -1) > "$CACHE/base.cpio.gz.new"
  mv "$CACHE/base.cpio.gz.new" "$CACHE/base.cpio.gz"
  cmp -s "$ROOT/boot/vmlinuz-$KV" "$CACHE/vmlinuz" || cp "$ROOT/boot/vmlinuz-$KV" "$CACHE/vmlinuz"
  cp -r "$ROOT/usr/lib/linux-image-$KV" "$CACHE/dtb" 2>/dev/null || true
}
