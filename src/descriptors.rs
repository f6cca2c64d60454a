//! Which descriptor is which open flash file.
//!
//! An emulated descriptor really has a node file open; its file offset holds a mark, the file mode and the position
//! (see docs/ARCHITECTURE.md). The table below is only a cache indexed by number: the mark decides. It is made of
//! single words, so threads, signals and vfork children need no lock.

use crate::calls::Direction;
use crate::late::AtomicFd;
use crate::process_lock::ProcessLock;
use crate::sys;
use chardev::{FileMode, OpenFile};
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};

/// What an emulated descriptor leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeKind {
    /// /dev/mtdN
    Char,
    /// /dev/mtdNro
    CharReadOnly,
    /// /dev/mtdblockN
    Block,
    /// A writable attribute of sysfs, `bitflip_threshold`: its text is in a memory file.
    Threshold,
    /// Another device, that rules of the configuration answer for; its index is that of the first rule.
    Answered,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Node {
    pub kind: NodeKind,
    pub index: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Descriptor {
    pub node: Node,
    pub readable: bool,
    pub writable: bool,
    /// Opened with O_PATH: it names the node and can do nothing else.
    pub path_only: bool,
    /// The offset of the node file when it was looked up: mark, mode and position. The kernel gives no more
    /// atomicity than this to calls that share the position of a character device.
    pub offset: u64,
    /// By how much the look-up has moved it on already.
    pub advanced: u64,
}

pub const TABLE_SIZE: usize = 4096;
pub static TABLE: [AtomicU32; TABLE_SIZE] = [const { AtomicU32::new(UNKNOWN) }; TABLE_SIZE];

pub const UNKNOWN: u32 = 0;
pub const FOREIGN: u32 = 1;
/// A memory file with a text of /proc or /sys: like any file, but stat must not show what it is.
pub const TEXT: u32 = 2;
/// One of the shim's own numbers: foreign as well, but a guest must not close it.
const PRIVATE_NUMBER: u32 = 3;
pub const OURS: u32 = 1 << 31;
const READABLE: u32 = 1 << 30;
const WRITABLE: u32 = 1 << 29;
const PATH_ONLY: u32 = 1 << 28;
const KIND_SHIFT: u32 = 24;
const INDEX_MASK: u32 = 0xffff;

/// Offset of a node file: mark, mode, position. Below 2^43, the smallest limit of a common file system.
pub const MARK: u64 = 1 << 42;
pub const MARK_MASK: u64 = !(MARK - 1);
const MODE_SHIFT: u32 = 40;
const POSITION_MASK: u64 = (1 << MODE_SHIFT) - 1;
/// Of the upper half.
const POSITION_HIGH: u32 = (POSITION_MASK >> u32::BITS) as u32;

fn pack(descriptor: Descriptor) -> u32 {
    let kind = match descriptor.node.kind {
        NodeKind::Char => 0,
        NodeKind::CharReadOnly => 1,
        NodeKind::Block => 2,
        NodeKind::Threshold => 3,
        NodeKind::Answered => 4,
    };
    let bit = |set: bool, bit: u32| if set { bit } else { 0 };
    OURS | bit(descriptor.readable, READABLE)
        | bit(descriptor.writable, WRITABLE)
        | bit(descriptor.path_only, PATH_ONLY)
        | kind << KIND_SHIFT
        | descriptor.node.index & INDEX_MASK
}

fn unpack(word: u32) -> Descriptor {
    let kind = match word >> KIND_SHIFT & 7 {
        0 => NodeKind::Char,
        1 => NodeKind::CharReadOnly,
        2 => NodeKind::Block,
        3 => NodeKind::Threshold,
        _ => NodeKind::Answered,
    };
    Descriptor {
        node: Node {
            kind,
            index: word & INDEX_MASK,
        },
        readable: word & READABLE != 0,
        writable: word & WRITABLE != 0,
        path_only: word & PATH_ONLY != 0,
        offset: 0,
        advanced: 0,
    }
}

fn slot(fd: i32) -> Option<&'static AtomicU32> {
    usize::try_from(fd).ok().and_then(|fd| TABLE.get(fd))
}

