//! Files of a chip: what is made, what is kept, what is refused and how it is said.

use flash::ledger::BlockFlags;

use super::*;
use crate::testing::{Noise, TestDirectory, TestOs};

const NAND: &str = "[chip.n]\ntype=\"nand\"\nsize=\"1M\"\notp_user=\"2x64\"\n";
const NOR: &str = "[chip.n]\ntype=\"nor\"\nsize=\"256K\"\n";

struct Case {
    directory: TestDirectory,
    os: TestOs,
}

impl Case {
    fn new(conf: &str) -> Case {
        Case {
            directory: TestDirectory::with_conf(conf),
            os: TestOs::new(),
        }
    }

    fn open(&self) -> Result<ChipFiles, Problem> {
        let board = Board::open(&self.os, &self.directory.c_path())?;
        let mut files = None;
        let opened = ChipFiles::open(&self.os, &board, 0, &mut |new| files = Some(new));
        board.close(&self.os);
        opened.map(|()| files.expect("files"))
    }

    fn opened(&self) -> ChipFiles {
        self.open().unwrap_or_else(|problem| panic!("{problem}"))
    }

    fn complaint(&self) -> String {
        self.open().expect_err("a problem").to_string()
    }

    fn close(&self, files: ChipFiles) {
        files.record_stamp(&self.os);
        files.close(&self.os);
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.directory.0.join(name)).unwrap();
    }

    fn names(&self) -> Vec<String> {
        self.directory
            .names()
            .into_iter()
            .filter(|name| name.starts_with("n."))
            .collect()
    }
}

fn bad_blocks(files: &ChipFiles) -> Vec<u32> {
    let ledger = files.ledger();
    (0..files.geometry.block_count())
        .filter(|&block| ledger.flags(block).unwrap().bad)
        .collect()
}

#[test]
fn missing_files_are_made_erased() {
    let case = Case::new(NAND);
    let files = case.opened();
    assert!(files.fresh && files.image_created && !files.oob_created && !files.read_only);
    assert_eq!(case.names(), ["n.bin", "n.mtdshim", "n.oob"]);
    assert_eq!(case.directory.read("n.bin"), vec![0xff; 1 << 20]);
    assert_eq!(case.directory.read("n.oob"), vec![0xff; 512 * 64]);
    assert_eq!(files.ledger().clean_from(0), Some(0), "known to be erased");
    let side = case.directory.read("n.mtdshim");
    assert_eq!(side.len() as u64, files.layout().size);
    assert!(
        side[files.otp_user_offset as usize..]
            .iter()
            .all(|&byte| byte == 0xff)
    );
    case.close(files);
}

#[test]
fn bad_blocks_of_the_maker_are_marked_and_not_taken_for_erased() {
    let case = Case::new(&format!("{NAND}bad_blocks=[2]\n"));
    let files = case.opened();
    let oob = case.directory.read("n.oob");
    let marks: Vec<_> = (0..oob.len()).filter(|&at| oob[at] != 0xff).collect();
    assert_eq!(marks, [2 * 64 * 64], "byte 0 of the first page of block 2");
    assert_eq!(bad_blocks(&files), [2]);
    assert_eq!(
        files.ledger().clean_from(2),
        None,
        "a program would lose the mark"
    );
}

#[test]
fn what_was_written_is_there_again_and_hints_are_kept() {
    let case = Case::new(NAND);
    let files = case.opened();
    files.ledger().set_flags(
        5,
        BlockFlags {
            bad: true,
            ..Default::default()
        },
    );
    case.os.pwrite(files.image_fd, b"hello", 100).unwrap();
    case.close(files);
    let files = case.opened();
    assert!(!files.fresh && !files.image_created);
    assert_eq!(bad_blocks(&files), [5]);
    assert_eq!(&case.directory.read("n.bin")[100..105], b"hello");
    assert_eq!(files.ledger().clean_from(0), Some(0));
}

