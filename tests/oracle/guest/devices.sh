# Sourced in the guest: `load DEVICE` makes the flash of that name appear freshly erased, `unload` takes it away again.
# With SHORT=_short it is the nandsim that takes short programs. NODE is the node a transcript is about. tests/oracle/devices.txt says what each device is; the parameters live here.
parameters() {
  case $1 in
  mtdram)            echo mtdram total_size=4096 erase_size=64 ;;
  mtdram1m_4k)       echo mtdram total_size=1024 erase_size=4 ;;
  mtdram8m_128k)     echo mtdram total_size=8192 erase_size=128 ;;
  nand16m_512)       echo nandsim id_bytes=0x20,0x33 ;;
  nand128m_2k)       echo nandsim id_bytes=0x20,0xa1,0x00,0x15 ;;
  nand128m_4k)       echo nandsim id_bytes=0x20,0xa1,0x00,0x26 ;;
  nand8m_2k)         echo nandsim id_bytes=0x20,0xa1,0x00,0x15 overridesize=6 ;;
  nand8m_4k)         echo nandsim id_bytes=0x20,0xa1,0x00,0x26 overridesize=5 ;;
  nand8m_bch4)       echo nandsim id_bytes=0x20,0xa1,0x00,0x15 overridesize=6 bch=4 ;;
  nand8m_bch8)       echo nandsim id_bytes=0x20,0xa1,0x00,0x15 overridesize=6 bch=8 ;;
  nand8m_bch1)       echo nandsim id_bytes=0x20,0xa1,0x00,0x15 overridesize=6 bch=1 ;;
  nand8m_4k_bch4)    echo nandsim id_bytes=0x20,0xa1,0x00,0x26 overridesize=5 bch=4 ;;
  nand8m_bad)        echo nandsim id_bytes=0x20,0xa1,0x00,0x15 overridesize=6 badblocks=3,10 ;;
  nand8m_marks_12)   echo nandsim id_bytes=0x98,0xa1,0x00,0x15 overridesize=6 badblocks=3,10 ;; # Toshiba
  nand8m_marks_12n)  echo nandsim id_bytes=0xc8,0xa1,0x00,0x15 overridesize=6 badblocks=3,10 ;; # ESMT
  nand8m_marks_n)    echo nandsim id_bytes=0xad,0xa1,0x04,0x15 overridesize=6 badblocks=3,10 ;; # Hynix, MLC
  nand8m_bch[2-7])   echo nandsim id_bytes=0x20,0xa1,0x00,0x15 overridesize=6 bch=${1#nand8m_bch} ;;
  nand8m_4k_bch[18]) echo nandsim id_bytes=0x20,0xa1,0x00,0x26 overridesize=5 bch=${1#nand8m_4k_bch} ;;
  nand8m_512)        echo nandsim id_bytes=0x20,0xe6 ;;
  nand16m_512_bad)   echo nandsim id_bytes=0x20,0x33 badblocks=0,5,1023 ;;
  nand8m_odd*)       echo nandsim id_bytes=0x20,0xa1,0x00,0x15 overridesize=6 badblocks=9,40 ;;
  nand8m_parts|nand8m_parts_mtd1)
                     echo nandsim id_bytes=0x20,0xa1,0x00,0x15 overridesize=6 parts=16,16 ;;
  cfi8m_64k)         echo cfisim set=1 size_log2=23 erase_kib=64 ;;
  cfi8m_64k_amd)     echo cfisim set=2 size_log2=23 erase_kib=64 ;;
  cfi4m_32k_lock)    echo cfisim set=1 size_log2=22 erase_kib=32 ;;
  cfi8m_128k_intel)  echo cfisim set=1 size_log2=23 erase_kib=128 maker=0x89 ;;
  cfi8m_64k_boot)    echo cfisim set=1 size_log2=23 erase_kib=64 boot=1 ;;
  cfi8m_64k_boot_mtd*) parameters cfi8m_64k_boot ;;
  cfi4m_amd_boot)    echo cfisim set=2 size_log2=22 erase_kib=64 boot=1 ;;
  cfi16m_256k)       echo cfisim set=1 size_log2=24 erase_kib=256 features=0x20 ;;
  cfi2m_no_locks)    echo cfisim set=1 size_log2=21 erase_kib=64 features=0x40 otp_log2=4 ;;
  mtdram3m_48k)      echo mtdram total_size=3072 erase_size=48 ;;
  mtdram_rest)       echo mtdram total_size=1000 erase_size=64 ;;
  mtdram_mtd*)       parameters mtdram ;;
  spi4m_w25q32dw_mtd*) parameters spi4m_w25q32dw ;;
  spi16m_mx25l12805d) echo spisim id=0xc22018 size_log2=24 security=0 bp=0x3c tb=0 ;;
  spi16m_n25q128a)   echo spisim id=0x20ba18 size_log2=24 security=0 bp=0x5c ;;
  spi16m_gd25q128)   echo spisim id=0xc84018 size_log2=24 security=0 ;;
  spi16m_w25q128)    echo spisim id=0xef4018 size_log2=24 security=0 ;;
  spi8m_w25q64)      echo spisim id=0xef4017 size_log2=23 security=0 ;;
  spi32m_n25q256a)   echo spisim id=0x20ba19 size_log2=25 security=0 tb=0 ;;
  spi4m_w25q32dw)    echo spisim id=0xef6016 size_log2=22 ;;
  spi8m_w25q64dw)    echo spisim id=0xef6017 size_log2=23 security=0 ;;
  spi8m_m25p64)      echo spisim id=0x202017 size_log2=23 security=0 ;;
  *) return 1 ;;
  esac
}

node() { case $1 in *_mtd[0-9]) echo /dev/mtd${1##*_mtd} ;; *) echo /dev/mtd0 ;; esac; }

# The kernel's command line for partitions (`mtdparts=`), where the module has none of its own.
partitions() {
  case $1 in
  nand8m_odd*)         echo "NAND 128MiB 1,8V 8-bit:1M(boot)ro,1000k(odd),1048k(half),2M@4M(data),-(rest)" ;;
  cfi8m_64k_boot_mtd*) echo "cfisim:4M(low)ro,4032k(mid),64k(params),128k@8064k(both),12k@8140k(odd)" ;;
  mtdram_mtd*)         echo "mtdram test device:1M(a)ro,100k(b),-(c)" ;;
  spi4m_w25q32dw_mtd*) echo "spi0.0:1M(boot),64k(env),100k(odd),-(rest)" ;;
  esac
}

load() {
  modprobe mtdblock 2> /dev/null
  case $1 in cfi*) modprobe cfi_probe ;; spi*) modprobe spi-nor ;; esac
  [ -z "$(partitions "$1")" ] || modprobe cmdlinepart "mtdparts=$(partitions "$1")"
  # shellcheck disable=SC2046
  modprobe $(parameters "$1" | sed "s/^nandsim/&${SHORT:-}/") || { echo "LOAD FAILED $1"; return 1; }
  NODE=$(node "$1"); n=0
  while [ ! -c "$NODE" ] && [ $n -lt 50 ]; do usleep 10000; n=$((n + 1)); done
}

unload() { for m in nandsim nandsim_short mtdram cfisim spisim cmdlinepart; do rmmod $m 2> /dev/null; done; }
