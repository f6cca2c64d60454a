//! A side file as somebody left it, under an image that holds data: it is refused with a line, or the data is there.

use std::ffi::CString;
use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use flash::{Area, Ledger};
use flash::{
    Chip, GuestFault, GuestMemory, Medium, MediumError, OpMode, SCRATCH_SIZE, Sink, Source,
};
use image::host_os::HostOs;
use image::{Board, ChipFiles, Problem};

use crate::reader::Reader;

const CONF: [&str; 2] = [
    "[chip.chip]\ntype = \"nor\"\ndriver = \"spi-nor\"\nsize = \"64K\"\nerasesize = \"4K\"\nlock = \"block-protect\"\notp_user = \"2x64\"\n",
    "[chip.chip]\ntype = \"nand\"\nsize = \"128K\"\nerasesize = \"16K\"\nwritesize = 2048\noobsize = 64\necc = \"hamming\"\n",
];

struct Place {
    directory: PathBuf,
    board: Board,
    image: Vec<u8>,
    side: Vec<u8>,
}

impl Place {
    fn make(which: usize) -> Place {
        let directory =
            std::env::temp_dir().join(format!("mtdshim-fuzz-{}-{which}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory for the board");
        fs::write(directory.join("mtdshim.conf"), CONF[which]).expect("the configuration");
        let path = CString::new(directory.to_str().expect("a plain path")).expect("a path");
        let board = Board::open(&HostOs, &path).expect("the board");
        let files = open(&board).expect("a fresh chip");
        let text: Vec<u8> = (0..4096u32).map(|byte| (byte % 251) as u8).collect();
        work(&files, |chip| {
            chip.program(0, Source::Bytes(&text), OpMode::Place)
        })
        .1
        .expect("data");
        files.record_stamp(&HostOs);
        files.close(&HostOs);
        Place {
            image: fs::read(directory.join("chip.bin")).expect("the image"),
            side: fs::read(directory.join("chip.mtdshim")).expect("the side file"),
            directory,
            board,
        }
    }
}

thread_local! {
    static PLACES: [Place; 2] = [Place::make(0), Place::make(1)];
}

pub fn side_file(data: &[u8]) {
    let mut reader = Reader::new(data);
    let how = reader.byte();
    PLACES.with(|places| {
        let place = &places[usize::from(how & 1)];
        let side = if how & 2 == 0 {
            patched(&place.side, how & 4 != 0, &mut reader)
        } else {
            reader.take(usize::MAX).to_vec()
        };
        fs::write(place.directory.join("chip.mtdshim"), side).expect("the side file");
        open_and_use(place);
    });
}

/// Patches are: offset (2 bytes), value (1 byte); `resealed` puts the header's checksum right again, so that it hides
/// nothing. A last pair may cut the file.
fn patched(good: &[u8], resealed: bool, reader: &mut Reader<'_>) -> Vec<u8> {
    let mut side = good.to_vec();
    for _ in 0..reader.byte() % 12 {
        let at = reader.number(2) as usize % side.len();
        side[at] ^= reader.byte();
    }
    if resealed {
        image::chip_files::side::reseal(&mut side);
    }
    let cut = reader.number(2) as usize;
    if cut > 0 {
        side.truncate(cut);
    }
    side
}

fn open(board: &Board) -> Result<ChipFiles, Problem> {
    let mut files = None;
    ChipFiles::open(&HostOs, board, 0, &mut |new| files = Some(new))?;
    Ok(files.expect("the files were handed over"))
}

fn open_and_use(place: &Place) {
    match open(&place.board) {
        Ok(files) => {
            let ledger_words = files.ledger_words().len();
            assert!(
                ledger_words * 4 >= Ledger::bytes(&files.geometry),
                "a ledger of {ledger_words} words"
            );
            let mut bytes = vec![0; 4096];
            if work(&files, |chip| {
                chip.read(0, Sink::Bytes(&mut bytes), OpMode::Place)
            })
            .1
            .is_ok()
            {
                assert_eq!(bytes, place.image[..4096], "an open chip reads other bytes");
            }
            let _ = work(&files, |chip| {
                chip.program(8192, Source::Bytes(&bytes), OpMode::Place)
            });
            let _ = work(&files, |chip| chip.erase(16384, 16384));
            let _ = work(&files, |chip| chip.is_locked(0, 4096));
            files.record_stamp(&HostOs);
            // What was there before is there now, whatever the side file said.
            let image = fs::read(place.directory.join("chip.bin")).expect("the image");
            assert_eq!(image[..4096], place.image[..4096], "an image changed");
            files.close(&HostOs);
            fs::write(place.directory.join("chip.bin"), &place.image).expect("the image");
        }
        Err(problem) => {
            let line = problem.line();
            assert!(line.contains("chip.mtdshim"), "names no file: {line}");
            assert!(line.contains("; "), "names no remedy: {line}");
            let image = fs::read(place.directory.join("chip.bin")).expect("the image");
            assert!(image == place.image, "a refusal changed the image");
        }
    }
}

fn work<R>(files: &ChipFiles, body: impl FnOnce(&mut Chip<'_>) -> R) -> R {
    let mut scratch = Box::new([0; SCRATCH_SIZE]);
    let ledger = files.ledger();
    let mut medium = FileMedium(files);
    body(&mut Chip {
        geometry: &files.geometry,
        ledger: &ledger,
        code: files.code.as_ref(),
        medium: &mut medium,
        scratch: &mut scratch,
    })
}

struct FileMedium<'a>(&'a ChipFiles);

impl FileMedium<'_> {
    fn file(&self, area: Area) -> Result<fs::File, MediumError> {
        let fd = match area {
            Area::Main => self.0.image_fd,
            Area::Oob => self.0.oob_fd,
            Area::OtpUser | Area::OtpFactory => return Err(MediumError::Store),
        };
        // SAFETY: the descriptor belongs to the open chip, which outlives this call.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let owned = borrowed
            .try_clone_to_owned()
            .map_err(|_| MediumError::Store)?;
        Ok(owned.into())
    }
}

impl Medium for FileMedium<'_> {
    fn read(&mut self, area: Area, offset: u64, to: Sink<'_>) -> Result<(), MediumError> {
        let Sink::Bytes(bytes) = to else {
            return Err(MediumError::Guest);
        };
        self.file(area)?
            .read_exact_at(bytes, offset)
            .map_err(|_| MediumError::Store)
    }

    fn write(&mut self, area: Area, offset: u64, from: Source<'_>) -> Result<(), MediumError> {
        let Source::Bytes(bytes) = from else {
            return Err(MediumError::Guest);
        };
        self.file(area)?
            .write_all_at(bytes, offset)
            .map_err(|_| MediumError::Store)
    }

    fn erase(&mut self, area: Area, offset: u64, length: u64) -> Result<(), MediumError> {
        let bytes = vec![0xff; length as usize];
        self.file(area)?
            .write_all_at(&bytes, offset)
            .map_err(|_| MediumError::Store)
    }

    fn sync(&mut self) -> Result<(), MediumError> {
        Ok(())
    }
}

impl GuestMemory for FileMedium<'_> {
    fn copy_in(&mut self, _address: usize, _to: &mut [u8]) -> Result<(), GuestFault> {
        Err(GuestFault)
    }

    fn copy_out(&mut self, _address: usize, _from: &[u8]) -> Result<(), GuestFault> {
        Err(GuestFault)
    }

    fn check_readable(&mut self, _address: usize, _length: usize) -> Result<(), GuestFault> {
        Err(GuestFault)
    }
}
