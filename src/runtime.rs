//! What a library without DT_NEEDED must bring itself: the next definition of a symbol, without libdl.
//!
//! redhook asks `dlsym(RTLD_NEXT, name)`. A hidden `dlsym` answers by walking the loader's list of objects, which
//! glibc, musl and uClibc keep in the same shape for debuggers. Sources: the ELF specification, `link.h`.

use crate::sys;
use core::ffi::{CStr, c_char, c_void};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[repr(C)]
struct ProgramHeader {
    kind: u32,
    offset: u32,
    address: usize,
    physical: u32,
    file_size: u32,
    memory_size: u32,
    flags: u32,
    align: u32,
}

#[repr(C)]
struct LinkMap {
    base: usize,
    name: *const c_char,
    dynamic: *const [usize; 2],
    next: *const LinkMap,
    previous: *const LinkMap,
}

#[repr(C)]
struct RDebug {
    version: i32,
    map: *const LinkMap,
}

#[repr(C)]
struct Symbol {
    name: u32,
    value: usize,
    size: u32,
    info: u8,
    other: u8,
    section: u16,
}

const PT_DYNAMIC: u32 = 2;
const PT_PHDR: u32 = 6;
const DT_HASH: usize = 4;
const DT_STRTAB: usize = 5;
const DT_PLTGOT: usize = 3;
const DT_SYMTAB: usize = 6;
const DT_DEBUG: usize = 21;
const DT_GNU_HASH: usize = 0x6fff_fef5;
const DT_VERSYM: usize = 0x6fff_fff0;
const STT_FUNC: u8 = 2;
const STT_OBJECT: u8 = 1;
const STT_GNU_IFUNC: u8 = 10;
const VERSION_HIDDEN: u16 = 0x8000;
const AT_PHDR: usize = 3;
const AT_HWCAP: usize = 16;
const HWCAP_NEON: usize = 1 << 12;
const AT_PHENT: usize = 4;
const AT_PHNUM: usize = 5;
/// Of some bytes above the first frame.
const AT_RANDOM: usize = 25;
const AUXV_KEYS: usize = 32;

unsafe extern "C" {
    static _DYNAMIC: [usize; 2];
    /// Where the library begins in memory.
    static __ehdr_start: u8;
}
core::arch::global_asm!(".hidden _DYNAMIC", ".hidden __ehdr_start", ".hidden dlsym");

static STACK_BEGIN: AtomicUsize = AtomicUsize::new(0);
static HAS_NEON: AtomicBool = AtomicBool::new(false);
/// No address of a stack, for one that cannot be found out.
const NOWHERE: usize = 1;

/// Above all frames of the thread that began the program.
pub fn stack_begin() -> usize {
    match STACK_BEGIN.load(Ordering::Relaxed) {
        0 => {
            auxv();
            STACK_BEGIN.load(Ordering::Relaxed)
        }
        begin => begin,
    }
}

/// Whether the processor has it (`qemu-arm -cpu cortex-m3` and others do not).
pub fn has_neon() -> bool {
    stack_begin();
    HAS_NEON.load(Ordering::Relaxed)
}

/// What the kernel told the program when it began, by its keys; zeros where it cannot be read.
#[inline(never)]
fn auxv() -> [usize; AUXV_KEYS] {
    let mut values = [0; AUXV_KEYS];
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    if let Ok(fd) = sys::openat(sys::AT_FDCWD, c"/proc/self/auxv", flags, 0) {
        let mut pairs = [[0usize; 2]; 64];
        let length =
            sys::pread(fd, pairs.as_mut_ptr() as usize, size_of_val(&pairs), 0).unwrap_or(0);
        sys::close(fd);
        for &[key, value] in pairs.iter().take(length / 8) {
            if let Some(place) = values.get_mut(key) {
                *place = value;
            }
        }
    }
    STACK_BEGIN.store(values[AT_RANDOM].max(NOWHERE), Ordering::Relaxed);
    HAS_NEON.store(values[AT_HWCAP] & HWCAP_NEON != 0, Ordering::Relaxed);
    values
}