#[test]
fn an_image_changed_behind_our_back_voids_the_hints() {
    let case = Case::new(NOR);
    case.close(case.opened());
    let mut image = case.directory.read("n.bin");
    image[0] = 0;
    case.directory.write("n.bin", &image);
    let files = case.opened();
    assert_eq!(files.ledger().clean_from(0), None);
    assert_eq!(files.ledger().clean_from(3), None);
    case.close(files);
    assert_eq!(case.opened().ledger().clean_from(0), None, "void for good");
}

#[test]
fn a_changed_spare_area_and_an_unrecorded_end_void_the_hints_too() {
    let case = Case::new(NAND);
    case.close(case.opened());
    let oob = case.directory.read("n.oob");
    case.directory.write("n.oob", &oob);
    let files = case.opened();
    assert_eq!(files.ledger().clean_from(0), None);
    files.close(&case.os);
    let case = Case::new(NOR);
    let files = case.opened();
    std::thread::sleep(core::time::Duration::from_millis(20));
    case.os.pwrite(files.image_fd, b"x", 0).unwrap();
    files.close(&case.os);
    assert_eq!(
        case.opened().ledger().clean_from(0),
        None,
        "a process that was killed"
    );
}

#[test]
fn an_existing_image_is_taken_as_it_is() {
    let case = Case::new(NAND);
    case.directory.write("n.bin", &[0x5a; 1 << 20]);
    let files = case.opened();
    assert!(files.fresh && files.oob_created && !files.image_created);
    assert_eq!(
        files.ledger().clean_from(0),
        None,
        "nobody knows what it holds"
    );
    assert_eq!(case.directory.read("n.bin"), vec![0x5a; 1 << 20]);
}

/// Reads a page through the chip: the failed and corrected steps.
fn read_page(case: &Case, files: &ChipFiles, page: u64) -> (u32, u32) {
    use flash::{Area, Chip, Medium, MediumError, OpMode, Sink, Source};
    struct Bytes<'a>(&'a TestOs, &'a ChipFiles);
    impl Medium for Bytes<'_> {
        fn read(&mut self, area: Area, offset: u64, to: Sink<'_>) -> Result<(), MediumError> {
            let fd = if area == Area::Main {
                self.1.image_fd
            } else {
                self.1.oob_fd
            };
            let Sink::Bytes(bytes) = to else {
                return Err(MediumError::Guest);
            };
            crate::os::pread_exact(self.0, fd, bytes, offset).map_err(|_| MediumError::Store)
        }
        fn write(&mut self, _: Area, _: u64, _: Source<'_>) -> Result<(), MediumError> {
            Err(MediumError::Store)
        }
        fn erase(&mut self, _: Area, _: u64, _: u64) -> Result<(), MediumError> {
            Err(MediumError::Store)
        }
        fn sync(&mut self) -> Result<(), MediumError> {
            Ok(())
        }
    }
    impl flash::GuestMemory for Bytes<'_> {
        fn copy_in(&mut self, _: usize, _: &mut [u8]) -> Result<(), flash::GuestFault> {
            Err(flash::GuestFault)
        }
        fn copy_out(&mut self, _: usize, _: &[u8]) -> Result<(), flash::GuestFault> {
            Err(flash::GuestFault)
        }
        fn check_readable(&mut self, _: usize, _: usize) -> Result<(), flash::GuestFault> {
            Err(flash::GuestFault)
        }
    }
    let mut scratch = vec![0; flash::SCRATCH_SIZE];
    let (ledger, mut medium, mut to) = (files.ledger(), Bytes(&case.os, files), [0; 2048]);
    let geometry = &files.geometry;
    let mut chip = Chip {
        geometry,
        ledger: &ledger,
        code: files.code.as_ref(),
        medium: &mut medium,
        scratch: scratch.as_mut_slice().try_into().unwrap(),
    };
    let (outcome, result) = chip.read(page * 2048, Sink::Bytes(&mut to), OpMode::Place);
    result.unwrap();
    (outcome.failed, outcome.corrected)
}

