# shellcheck shell=bash
# One boot: a job folder goes in as /job, what its run.sh leaves in /out comes back. Sourced.

# boot JOB OUT: prints what run.sh prints; fails unless run.sh succeeded. MACHINE, CPU, MEMORY and TIMEOUT may be set.
boot() {
  local job=$1 out=$2 dir status
  dir=$(mktemp -d "$CACHE/boot.XXXXXX")
  mkdir -p "$dir/root/job" "$out"
  cp -a "$job"/. "$dir/root/job/"
  (cd "$dir/root" && find . | cpio -o -H newc --quiet | gzip -1) > "$dir/job.cpio.gz"
  cat "$CACHE/base.cpio.gz" "$dir/job.cpio.gz" > "$dir/initrd"
  truncate -s 256M "$dir/out.img"
  # The disk that carries the results back is on virtio where the machine has it, else it is an SD card.
  local disk="-device virtio-blk-device,drive=o" interface=none
  if [ "${MACHINE:-virt}" != virt ]; then disk= interface=sd; fi
  # shellcheck disable=SC2086
  nice -n 10 timeout --foreground "${TIMEOUT:-1800}" qemu-system-arm -M "${MACHINE:-virt}" -cpu "${CPU:-cortex-a15}" \
    -m "${MEMORY:-1536}" -nographic -monitor none -serial stdio -no-reboot -nodefaults -net none ${EXTRA:-} \
    -kernel "$CACHE/vmlinuz" -initrd "$dir/initrd" -append "console=ttyAMA0 quiet oops=panic panic=-1 rdinit=/init" \
    -drive "if=$interface,format=raw,file=$dir/out.img,id=o" $disk \
    < /dev/null | stdbuf -oL tr -d '\r' | tee "$dir/console" | sed -un '/^@@BEGIN/,/^@@END/p'
  tar xf "$dir/out.img" -C "$out" 2> /dev/null || echo "no results came back, see the console below" >&2
  status=$(sed -n 's/^@@END rc=//p' "$dir/console" | tail -1)
  [ -n "$status" ] || tail -20 "$dir/console" >&2
  rm -rf "$dir"
  return "${status:-99}"
}