/// The loader's `r_debug`, from the program's own dynamic section.
#[cold]
fn r_debug() -> *const RDebug {
    let values = auxv();
    let (headers, count) = (values[AT_PHDR] as *const ProgramHeader, values[AT_PHNUM]);
    if values[AT_PHENT] != size_of::<ProgramHeader>() || headers.is_null() {
        // Without this nothing can be passed on; to go on would break every call of the guest.
        sys::report(&[b"/proc is not this process's (another PID namespace's?): mount a fresh one; the program ends here"]);
        sys::call!(libc::SYS_exit_group, 127);
    }
    // SAFETY: the kernel maps the program headers at AT_PHDR, AT_PHNUM of them, for the life of the process.
    let headers = unsafe { core::slice::from_raw_parts(headers, count) };
    let of_kind = |kind| headers.iter().find(|header| header.kind == kind);
    let (Some(own), Some(dynamic)) = (of_kind(PT_PHDR), of_kind(PT_DYNAMIC)) else {
        return core::ptr::null();
    };
    let base = (headers.as_ptr() as usize).wrapping_sub(own.address);
    let entries = base.wrapping_add(dynamic.address) as *const [usize; 2];
    // SAFETY: PT_DYNAMIC points to an array that ends with DT_NULL.
    unsafe { dynamic_value(entries, DT_DEBUG, 0) as *const RDebug }
}

/// Of the first entry with this tag; 0 where there is none. glibc relocates the pointers of a dynamic section in place, musl and
/// uClibc do not.
///
/// # Safety
/// `entry` points to a dynamic section, which ends with DT_NULL, or nowhere.
#[inline(never)]
unsafe fn dynamic_value(mut entry: *const [usize; 2], wanted: usize, base: usize) -> usize {
    while !entry.is_null() {
        // SAFETY: not yet behind the end.
        let [tag, value] = unsafe { *entry };
        if tag == wanted {
            return value.wrapping_add(if value < base { base } else { 0 });
        }
        if tag == 0 {
            break;
        }
        // SAFETY: as above.
        entry = unsafe { entry.add(1) };
    }
    0
}

/// The loader's entry of this library; null where it cannot be found.
static OWN_ENTRY: AtomicUsize = AtomicUsize::new(0);

fn own_entry() -> *const LinkMap {
    let known = OWN_ENTRY.load(Ordering::Relaxed);
    if known != 0 {
        return known as *const LinkMap;
    }
    let own = (&raw const _DYNAMIC).cast::<[usize; 2]>();
    // SAFETY: the second word of DT_PLTGOT is the loader's: glibc and uClibc keep the entry there when they bind lazily, and
    // others leave it zero. Else the list is walked, which the loader keeps valid.
    unsafe {
        let table = dynamic_value(own, DT_PLTGOT, &raw const __ehdr_start as usize);
        let mut entry = *(table as *const *const LinkMap).add(1);
        if entry.is_null() || (*entry).dynamic != own {
            let debug = r_debug();
            entry = debug.as_ref().map_or(core::ptr::null(), |debug| debug.map);
            while !entry.is_null() && (*entry).dynamic != own {
                entry = (*entry).next;
            }
        }
        OWN_ENTRY.store(entry as usize, Ordering::Relaxed);
        entry
    }
}

/// The tables of one loaded object.
struct Tables {
    base: usize,
    hash: usize,
    gnu_hash: usize,
    symbols: usize,
    strings: usize,
    versions: usize,
}

impl Tables {
    /// # Safety
    /// `map` must be an entry of the loader's list.
    unsafe fn of(map: &LinkMap) -> Tables {
        // SAFETY: the dynamic section of a loaded object.
        let of = |tag| unsafe { dynamic_value(map.dynamic, tag, map.base) };
        Tables {
            base: map.base,
            hash: of(DT_HASH),
            gnu_hash: of(DT_GNU_HASH),
            symbols: of(DT_SYMTAB),
            strings: of(DT_STRTAB),
            versions: of(DT_VERSYM),
        }
    }