#[test]
fn a_nand_dump_without_spare_area_gets_its_codes_once() {
    for ecc in ["hamming", "bch4"] {
        let case = Case::new(&format!("{NAND}ecc=\"{ecc}\"\n"));
        let mut image: Vec<u8> = (0..1 << 20)
            .map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        image[5 * 2048..6 * 2048].fill(0xff);
        case.directory.write("n.bin", &image);
        let files = case.opened();
        assert!(files.oob_created);
        assert!(
            (0..128).all(|page| read_page(&case, &files, page) == (0, 0)),
            "{ecc}"
        );
        assert_eq!(
            case.directory.read("n.bin"),
            image,
            "the image is what it was"
        );
        let oob = case.directory.read("n.oob");
        assert!(
            oob[5 * 64..6 * 64].iter().all(|&byte| byte == 0xff),
            "an erased page stays erased"
        );
        assert!(case.os.reports.borrow()[0].contains("this happens once"));
        case.close(files);
        // A flipped bit is now found, so there really are codes.
        image[100] ^= 1;
        case.directory.write("n.bin", &image);
        assert_eq!(read_page(&case, &case.opened(), 0), (0, 1));
        assert_eq!(case.os.reports.borrow().len(), 1);
    }
}

#[test]
fn marks_in_an_existing_spare_area_become_bad_blocks() {
    let case = Case::new(NAND);
    case.directory.write("n.bin", &[0xff; 1 << 20]);
    let mut oob = vec![0xff; 512 * 64];
    oob[3 * 64 * 64] = 0;
    case.directory.write("n.oob", &oob);
    assert_eq!(bad_blocks(&case.opened()), [3]);
    assert_eq!(case.directory.read("n.oob"), oob);
}

#[test]
fn a_chip_whose_preparation_failed_is_prepared_again() {
    let case = Case::new(NAND);
    let image: Vec<u8> = (0..1u32 << 20)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    case.directory.write("n.bin", &image);
    Board::open(&case.os, &case.directory.c_path())
        .unwrap()
        .close(&case.os);
    // Enough for the spare area and the side file, not for all codes.
    case.os.space_left.set(32_768 + 8192 + 4096 + 5_000);
    assert!(
        case.complaint()
            .contains("cannot prepare the spare area: no space left")
    );
    assert_eq!(case.names(), ["n.bin"]);
    case.os.space_left.set(u64::MAX);
    assert_eq!(read_page(&case, &case.opened(), 100), (0, 0));
}

#[test]
fn an_image_that_does_not_fit_is_left_alone_and_the_size_that_would_is_said() {
    let case = Case::new(NOR);
    case.directory.write("n.bin", &[1; 128 << 10]);
    let said = case.complaint();
    assert!(
        said.contains("has 131072 bytes and the chip needs 262144"),
        "{said}"
    );
    assert!(said.contains("write size = 131072 in [chip.n]"), "{said}");
    assert_eq!(case.directory.read("n.bin"), vec![1; 128 << 10]);
    assert_eq!(case.names(), ["n.bin"]);
    case.directory.write("n.bin", &[1; 100_000]);
    let said = case.complaint();
    assert!(
        said.contains("whole eraseblocks near it are 65536 or 131072"),
        "{said}"
    );
    case.directory.write("n.bin", &[]);
    assert!(case.complaint().contains("exactly 262144 bytes"));
    let nand = Case::new(NAND);
    nand.directory
        .write("n.bin", &vec![0xff; 512 * (2048 + 64)]);
    assert!(nand.complaint().contains("pages with their spare bytes"));
    nand.directory.write("n.bin", &vec![0xff; 1 << 20]);
    nand.directory.write("n.oob", &[0xff; 64]);
    assert!(
        nand.complaint()
            .contains("the spare-area file of chip n has 64 bytes and the chip needs 32768")
    );
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    for space in [0, 5_000, 300_000, (1 << 20) + 10, (1 << 20) + 33_000] {
        let case = Case::new(NAND);
        Board::open(&case.os, &case.directory.c_path())
            .unwrap()
            .close(&case.os);
        case.os.space_left.set(space);
        let said = case.complaint();
        assert!(
            said.contains("no space left") && said.contains("nothing was left"),
            "{said}"
        );
        assert_eq!(case.names(), [""; 0], "{space}");
        case.os.space_left.set(u64::MAX);
        assert_eq!(case.opened().ledger().clean_from(0), Some(0));
    }
}

