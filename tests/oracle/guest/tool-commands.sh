# Sourced in the guest: what the mtd-utils are asked, in order. `R THEME COMMAND...` runs and records one command;
# a last "< FILE" gives it an input. Recordings are replayed from the "$ command" lines, so nothing here may act unrecorded.
# Knows: M, N (number of the node), ES, PS, OOB, SZ, NP (bytes of three pages), LAST (its last block).

info_commands() {
  R mtdinfo mtdinfo; R mtdinfo mtdinfo -a; R mtdinfo mtdinfo $M; R mtdinfo mtdinfo -M $M; R mtdinfo mtdinfo -u $M
  R mtdinfo mtdinfo -m $N; R mtdinfo mtdinfo /dev/mtd9; R mtdinfo mtdinfo -m 9; R mtdinfo lsmtd; R mtdinfo lsmtd -a; R mtdinfo lsmtd -r
  R mtdinfo cat /proc/mtd; R mtdinfo cat /sys/class/mtd/mtd$N/size
}

erase_commands() {
  R flash_erase flash_erase $M 0 1; R flash_erase flash_erase -q $M 0 2; R flash_erase flash_erase $M 1 1
  R flash_erase flash_erase $M $ES 1; R flash_erase flash_erase $M $SZ 1; R flash_erase flash_erase -q $M 0 $((SZ / ES + 2))
  R flash_erase flash_erase -N $M 0 2; R flash_erase flash_erase -j $M 0 2; R flash_erase mtdprobe $M digest
  R flash_erase flash_erase -u $M 0 1; R flash_erase flash_erase -q $M 0 0; R flash_erase flash_erase ${M}ro 0 1
  R flash_erase flash_erase /dev/mtd7 0 1; R flash_erase mtdprobe $M digest
}

nand_commands() {
  R nandwrite flash_erase -q $M 0 0; R nandwrite nandwrite $M p300k; R nandwrite nandwrite -p $M p300k
  R nandwrite nandwrite -p -s $((8 * ES)) $M p3; R nandwrite nandwrite -s 1 $M p3; R nandwrite nandwrite -s $SZ $M p3
  R nandwrite nandwrite -p -s $((SZ - ES)) $M p300k; R nandwrite nandwrite -m -p $M p3; R nandwrite nandwrite -q -p -s $((12 * ES)) $M pblk
  R nandwrite nandwrite -N -p -s $((13 * ES)) $M p5; R nandwrite nandwrite $M /nonexist; R nandwrite mtdprobe $M digest
  R nanddump nanddump -f d1 $M -l $((3 * ES)); R nanddump md5sum d1; R nanddump nanddump -f d2 -o $M -l $ES; R nanddump md5sum d2
  R nanddump nanddump -f d3 -n -l $ES $M; R nanddump md5sum d3; R nanddump nanddump -n -o -f d3 -l $ES $M; R nanddump md5sum d3
  R nanddump nanddump -p -c -l $PS $M; R nanddump nanddump -c -o -l $PS -s $ES $M; R nanddump nanddump -s 5 -l 10 $M
  R nanddump nanddump -s $SZ -l 10 $M; R nanddump nanddump -a -c -l $PS $M
  R nanddump nanddump --bb=dumpbad -f d4 -l $ES $M; R nanddump md5sum d4
  R nanddump nanddump --bb=padbad -q -f d4 -l $((14 * ES)) $M; R nanddump md5sum d4
  R nanddump nanddump --bb=skipbad -q -f d4 -l $((14 * ES)) $M; R nanddump md5sum d4
}

# The blocks from $OB on are fresh in every recording; the chips differ in how many they have.
oob_commands() {
  OB=$((SZ / ES >= 32 ? 20 : 8))
  R nand_oob nanddump -q -o -l $((2 * ES)) -f wo $M; R nand_oob flash_erase -q $M $((OB * ES)) 8
  R nand_oob nandwrite -o -s $((OB * ES)) $M wo; R nand_oob nanddump -q -o -s $((OB * ES)) -l $((2 * ES)) -f wo2 $M; R nand_oob md5sum wo wo2
  R nand_oob nandwrite -n -o -s $(((OB + 2) * ES)) $M wo
  R nand_oob nanddump -q -n -o -s $(((OB + 2) * ES)) -l $((2 * ES)) -f wo3 $M; R nand_oob md5sum wo wo3
  R nand_oob nandwrite -a -o -s $(((OB + 4) * ES)) $M wo; R nand_oob nandwrite -O -o -s $(((OB + 6) * ES)) $M wo
  R nand_oob nanddump -q -o -s $(((OB + 6) * ES)) -l $ES -f wo4 $M; R nand_oob md5sum wo4
  R nand_oob nandflipbits $M 3@$((OB * ES + 100)); R nand_oob nanddump -q -s $((OB * ES)) -l $PS -f wo5 $M; R nand_oob md5sum wo5
  R nand_oob mtdprobe $M digest
}

nor_commands() {
  R nandwrite nandwrite $M p5; R nandwrite nandwrite -p -s $ES $M p3; R nandwrite nandwrite -s $SZ $M p5
  R nandwrite nandwrite -o $M p5; R nandwrite mtdprobe $M digest
  R nanddump nanddump -f d1 -l 1000 $M; R nanddump md5sum d1; R nanddump nanddump -c -l 64 $M; R nanddump nanddump -o -c -l 64 $M
  R nanddump nanddump -n -c -l 64 $M; R nanddump nanddump -s $SZ -l 10 $M
}