    /// Address of symbol `index` if it is a default definition called `name`.
    ///
    /// # Safety
    /// `index` must come from the object's own hash table.
    unsafe fn definition(&self, index: u32, name: &CStr) -> Option<usize> {
        // SAFETY: the hash table only holds indexes of existing symbols, and names lie in the string table.
        unsafe {
            let symbol = &*(self.symbols as *const Symbol).add(index as usize);
            let kind = symbol.info & 15;
            let defined = (symbol.section != 0) & (symbol.value != 0);
            if !defined | !((kind <= STT_FUNC) | (kind == STT_GNU_IFUNC)) {
                return None;
            }
            if self.versions != 0
                && *(self.versions as *const u16).add(index as usize) & VERSION_HIDDEN != 0
            {
                return None;
            }
            let mut own = (self.strings + symbol.name as usize) as *const u8;
            for &byte in name.to_bytes_with_nul() {
                if *own != byte {
                    return None;
                }
                own = own.add(1);
            }
            let address = self.base.wrapping_add(symbol.value);
            if kind == STT_GNU_IFUNC {
                let resolve: extern "C" fn(usize) -> usize = core::mem::transmute(address);
                return Some(resolve(0));
            }
            let _ = STT_OBJECT;
            Some(address)
        }
    }

    /// # Safety
    /// The tables must be those of a loaded object.
    unsafe fn find(&self, name: &CStr) -> Option<usize> {
        if self.symbols == 0 || self.strings == 0 {
            return None;
        }
        // SAFETY: the layout of DT_GNU_HASH and DT_HASH is fixed by the ELF ABI.
        unsafe {
            if self.gnu_hash != 0 {
                return self.find_gnu(name);
            }
            if self.hash != 0 {
                return self.find_sysv(name);
            }
        }
        None
    }

    /// # Safety
    /// As for `find`; `gnu_hash` is not 0.
    unsafe fn find_gnu(&self, name: &CStr) -> Option<usize> {
        let hash = name.to_bytes().iter().fold(5381u32, |hash, &byte| {
            hash.wrapping_mul(33).wrapping_add(byte.into())
        });
        // SAFETY: header of four words, bloom filter, buckets, chains.
        unsafe {
            let table = self.gnu_hash as *const u32;
            let (bucket_count, first, bloom_words) = (*table, *table.add(1), *table.add(2));
            if bucket_count == 0 {
                return None;
            }
            let buckets = table.add(4 + bloom_words as usize);
            let chains = buckets.add(bucket_count as usize);
            let mut index = *buckets.add(remainder(hash, bucket_count) as usize);
            if index < first {
                return None;
            }
            loop {
                let chain = *chains.add((index - first) as usize);
                if chain | 1 == hash | 1
                    && let Some(address) = self.definition(index, name)
                {
                    return Some(address);
                }
                if chain & 1 != 0 {
                    return None;
                }
                index += 1;
            }
        }
    }

    /// # Safety
    /// As for `find`; `hash` is not 0.
    unsafe fn find_sysv(&self, name: &CStr) -> Option<usize> {
        let hash = name.to_bytes().iter().fold(0u32, |hash, &byte| {
            let hash = (hash << 4).wrapping_add(byte.into());
            let high = hash & 0xf000_0000;
            (hash ^ (high >> 24)) & !high
        });
        // SAFETY: two words of header, buckets, chains.
        unsafe {
            let table = self.hash as *const u32;
            let bucket_count = *table;
            if bucket_count == 0 {
                return None;
            }
            let mut index = *table.add(2 + remainder(hash, bucket_count) as usize);
            while index != 0 {
                if let Some(address) = self.definition(index, name) {
                    return Some(address);
                }
                index = *table.add(2 + bucket_count as usize + index as usize);
            }
        }
        None
    }
}

/// Of a division by what is not 0, in two jumps: the compiler's own is a dozen of them.
fn remainder(number: u32, divisor: u32) -> u32 {
    let (mut rest, mut step) = (number, divisor << divisor.leading_zeros());
    loop {
        rest -= if rest >= step { step } else { 0 };
        if step == divisor {
            return rest;
        }
        step >>= 1;
    }
}

/// Walks the loaded objects; `after_self` starts behind this library, as RTLD_NEXT does.
fn find(name: &CStr, after_self: bool) -> Option<usize> {
    // SAFETY: the loader keeps the list valid; entries are only added behind us or removed by dlclose of others.
    unsafe {
        let mut entry = own_entry().as_ref()?;
        if after_self {
            entry = entry.next.as_ref()?;
        } else {
            while let Some(previous) = entry.previous.as_ref() {
                entry = previous;
            }
        }
        loop {
            if let Some(address) = Tables::of(entry).find(name) {
                return Some(address);
            }
            entry = entry.next.as_ref()?;
        }
    }
}

