//! The lock between threads and processes, also killed ones.

use super::*;
use crate::host_os::HostOs;
use crate::mapping::Mapping;
use crate::os::OpenMode;
use crate::testing::TestDirectory;

struct Shared {
    mapping: Mapping,
    state: LockState,
    fd: Fd,
    _directory: TestDirectory,
}

impl Shared {
    fn new() -> Shared {
        let directory = TestDirectory::new();
        directory.write("words", &[0; 4096]);
        let path = PathTo::of(&directory);
        let fd = HostOs.open(&path.0, OpenMode::ReadWrite).unwrap();
        let mapping = Mapping::shared(fd, 4096).unwrap();
        Shared {
            mapping,
            state: LockState::new(fd),
            fd,
            _directory: directory,
        }
    }

    fn lock(&self) -> SharedLock<'_> {
        self.lock_with(&self.state)
    }

    fn lock_with<'a>(&'a self, state: &'a LockState) -> SharedLock<'a> {
        SharedLock::new(&self.mapping.words()[0], &self.mapping.words()[1], state)
    }

    fn word(&self, index: usize) -> &AtomicU32 {
        &self.mapping.words()[index]
    }
}

struct PathTo(std::ffi::CString);

impl PathTo {
    fn of(directory: &TestDirectory) -> PathTo {
        PathTo(std::ffi::CString::new(directory.0.join("words").to_str().unwrap()).unwrap())
    }
}

/// Runs `child` in a forked process, which must not return.
fn fork(child: impl FnOnce()) -> i32 {
    // SAFETY: the child only uses the lock (system calls and atomics) and ends with _exit.
    match unsafe { libc::fork() } {
        0 => {
            child();
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(0) }
        }
        pid => pid,
    }
}

fn wait(pid: i32) {
    // SAFETY: no memory is passed.
    unsafe { libc::waitpid(pid, core::ptr::null_mut(), 0) };
}

fn kill(pid: i32) {
    // SAFETY: the process is a child of this test.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    wait(pid);
}

fn until(what: impl Fn() -> bool) {
    for _ in 0..5000 {
        if what() {
            return;
        }
        HostOs.sleep_ms(1);
    }
    panic!("waited in vain");
}

/// Adds 1 to a word in a way that loses counts without a lock.
fn count(shared: &Shared, rounds: u32) {
    for _ in 0..rounds {
        shared.lock().acquire(&HostOs).unwrap();
        let value = shared.word(2).load(Ordering::Relaxed);
        core::hint::spin_loop();
        shared.word(2).store(value + 1, Ordering::Relaxed);
        shared.lock().release(&HostOs);
    }
}

#[test]
fn threads_and_processes_exclude_each_other() {
    let shared = Shared::new();
    let children = [(); 3].map(|()| fork(|| count(&shared, 3000)));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| count(&shared, 3000));
        }
    });
    children.into_iter().for_each(wait);
    assert_eq!(shared.word(2).load(Ordering::Relaxed), 6 * 3000);
    assert_eq!(shared.word(0).load(Ordering::Relaxed) & !WAITERS, 0);
    assert_eq!(
        shared.word(1).load(Ordering::Relaxed),
        6 * 3000 * 2,
        "even, two steps a holding"
    );
}

#[test]
fn a_holder_killed_inside_is_noticed_and_replaced() {
    let shared = Shared::new();
    for round in 1..=5 {
        let child = fork(|| {
            shared.lock().acquire(&HostOs).unwrap();
            shared.word(2).store(round, Ordering::Relaxed);
            HostOs.sleep_ms(100_000);
        });
        until(|| shared.word(2).load(Ordering::Relaxed) == round);
        assert_eq!(shared.lock().begin_read(), None, "odd while inside");
        kill(child);
        assert_eq!(shared.lock().acquire(&HostOs), Ok(Acquired::Recovered));
        shared.lock().release(&HostOs);
        assert!(shared.lock().begin_read().is_some());
        assert_eq!(shared.lock().acquire(&HostOs), Ok(Acquired::Clean));
        shared.lock().release(&HostOs);
    }
}