/// The quick answer for everything that is not flash.
#[inline(always)]
pub fn is_foreign(fd: i32) -> bool {
    slot(fd).is_some_and(|slot| slot.load(Relaxed).wrapping_sub(FOREIGN) <= TEXT - FOREIGN)
}

/// Before the close of a number that is foreign: it is forgotten. False, with nothing done, for all others.
#[inline(always)]
pub fn forget_foreign(fd: i32) -> bool {
    let Some(slot) = slot(fd) else { return false };
    let foreign = slot.load(Relaxed).wrapping_sub(FOREIGN) <= TEXT - FOREIGN;
    if foreign {
        slot.store(UNKNOWN, Relaxed);
    }
    foreign
}

/// Foreign, and looking like what it is.
#[inline(always)]
pub fn is_plain(fd: i32) -> bool {
    slot(fd).is_some_and(|slot| slot.load(Relaxed) == FOREIGN)
}

/// What `fd` is, if it is ours; confirmed by its mark.
pub fn lookup(fd: i32) -> Option<Descriptor> {
    lookup_advancing(fd, 0)
}

/// The same for a transfer that will move the position by `length` if all goes well: one system call does both. What came
/// out in the end is told to `settle`.
pub fn lookup_advancing(fd: i32, length: u64) -> Option<Descriptor> {
    let word = match slot(fd) {
        Some(slot) => slot.load(Relaxed),
        None if fd < 0 => return None,
        None => UNKNOWN,
    };
    match word {
        FOREIGN | TEXT | PRIVATE_NUMBER => None,
        UNKNOWN => recognise(fd),
        word => {
            let descriptor = unpack(word);
            if descriptor.path_only || descriptor.node.kind == NodeKind::Threshold {
                return Some(descriptor);
            }
            if let Some(own) = own_of(word) {
                return Some(Descriptor {
                    offset: own.offset(),
                    ..descriptor
                });
            }
            // What is read and written by rules does not move like a flash device.
            let length = if descriptor.node.kind == NodeKind::Answered {
                0
            } else {
                length
            };
            match sys::lseek(fd, length as i64, libc::SEEK_CUR) {
                Ok(offset) if offset & MARK_MASK == MARK => Some(Descriptor {
                    offset: offset.wrapping_sub(length),
                    advanced: length,
                    ..descriptor
                }),
                moved => {
                    // Closed behind our back, and perhaps reused.
                    if moved.is_ok() && length > 0 {
                        let _ = sys::lseek(fd, -(length as i64), libc::SEEK_CUR);
                    }
                    forget(fd);
                    recognise(fd)
                }
            }
        }
    }
}

/// Whether the position of the file is known to this process alone.
pub fn is_alone(fd: i32) -> bool {
    slot(fd).is_some_and(|slot| own_of(slot.load(Relaxed)).is_some())
}

/// Whether the standard streams are all known to be foreign.
#[inline(always)]
pub fn are_standard_foreign() -> bool {
    let [input, output, error, ..] = &TABLE;
    let is_unlike =
        |slot: &AtomicU32| u32::from(slot.load(Relaxed).wrapping_sub(FOREIGN) > TEXT - FOREIGN);
    is_unlike(input) | is_unlike(output) | is_unlike(error) == 0
}

/// A descriptor that no hook has seen being opened: inherited, received or duplicated by libc itself.
fn recognise(fd: i32) -> Option<Descriptor> {
    let descriptor = match sys::lseek(fd, 0, libc::SEEK_CUR) {
        Ok(offset) if offset & MARK_MASK == MARK => recognise_by_name(fd, offset),
        Err(libc::EBADF) => return None,
        _ => None,
    };
    if let Some(slot) = slot(fd) {
        slot.store(descriptor.map_or(FOREIGN, pack), Relaxed);
    }
    descriptor
}

fn recognise_by_name(fd: i32, offset: u64) -> Option<Descriptor> {
    let mut buffer = [0; crate::paths::PATH_MAX];
    let node = crate::paths::node_behind(fd, &mut buffer)?;
    let flags = sys::fcntl(fd, libc::F_GETFL, 0).ok()? as u32;
    let access = chardev::Access::from_flags(flags);
    Some(Descriptor {
        node,
        readable: access.reads(),
        writable: access.writes(),
        path_only: false,
        offset,
        advanced: 0,
    })
}