copy_commands() {
  R nandtest flash_erase -q $M 0 0; R nandtest nandtest -s 1 -l $((4 * ES)) $M; R nandtest nandtest -s 1 -k -o $ES -l $((2 * ES)) $M
  R nandtest nandtest -s 1 -l 5 $M; R nandtest mtdprobe $M digest
  R flashcp flashcp -v p300k $M; R flashcp mtdprobe $M digest; R flashcp flashcp p5 $M; R flashcp flashcp -A -v p300k $M
  R flashcp flashcp -v -p p3 $M; R flashcp flashcp /nonexist $M; R flashcp flashcp p5 ${M}ro; R flashcp mtdprobe $M digest
  R mtd_debug mtd_debug info $M; R mtd_debug mtd_debug erase $M 0 $ES; R mtd_debug mtd_debug write $M 0 $NP p3
  R mtd_debug mtd_debug read $M 0 $NP r3; R mtd_debug cmp p3 r3; R mtd_debug mtd_debug read $M $SZ 10 r4
  R mtd_debug mtd_debug read $M $((SZ - 5)) 10 r4; R mtd_debug mtd_debug erase $M 5 $ES; R mtd_debug mtd_debug erase $M $SZ $ES
  R mtd_debug mtd_debug write $M $ES 5 p5; R mtd_debug mtd_debug info ${M}ro
}

lock_commands() {
  R flash_lock flash_lock -i $M; R flash_lock flash_lock $M; R flash_lock flash_lock -i $M; R flash_lock flash_erase -q $M 0 1
  R flash_lock flash_lock $M 0 1; R flash_lock flash_unlock $M; R flash_lock flash_unlock $M 0 2; R flash_lock flash_lock $M $SZ 1
  R flash_lock flash_erase -q $M 0 1
  R flash_lock flash_lock $M $((SZ / 2)) $((SZ / 2 / ES)); R flash_lock flash_lock -i $M $((SZ / 2)) $((SZ / 2 / ES))
  R flash_lock flash_lock -i $M 0 1; R flash_lock flash_erase $M $((SZ / 2)) 1; R flash_lock flash_erase -q $M $((SZ / 2 - ES)) 2
  R flash_lock mtd_debug write $M $((SZ / 2)) 5 p5; R flash_lock mtd_debug write $M 0 $NP p3; R flash_lock flash_lock ${M}ro
  R flash_lock flash_erase -u -q $M $((SZ / 2)) 1; R flash_lock flash_lock -i $M $((SZ / 2)) 1; R flash_lock flash_unlock $M
  R flash_lock flash_lock -i $M; R flash_lock mtdprobe $M digest
}

otp_commands() {
  R flash_otp flash_otp_info -u $M; R flash_otp flash_otp_info -f $M; R flash_otp flash_otp_dump -u $M; R flash_otp flash_otp_dump -f $M
  R flash_otp flash_otp_write -u $M 0 '<' p16; R flash_otp flash_otp_dump -u $M; R flash_otp flash_otp_write -u $M 3 '<' p5
  R flash_otp flash_otp_erase -u $M 0 16 '<' yes; R flash_otp flash_otp_lock -u $M 0 16 '<' yes; R flash_otp flash_otp_info -u $M
  R flash_otp flash_otp_write -u $M 0 '<' p16; R flash_otp flash_otp_dump -u $M; R flash_otp flash_otp_write -f $M 0 '<' p16
}

other_commands() {
  R mtdpart mtdpart add $M foo $ES $((4 * ES)); R mtdpart cat /proc/mtd; R mtdpart mtdpart del $M 1; R mtdpart cat /proc/mtd
  R ftl ftl_check $M
  R dd flash_erase -q $M 0 0; R dd dd if=$M of=ddo bs=4096 count=10; R dd dd if=pblk of=$M bs=$ES count=1; R dd dd if=$M of=ddo bs=4096 count=10
  R dd md5sum ddo; R dd dd if=p3 of=$M bs=1 count=5 seek=$ES; R dd dd if=$M of=ddo bs=1000 skip=5 count=3; R dd md5sum ddo
  R dd mtdprobe $M digest
  R mtdblock dd if=/dev/mtdblock$N of=ddo bs=4096 count=10; R mtdblock md5sum ddo
  R mtdblock dd if=p300k of=/dev/mtdblock$N bs=1024 count=20 seek=3; R mtdblock dd if=/dev/mtdblock$N of=ddo bs=4096 count=10
  R mtdblock md5sum ddo; R mtdblock mtdprobe $M digest
}

ubi_commands() {
  R ubi modprobe ubi; R ubi flash_erase -q $M 0 0; R ubi ubiformat -y -q $M; R ubi ubiattach -p $M; R ubi ubimkvol /dev/ubi0 -N vol1 -s 200KiB
  R ubi ubimkvol /dev/ubi0 -N st -t static -s 100KiB; R ubi ubiupdatevol /dev/ubi0_0 p3; R ubi ubiupdatevol /dev/ubi0_1 p3; R ubi ubinfo -a
  R ubi ubirename /dev/ubi0 vol1 vol2; R ubi md5sum /dev/ubi0_1; R ubi ubirsvol /dev/ubi0 -n 0 -s 300KiB; R ubi ubirmvol /dev/ubi0 -n 0
  R ubi ubidetach -p $M; R ubi ubidetach -p $M; R ubi rmmod ubi
}

tool_commands() {
  info_commands; erase_commands
  if [ "$OOB" -gt 0 ]; then nand_commands; oob_commands; else nor_commands; fi
  copy_commands; lock_commands; otp_commands; other_commands; ubi_commands
}