/// A symbol anywhere in the program: the first object that defines it, as the loader would bind it.
pub fn global_symbol(name: &CStr) -> Option<usize> {
    find(name, false)
}

/// The next definition behind this library.
pub fn next_symbol(name: &CStr) -> Option<usize> {
    find(name, true)
}

/// What stands in for a function that this libc does not have: ENOSYS.
extern "C" fn missing() -> i32 {
    sys::set_errno(libc::ENOSYS);
    -1
}

/// What is known of a hooked symbol: where its next definition is once it was asked for, a number of its family, its name.
#[repr(C)]
pub struct HookedSymbol<const N: usize> {
    address: AtomicUsize,
    mark: u8,
    name: [u8; N],
    end: u8,
}

/// Where the mark lies in it.
pub const MARK_AT: usize = core::mem::offset_of!(HookedSymbol<0>, mark);

/// A `HookedSymbol` of whatever length.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Next(*const HookedSymbol<0>);

impl<const N: usize> HookedSymbol<N> {
    pub const fn new(name: &str, mark: u8) -> Self {
        let mut bytes = [0; N];
        bytes.copy_from_slice(name.as_bytes());
        HookedSymbol {
            address: AtomicUsize::new(0),
            mark,
            name: bytes,
            end: 0,
        }
    }

    /// The next definition, if it was asked for before.
    ///
    /// # Safety
    /// `F` is the type of the function.
    #[inline(always)]
    pub unsafe fn known<F: Copy>(&'static self) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<usize>()) };
        let address = self.address.load(Ordering::Relaxed);
        // SAFETY: the caller's promise; a function pointer is as large as an address.
        (address != 0).then(|| unsafe { core::mem::transmute_copy(&address) })
    }

    #[inline(always)]
    pub fn next(&'static self) -> Next {
        Next((&raw const *self).cast())
    }
}

impl Next {
    fn address(&self) -> &AtomicUsize {
        // SAFETY: made by `HookedSymbol::next` alone, so it points to a static; the first fields of all have the same places.
        unsafe { &(*self.0).address }
    }

    pub fn mark(self) -> u8 {
        // SAFETY: as in `address`.
        unsafe { (*self.0).mark }
    }

    /// # Safety
    /// `F` is the type of the function.
    #[inline(always)]
    pub unsafe fn function<F: Copy>(self) -> F {
        const { assert!(size_of::<F>() == size_of::<usize>()) };
        let mut address = self.address().load(Ordering::Relaxed);
        if address == 0 {
            address = self.find();
        }
        // SAFETY: the caller's promise; a function pointer is as large as an address.
        unsafe { core::mem::transmute_copy(&address) }
    }

    #[cold]
    #[inline(never)]
    fn find(self) -> usize {
        const NAME_AT: usize = core::mem::offset_of!(HookedSymbol<0>, name);
        // SAFETY: the name lies there and ends with a zero byte.
        let name = unsafe { CStr::from_ptr(self.0.cast::<c_char>().add(NAME_AT)) };
        let address = next_symbol(name).unwrap_or(missing as *const () as usize);
        self.address().store(address, Ordering::Relaxed);
        address
    }
}

/// redhook's question. Never null: stock redhook panics on that.
///
/// # Safety
/// `name` must be a C string.
#[unsafe(no_mangle)]
unsafe extern "C" fn dlsym(_handle: *const c_void, name: *const c_char) -> *const c_void {
    // SAFETY: redhook passes a string literal that ends with NUL.
    let name = unsafe { CStr::from_ptr(name) };
    next_symbol(name).unwrap_or(missing as *const () as usize) as *const c_void
}

// Unwind tables name these personality routines; nothing here ever unwinds.
core::arch::global_asm!(
    ".hidden __aeabi_unwind_cpp_pr0",
    ".hidden __aeabi_unwind_cpp_pr1"
);

#[unsafe(no_mangle)]
extern "C" fn __aeabi_unwind_cpp_pr0() {}

#[unsafe(no_mangle)]
extern "C" fn __aeabi_unwind_cpp_pr1() {}