/// Enters a descriptor that a hook has just made; anything else that had the number is gone.
pub fn enter(fd: i32, descriptor: Descriptor) {
    replace(fd, pack(descriptor));
}

/// The same for one that was opened just now, so that nobody else has it yet.
pub fn enter_opened(fd: i32, descriptor: Descriptor) {
    replace(fd, pack(descriptor) | take_own(fd, &descriptor));
}

#[inline(always)]
pub fn enter_foreign(fd: i32) {
    replace(fd, FOREIGN);
}

pub fn enter_text(fd: i32) {
    replace(fd, TEXT);
}

#[inline(never)]
pub fn forget(fd: i32) {
    replace(fd, UNKNOWN);
}

#[inline(always)]
fn replace(fd: i32, word: u32) {
    let Some(slot) = slot(fd) else { return };
    if slot.load(Relaxed) & OURS == 0 {
        slot.store(word, Relaxed);
    } else {
        replace_ours(slot, word);
    }
}

#[inline(never)]
fn replace_ours(slot: &AtomicU32, word: u32) {
    if let Some(own) = own_of(slot.swap(word, Relaxed)) {
        own.users.fetch_sub(1, Relaxed);
    }
}

/// After a successful dup: the copy is what the original is.
pub fn copy(from: i32, to: i32) {
    if slot(to).is_none() {
        // A number beyond the table cannot lead to a position of ours.
        return share();
    }
    let load = || slot(from).map_or(UNKNOWN, |slot| slot.load(Relaxed));
    if to <= libc::STDERR_FILENO && load() & WRITABLE != 0 {
        share();
    }
    let word = load();
    if let Some(own) = own_of(word) {
        own.users.fetch_add(1, Relaxed);
        note_own(to);
    }
    replace(to, word);
    if word & OURS != 0 && to <= libc::STDERR_FILENO {
        crate::unseen::note(to);
    }
}

// ----- positions that nobody else can see -----
//
// A file that this process opened has its position here, which saves the system calls that look it up and move it. It
// goes where it can be shared, to the offset of the node file, before another process could get at it (fork, exec, a
// descriptor sent away). What is written below the hooks goes to that offset, so a file that can be written has its position
// there as soon as one of the numbers of libc's own streams leads to it.

pub struct OwnPosition {
    /// Numbers that lead to it.
    users: AtomicU32,
    /// Its halves. Who writes has the process lock; 64 bits at once cost ARM a loop.
    offset: [AtomicU32; 2],
}
const OWN_MAX: usize = 64;
static OWN: [OwnPosition; OWN_MAX] = [const { OwnPosition::free() }; OWN_MAX];
const IS_OWN: u32 = 1 << 27;
const OWN_SHIFT: u32 = 16;

/// Where the next transfer of a char device goes.
pub struct Position {
    pub index: u32,
    fd: i32,
    word: u32,
    /// None: it is in the node file.
    pub own: Option<&'static OwnPosition>,
}

/// The word of a number, and 0 if it has one.
#[inline(always)]
fn word_of(fd: i32) -> (u32, u32) {
    let word = TABLE
        .get(fd as usize % TABLE_SIZE)
        .map_or(UNKNOWN, |slot| slot.load(Relaxed));
    (word, fd as u32 / TABLE_SIZE as u32)
}

/// Told at once, of a file that is open for reading with a position of its own, or for writing. It holds as long as nobody
/// shares the position, which `moved` tells under the process lock.
#[inline(always)]
pub fn position_of(fd: i32, direction: Direction) -> Option<Position> {
    let (word, beyond) = word_of(fd);
    // Of the kinds, those of the char device are below 2, and below 1 where one can write.
    let (told, wanted) = match direction {
        Direction::Read => (READABLE | IS_OWN | 6 << KIND_SHIFT, READABLE | IS_OWN),
        Direction::Write => (WRITABLE | 7 << KIND_SHIFT, WRITABLE),
    };
    if word & (told | OURS | PATH_ONLY) ^ (wanted | OURS) | beyond != 0 {
        return None;
    }
    Some(Position {
        index: word & INDEX_MASK,
        fd,
        word,
        own: own_of(word),
    })
}

