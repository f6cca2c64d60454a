#!/bin/sh
# A firmware's own updater as vendors write them, for the root's busybox ash: partitions by name, checks, a retry loop, a
# pipe into the flash, an environment flag, a reboot. update.sh KERNEL ROOTFS
set -e
die() { echo "update: $*" >&2; exit 1; }
part() {
	while read -r dev size erasesize name; do
		case $name in "\"$1\"") echo "${dev%:}"; return 0 ;; esac
	done < /proc/mtd
	die "no partition $1"
}
sum() { md5sum | cut -d ' ' -f 1; }
trap 'echo "update: interrupted" >&2' INT TERM

kernel=$(part firmware) && rootfs=$(part rootfs) && env=$(part env) && block=mtdblock${env#mtd}
[ -c "/dev/$kernel" ] && [ -b "/dev/$block" ] || die "no nodes"
size=$(cat "/sys/class/mtd/$kernel/size") length=$(wc -c < "$1")
[ "$length" -le "$size" ] || die "$1: $length bytes do not fit into $size"
echo "kernel on $kernel, rootfs on $rootfs"

# NOR: erase, write through a pipe, compare; three tries.
want=$(sum < "$1") tries=0
until [ "$(dd if="/dev/$kernel" bs=4096 2>/dev/null | head -c "$length" | sum)" = "$want" ]; do
	tries=$((tries + 1))
	[ $tries -le 3 ] || die "the kernel does not verify"
	flash_erase -q "/dev/$kernel" 0 0
	cat "$1" | dd of="/dev/$kernel" bs=65536 2> /dev/null
done
echo "kernel verified after $tries"

# NAND: past bad blocks, in a subshell as other tools are started.
( flash_erase -q "/dev/$rootfs" 0 0 2> /dev/null; nandwrite -q -p "/dev/$rootfs" "$2" ) || die "rootfs"
nanddump -q --bb=skipbad "/dev/$rootfs" | head -c "$(wc -c < "$2")" | cmp - "$2" || die "the rootfs does not verify"
echo "rootfs verified"

# A flag in the environment block, by a descriptor that stays open for two commands.
exec 5<> "/dev/$block"
printf 'boot=b\0' >&5
printf 'try=1\0' >&5
exec 5>&-
[ "$(head -c 13 "/dev/$block" | tr '\0' ' ')" = "boot=b try=1 " ] || die "the flag is not there"
sync
echo done
reboot
sleep 5
die "still here"
