#!/bin/sh
# The conformance program on every device of $DEVICES: themes, random and wild seeds, each on a fresh device.
. /job/devices.sh
. /job/params

probe() { # probe FILE ARGUMENT...
  file=$1; shift
  mtdprobe "$NODE" "$@" > "$file" 2>&1 < /dev/null; rc=$?
  [ $rc = 0 ] || { echo "rc=$rc" >> "$file"; echo "$d $* rc=$rc"; }
}

for d in $DEVICES; do
  mkdir -p /out/$d/scenario /out/$d/random /out/$d/wild
  { echo "kernel: $(uname -r)"; echo "version: $(uname -v)"; echo "parameters: modprobe $(parameters $d)"; echo "node: $(node $d)"; } > /out/$d/guest.txt
  for s in $SCENARIOS; do
    # These write in RAW mode without spare area.
    case $s in overwrite|memwrite|modes) SHORT=_short ;; *) SHORT= ;; esac
    load $d && probe /out/$d/scenario/$s.txt $s; unload
  done
  SHORT=
  for s in $SEEDS; do load $d && probe /out/$d/random/seed$s.txt random $s 300; unload; done
  SHORT=_short
  for s in $WILD; do load $d && probe /out/$d/wild/seed$s.txt wild $s 300; unload; done
  # Buffers that cannot be touched, and the block device, on one device of each driver.
  case $d in mtdram|nand8m_2k|cfi8m_64k|spi4m_w25q32dw) more="ptrprobe blkprobe" ;; nand16m_512|cfi8m_64k_amd|nand8m_odd*) more=blkprobe ;; *) more= ;; esac
  for program in $more; do
    mkdir -p /out/$d/extra
    load $d && $program $NODE > /out/$d/extra/$program.txt 2>&1 < /dev/null; unload
  done
  # The cache of the block device, where blocks can be erased and locked in different ways.
  case $d in mtdram|nand8m_2k|nand16m_512|nand8m_parts|cfi8m_64k|cfi8m_64k_amd|spi4m_w25q32dw|spi8m_m25p64|cfi8m_64k_boot|cfi8m_64k_boot_mtd3|nand8m_odd_mtd3)
    mkdir -p /out/$d/extra
    load $d && blkprobe $NODE cache > /out/$d/extra/blkcache.txt 2>&1 < /dev/null; unload
    load $d && blkprobe $NODE any > /out/$d/extra/blkany.txt 2>&1 < /dev/null; unload ;;
  esac
  SHORT=
  # NOR has more to say: programming ANDs, the lock matrix, the one-time-programmable areas.
  case $d in cfi*|spi*)
    mkdir -p /out/$d/extra
    load $d && norx $NODE > /out/$d/extra/norx_lock.txt 2>&1; unload
    load $d && norx $NODE otp > /out/$d/extra/norx_otp.txt 2>&1; unload ;;
  esac
  echo "$d transcripts done at $(cut -d' ' -f1 /proc/uptime)"
done