impl Position {
    /// 0 if it is where it was.
    #[inline(always)]
    pub fn moved(&self) -> u32 {
        word_of(self.fd).0 ^ self.word
    }

    /// Tells where it is, in mode NORMAL, and moves the one in the node file already; otherwise nothing was done.
    #[inline(always)]
    pub fn advance(&self, length: u32) -> Option<u64> {
        if let Some(own) = self.own {
            return own.normal();
        }
        let mut offset = [0u32; 2];
        let moved = sys::call!(
            libc::SYS__llseek,
            self.fd,
            0,
            length,
            offset.as_mut_ptr(),
            libc::SEEK_CUR
        );
        let [low, high] = offset;
        let after = u64::from(high) << u32::BITS | u64::from(low);
        let before = after.wrapping_sub(length.into());
        // Both by one test. Where it has not moved, the offset is 0.
        if high & !POSITION_HIGH == (MARK >> u32::BITS) as u32
            && crate::unseen::goes_on(self.fd, before, after)
        {
            return Some(before & POSITION_MASK);
        }
        if moved == 0 {
            self.take_back(length);
        }
        None
    }

    /// At the end of a transfer; one in the node file is there already.
    #[inline(always)]
    pub fn move_to(&self, position: u64) {
        static NOBODYS: OwnPosition = OwnPosition::free();
        self.own.unwrap_or(&NOBODYS).move_to(position);
    }

    /// What `advance` moved in the node file.
    #[cold]
    #[inline(never)]
    pub fn take_back(&self, length: u32) {
        if self.own.is_none() {
            let _ = sys::lseek(self.fd, -i64::from(length), libc::SEEK_CUR);
        }
    }
}

impl OwnPosition {
    const fn free() -> OwnPosition {
        OwnPosition {
            users: AtomicU32::new(0),
            offset: [const { AtomicU32::new(0) }; 2],
        }
    }

    #[inline(always)]
    fn offset(&self) -> u64 {
        let [low, high] = &self.offset;
        u64::from(high.load(Relaxed)) << u32::BITS | u64::from(low.load(Relaxed))
    }

    #[inline(always)]
    fn set(&self, offset: u64) {
        let [low, high] = &self.offset;
        low.store(offset as u32, Relaxed);
        high.store((offset >> u32::BITS) as u32, Relaxed);
    }

    /// None in another mode than NORMAL.
    #[inline(always)]
    pub fn normal(&self) -> Option<u64> {
        let offset = self.offset();
        (offset >> MODE_SHIFT == MARK >> MODE_SHIFT).then_some(offset & POSITION_MASK)
    }

    #[inline(always)]
    pub fn move_to(&self, position: u64) {
        self.set(MARK | position);
    }
}

/// No number from this one on has such a position.
static OWN_END: AtomicI32 = AtomicI32::new(0);

fn note_own(fd: i32) {
    OWN_END.fetch_max(fd + 1, Relaxed);
}

#[inline(always)]
pub fn has_own() -> bool {
    OWN_END.load(Relaxed) != 0
}

#[inline(always)]
fn own_of(word: u32) -> Option<&'static OwnPosition> {
    if word & (OURS | IS_OWN) != OURS | IS_OWN {
        return None;
    }
    OWN.get(word as usize >> OWN_SHIFT & (OWN_MAX - 1))
}

/// The bits of a word that lead to a free place; none where the position must lie in the node file.
fn take_own(fd: i32, descriptor: &Descriptor) -> u32 {
    let kind = descriptor.node.kind;
    if descriptor.path_only
        || descriptor.writable && fd <= libc::STDERR_FILENO
        || kind == NodeKind::Threshold
    {
        return 0;
    }
    let free = |own: &OwnPosition| own.users.compare_exchange(0, 1, Relaxed, Relaxed).is_ok();
    match OWN.iter().enumerate().find(|(_, own)| free(own)) {
        Some((index, own)) => {
            own.set(MARK);
            note_own(fd);
            IS_OWN | (index as u32) << OWN_SHIFT
        }
        None => 0,
    }
}