#[test]
fn too_little_space_is_known_before_anything_is_written() {
    let case = Case::new(NOR);
    case.os.free_bytes.set(200_000);
    let said = case.complaint();
    assert!(
        said.contains("bytes and the file system has 200000 left"),
        "{said}"
    );
    assert_eq!(case.names(), [""; 0]);
}

#[test]
fn remains_of_a_maker_that_died_are_replaced() {
    let case = Case::new(NOR);
    case.directory.write("n.bin.new", b"half");
    case.directory.write("n.mtdshim.new", b"half");
    case.close(case.opened());
    assert_eq!(case.names(), ["n.bin", "n.mtdshim"]);
}

#[test]
fn a_missing_image_beside_its_side_file_is_not_replaced() {
    let case = Case::new(NAND);
    case.close(case.opened());
    case.remove("n.bin");
    let said = case.complaint();
    assert!(
        said.contains("n.bin: this file is missing but the chip's side file exists"),
        "{said}"
    );
    assert!(
        said.contains("n.mtdshim to start with an erased chip"),
        "{said}"
    );
    case.remove("n.mtdshim");
    assert!(
        case.complaint()
            .contains("the image is missing but its spare-area file exists")
    );
    case.remove("n.oob");
    assert!(case.opened().image_created);
}

#[test]
fn what_is_no_plain_file_is_said_to_be_so() {
    let case = Case::new(NOR);
    std::fs::create_dir(case.directory.0.join("n.bin")).unwrap();
    assert!(case.complaint().contains("this is a directory"));
    let case = Case::new(&format!("{NOR}image=\"/dev/null\""));
    assert!(
        case.complaint()
            .contains("/dev/null: this is not a plain file")
    );
    let case = Case::new(&format!("{NOR}image=\"no/such/n.bin\""));
    let said = case.complaint();
    assert!(
        said.contains("cannot make this file") && said.contains("make the directory"),
        "{said}"
    );
}

#[test]
fn an_unreadable_image_is_a_problem_and_an_unwritable_one_is_read_only() {
    let case = Case::new(NOR);
    case.close(case.opened());
    case.os.forbidden_suffix.set("n.bin");
    assert!(
        case.complaint()
            .contains("cannot open the image: permission denied")
    );
    case.os.forbidden_suffix.set("n.mtdshim");
    assert!(
        case.complaint()
            .contains("cannot open the side file: permission denied")
    );
    case.os.forbidden_suffix.set("\0");
    case.os.is_read_only.set(true);
    let files = case.opened();
    assert!(files.read_only && files.side_fd >= 0);
    // The ledger is a copy: nothing this process learns reaches the file.
    let before = case.directory.read("n.mtdshim");
    files.ledger().set_flags(
        1,
        BlockFlags {
            bad: true,
            ..Default::default()
        },
    );
    files.record_stamp(&case.os);
    assert_eq!(
        files.lock().acquire(&case.os),
        Ok(crate::lock::Acquired::Clean)
    );
    assert_eq!(case.directory.read("n.mtdshim"), before);
}

#[test]
fn a_read_only_place_with_an_image_needs_no_side_file() {
    let case = Case::new(NOR);
    case.directory.write("n.bin", &[0; 256 << 10]);
    case.os.is_read_only.set(true);
    let files = case.opened();
    assert!(files.read_only && files.side_fd < 0);
    assert_eq!(files.ledger().wear(0), Ok(0));
    case.remove("n.bin");
    assert!(case.complaint().contains("can only be made where"));
}

#[test]
fn a_side_file_of_another_chip_is_refused_with_both_sets_of_numbers() {
    let case = Case::new(NAND);
    case.close(case.opened());
    let other = NAND.replace("type=", "erasesize=\"64K\"\ntype=");
    case.directory.write("mtdshim.conf", other.as_bytes());
    let said = case.complaint();
    assert!(
        said.contains("made for a chip of 1048576 bytes in blocks of 131072"),
        "{said}"
    );
    assert!(
        said.contains("n has 1048576, 65536")
            && said.contains("restore the configuration, or delete it"),
        "{said}"
    );
    case.directory.write(
        "mtdshim.conf",
        NAND.replace("type=", "ecc=\"none\"\ntype=").as_bytes(),
    );
    assert!(
        case.complaint()
            .contains("with another type, ECC, lock or OTP")
    );
}

