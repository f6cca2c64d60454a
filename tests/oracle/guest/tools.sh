#!/bin/sh
# The mtd-utils, sysfs and the kernel's test modules on every device of $DEVICES.
. /job/devices.sh
. /job/params
. /job/tool-commands.sh

R() { # R THEME COMMAND... ['<' FILE]: runs it in /tmp and records command, output, status
  f=/out/$d/utils/$1; shift
  [ -e "$f" ] || basename "$f" >> /out/$d/utils/order.txt
  echo "\$ $*" >> "$f"
  input=/dev/null
  case " $* " in *" < "*) for input in "$@"; do :; done; set -- $(echo "$*" | sed 's/ <.*//') ;; esac
  timeout -s KILL 60 "$@" > /tmp/so 2> /tmp/se < "$input"; rc=$?
  # awk ends a last line that a tool left open.
  tr '\r' '\n' < /tmp/so | awk '{print "O: " $0}' >> "$f"; tr '\r' '\n' < /tmp/se | awk '{print "E: " $0}' >> "$f"; echo "rc=$rc" >> "$f"
}

attributes() { # attributes FOLDER: every file of a sysfs folder on one line each
  for a in "$1"/*; do
    if [ -f "$a" ]; then printf '%s: ' "$(basename "$a")"; cat "$a" 2>&1 | tr '\n' '|'; echo; fi
  done
  echo "-> $(readlink -f "$1")"
}

guest_view() {
  cat /proc/mtd > $o/proc_mtd.txt
  ls -l /dev/mtd* > $o/ls_dev.txt
  ls -lR /sys/class/mtd > $o/ls_sys_class_mtd.txt 2>&1
  for n in /sys/class/mtd/mtd* /sys/block/mtdblock*; do
    attributes $n > $o/sysfs/$(basename $n).txt; cat $n/uevent | sed '/^DISKSEQ/d' > $o/sysfs/$(basename $n).uevent
  done
}

inputs() { # the files that the commands read, cut from the payload
  head -c 300000 /job/payload.txt > p300k; head -c $ES /job/payload.txt > pblk; head -c 5 /job/payload.txt > p5; head -c 16 /job/payload.txt > p16
  NP=$((PS > 1 ? PS * 3 : 1000)); head -c $NP /job/payload.txt > p3; echo y > yes
  md5sum p300k pblk p3 p5 p16 > $o/utils/payload.md5
}

kernel_tests() { # the kernel's own test modules; each starts on a fresh device
  mkdir -p $o/kmodtests
  for t in oobtest pagetest readtest subpagetest nandbiterrs stresstest nandecctest; do
    load $d; dmesg -c > /dev/null; a="dev=$N"
    case $t in stresstest) a="$a count=200" ;; nandbiterrs) a="$a mode=1" ;; nandecctest) a= ;; esac
    timeout 300 modprobe mtd_$t $a; rc=$?
    { echo "modprobe mtd_$t $a rc=$rc"; dmesg | sed 's/^\[[ 0-9.]*\] //' | tail -40; } > $o/kmodtests/$t.txt
    rmmod mtd_$t 2> /dev/null; unload
  done
}

for d in $DEVICES; do
  o=/out/$d; mkdir -p $o/utils $o/sysfs; load $d || continue
  M=$NODE; N=${M#/dev/mtd}; c=/sys/class/mtd/mtd$N
  ES=$(cat $c/erasesize); PS=$(cat $c/writesize); OOB=$(cat $c/oobsize); SZ=$(cat $c/size)
  cd /tmp; guest_view; inputs; tool_commands; unload
  case " $KERNEL_TESTS " in *" $d "*) kernel_tests ;; esac
  echo "$d tools done at $(cut -d' ' -f1 /proc/uptime)"
done