#[test]
fn a_living_holder_is_waited_for() {
    let shared = Shared::new();
    let child = fork(|| {
        shared.lock().acquire(&HostOs).unwrap();
        shared.word(2).store(1, Ordering::Relaxed);
        HostOs.sleep_ms(300);
        shared.word(2).store(2, Ordering::Relaxed);
        shared.lock().release(&HostOs);
    });
    until(|| shared.word(2).load(Ordering::Relaxed) == 1);
    assert_eq!(shared.lock().try_acquire(&HostOs), Ok(None));
    assert_eq!(shared.lock().acquire(&HostOs), Ok(Acquired::Clean));
    assert_eq!(shared.word(2).load(Ordering::Relaxed), 2);
    wait(child);
}

#[test]
fn a_forked_child_has_a_slot_of_its_own() {
    let shared = Shared::new();
    shared.lock().acquire(&HostOs).unwrap();
    let own = shared.word(0).load(Ordering::Relaxed);
    shared.lock().release(&HostOs);
    let child = fork(|| {
        shared.lock().acquire(&HostOs).unwrap();
        shared
            .word(2)
            .store(shared.word(0).load(Ordering::Relaxed), Ordering::Relaxed);
        shared.lock().release(&HostOs);
    });
    wait(child);
    let theirs = shared.word(2).load(Ordering::Relaxed);
    assert!(theirs != 0 && theirs != own);
}

#[test]
fn who_gets_the_slot_of_a_dead_holder_does_not_revive_it() {
    let shared = Shared::new();
    // A process that does not exist any more holds exactly the slot that this process will register.
    let slot = 1 + std::process::id() % SLOT_MAX;
    shared.word(0).store(slot, Ordering::Relaxed);
    shared.word(1).store(7, Ordering::Relaxed);
    assert_eq!(shared.lock().acquire(&HostOs), Ok(Acquired::Recovered));
    shared.lock().release(&HostOs);
    assert_eq!(shared.word(1).load(Ordering::Relaxed), 10);
}

#[test]
fn a_slot_stranded_in_this_process_is_taken_back() {
    let shared = Shared::new();
    shared.lock().acquire(&HostOs).unwrap();
    // The thread is gone without releasing: nobody is inside.
    shared.state.inside.store(0, Ordering::Relaxed);
    assert_eq!(shared.lock().acquire(&HostOs), Ok(Acquired::Recovered));
    shared.lock().release(&HostOs);
}

#[test]
fn readers_without_a_lock_never_keep_a_mixed_pair() {
    let shared = Shared::new();
    let writer = fork(|| {
        for value in 1..=20_000 {
            shared.lock().acquire(&HostOs).unwrap();
            shared.word(2).store(value, Ordering::Relaxed);
            shared.word(3).store(value, Ordering::Relaxed);
            shared.lock().release(&HostOs);
        }
    });
    let lock = shared.lock();
    loop {
        let Some(sequence) = lock.begin_read() else {
            continue;
        };
        let pair = (
            shared.word(2).load(Ordering::Relaxed),
            shared.word(3).load(Ordering::Relaxed),
        );
        if lock.must_retry(sequence) {
            continue;
        }
        assert_eq!(pair.0, pair.1);
        if pair.0 == 20_000 {
            break;
        }
    }
    wait(writer);
}

#[test]
fn processes_killed_at_random_never_block_or_break_the_others() {
    let shared = Shared::new();
    for round in 0..20u32 {
        let child = fork(|| count(&shared, u32::MAX));
        HostOs.sleep_ms(1 + round % 7);
        kill(child);
        shared.lock().acquire(&HostOs).unwrap();
        assert_eq!(shared.word(1).load(Ordering::Relaxed) % 2, 1);
        shared.lock().release(&HostOs);
    }
    assert_eq!(shared.word(0).load(Ordering::Relaxed), 0);
}

#[test]
fn an_uncontended_lock_makes_no_system_call_but_getpid() {
    use crate::testing::TestOs;
    let shared = Shared::new();
    let os = TestOs::new();
    shared.lock().acquire(&os).unwrap();
    shared.lock().release(&os);
    // A descriptor that is gone would make every call on it fail.
    HostOs.close(shared.fd);
    assert_eq!(shared.lock().acquire(&os), Ok(Acquired::Clean));
    shared.lock().release(&os);
}

#[test]
fn a_file_without_record_locks_is_an_error_and_a_private_lock_needs_none() {
    let shared = Shared::new();
    let broken = LockState::new(9999);
    assert!(shared.lock_with(&broken).acquire(&HostOs).is_err());
    let private = LockState::new(-1);
    assert_eq!(
        shared.lock_with(&private).acquire(&HostOs),
        Ok(Acquired::Clean)
    );
    shared.lock_with(&private).release(&HostOs);
}