/// Before another process can get one of our descriptors: every position goes to its node file.
pub fn share() {
    if has_own() {
        share_all();
    }
}

#[cold]
#[inline(never)]
fn share_all() {
    // Another thread may be in a transfer, and moves the position at its end.
    let _lock = ProcessLock::acquire();
    let end = OWN_END.swap(0, Relaxed);
    for (fd, slot) in TABLE.iter().enumerate().take(end as usize) {
        let word = slot.load(Relaxed);
        if let Some(own) = own_of(word) {
            let _ = sys::lseek(fd as i32, own.offset() as i64, libc::SEEK_SET);
            let shared = word & !(IS_OWN | ((OWN_MAX as u32 - 1) << OWN_SHIFT));
            if slot
                .compare_exchange(word, shared, Relaxed, Relaxed)
                .is_ok()
            {
                own.users.fetch_sub(1, Relaxed);
            }
        }
    }
}

/// Position and mode of the open file description, as the look-up found them.
pub fn open_file(descriptor: Descriptor) -> OpenFile {
    OpenFile {
        position: descriptor.offset & POSITION_MASK,
        mode: FileMode::from_number((descriptor.offset >> MODE_SHIFT & 3) as u32),
        readable: descriptor.readable,
        writable: descriptor.writable,
    }
}

fn offset_of(file: &OpenFile) -> u64 {
    MARK | u64::from(file.mode.number()) << MODE_SHIFT | file.position & POSITION_MASK
}

/// Stores position and mode where all who share the description see them, if they are not what the look-up left there. Under
/// the process lock.
pub fn settle(fd: i32, descriptor: Descriptor, file: &OpenFile) {
    if offset_of(file) != descriptor.offset.wrapping_add(descriptor.advanced) {
        store(fd, file);
    }
}

pub fn store(fd: i32, file: &OpenFile) {
    let offset = offset_of(file);
    match slot(fd).and_then(|slot| own_of(slot.load(Relaxed))) {
        Some(own) => own.set(offset),
        // Cannot fail: the same offset range was accepted when the node was opened.
        None => {
            let _ = sys::lseek(fd, offset as i64, libc::SEEK_SET);
        }
    }
}

/// Marks a freshly opened node file; false where the file system cannot hold such an offset.
pub fn set_mark(fd: i32) -> bool {
    sys::lseek(fd, MARK as i64, libc::SEEK_SET).is_ok()
}

// ----- descriptors of the shim itself -----

const PRIVATE_MAX: usize = 64;
static PRIVATE: [AtomicFd; PRIVATE_MAX] = [const { AtomicFd::none() }; PRIVATE_MAX];
static PRIVATE_LOWEST: AtomicI32 = AtomicI32::new(i32::MAX);

/// Whether the number belongs to the shim: guests that close everything they find must not close it.
#[inline(always)]
pub fn is_private(fd: i32) -> bool {
    fd >= PRIVATE_LOWEST.load(Relaxed) && PRIVATE.iter().any(|private| private.get() == fd)
}

pub fn remember_private(fd: i32) {
    let free = PRIVATE.iter().find(|slot| slot.change(AtomicFd::NONE, fd));
    if free.is_some() {
        PRIVATE_LOWEST.fetch_min(fd, Relaxed);
    }
    if let Some(slot) = slot(fd) {
        slot.store(PRIVATE_NUMBER, Relaxed);
    }
}

pub fn forget_private(fd: i32) {
    if fd >= PRIVATE_LOWEST.load(Relaxed) {
        for slot in &PRIVATE {
            slot.change(fd, AtomicFd::NONE);
        }
    }
    forget(fd);
}

/// The lowest private number in `from..=to`, for closing ranges around it.
pub fn next_private(from: u32, to: u32) -> Option<u32> {
    PRIVATE
        .iter()
        .filter_map(|slot| u32::try_from(slot.get()).ok())
        .filter(|fd| (from..=to).contains(fd))
        .min()
}