#[test]
fn a_damaged_side_file_says_what_is_wrong_and_what_to_do() {
    let case = Case::new(NOR);
    case.close(case.opened());
    let good = case.directory.read("n.mtdshim");
    let complain = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        case.directory.write("n.mtdshim", &bytes);
        let said = case.complaint();
        assert!(said.contains("delete it to start"), "{said}");
        said
    };
    assert!(complain(&|bytes| bytes[0] ^= 1).contains("not a side file"));
    assert!(complain(&|bytes| bytes[8] = 9).contains("version 9"));
    assert!(complain(&|bytes| bytes[70] ^= 4).contains("header of this side file is damaged"));
    assert!(complain(&|bytes| bytes.truncate(4200)).contains("it was cut"));
    assert!(complain(&|bytes| bytes.truncate(10)).contains("not a side file"));
    let mut noise = Noise(11);
    for _ in 0..200 {
        let mut bytes = good.clone();
        let at = noise.below(256);
        bytes[at] ^= 1 << noise.below(8);
        case.directory.write("n.mtdshim", &bytes);
        assert!(case.open().is_err(), "byte {at}");
    }
}

#[test]
fn any_bytes_as_side_file_never_panic() {
    let case = Case::new(NOR);
    case.close(case.opened());
    let good = case.directory.read("n.mtdshim");
    let geometry = case_geometry();
    let mut noise = Noise(5);
    for _ in 0..300 {
        let bytes = noise.mutate(&good);
        case.directory.write("n.mtdshim", &bytes);
        if let Ok(files) = case.open() {
            let _ = (files.ledger().flags(0), files.ledger().clean_from(1));
            files.close(&case.os);
        }
        let mut header = [0; side::FIXED_HEADER_WORDS];
        for word in &mut header {
            *word = noise.next() as u32;
        }
        let _ = side::check_header(&header, noise.next(), &geometry);
    }
}

fn case_geometry() -> Geometry {
    let case = Case::new(NOR);
    Board::open(&case.os, &case.directory.c_path())
        .unwrap()
        .chip(0)
        .unwrap()
        .geometry
}

#[test]
fn failed_openings_close_their_descriptors() {
    let open_count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let case = Case::new(NOR);
    case.close(case.opened());
    case.directory.write("n.mtdshim", b"junk");
    // Other tests open files at the same time, so only a leak that repeats is seen.
    let before = open_count();
    for _ in 0..200 {
        assert!(case.open().is_err());
    }
    assert!(open_count() < before + 150);
}

#[test]
fn files_that_another_process_makes_while_we_look_are_no_trouble() {
    for conf in [NOR, NAND] {
        let case = Case::new(conf);
        let path = case.directory.c_path();
        let act = Box::new(move || {
            let os = TestOs::new();
            let board = Board::open(&os, &path).unwrap();
            ChipFiles::open(&os, &board, 0, &mut |files| files.close(&os)).unwrap();
        });
        // The image was missing a moment ago; then it is there with all the rest.
        *case.os.before_stat.borrow_mut() = Some(("n.mtdshim", act));
        case.close(case.opened());
    }
}

#[test]
fn who_died_inside_a_call_takes_what_the_ledger_believed_along() {
    let case = Case::new(NAND);
    let files = case.opened();
    assert_eq!(files.ledger().clean_from(0), Some(0));
    files.acquire(&case.os).unwrap();
    files.lock().release(&case.os);
    assert_eq!(
        files.ledger().clean_from(0),
        Some(0),
        "a lock that was given back"
    );
    // The sequence stays odd, and nobody holds the lock.
    files.acquire(&case.os).unwrap();
    files.ledger_words()[LOCK_WORD].store(0, core::sync::atomic::Ordering::Relaxed);
    files.acquire(&case.os).unwrap();
    assert_eq!(files.ledger().clean_from(0), None);
    files.lock().release(&case.os);
}
