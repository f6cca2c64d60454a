use super::*;

fn words() -> Vec<AtomicU32> {
    (0..WORDS).map(|_| AtomicU32::new(0)).collect()
}

fn draft(path: &str, kind: Kind) -> Draft<'_> {
    Draft {
        path,
        kind,
        argument: None,
        cycles: false,
        line: 7,
    }
}

fn command(number: u32, argument: u32) -> Call {
    Call::Command { number, argument }
}

fn bytes_step(rules: &Rules<'_>, bytes: &[u8]) -> Step {
    Step {
        data: rules.keep(bytes.iter().copied()).unwrap(),
        ..Step::default()
    }
}

#[test]
fn a_star_stands_for_any_bytes_of_one_component() {
    let fits = |pattern: &str, path: &str| {
        matches(
            |index| pattern.as_bytes().get(index).copied(),
            path.as_bytes(),
        )
    };
    assert!(fits("/dev/gpio", "/dev/gpio"));
    assert!(!fits("/dev/gpio", "/dev/gpio1"));
    assert!(fits("/dev/gpio*", "/dev/gpio") && fits("/dev/gpio*", "/dev/gpio12"));
    assert!(fits("/dev/*/x*z", "/dev/misc/xyzz"));
    assert!(!fits("/dev/*", "/dev/misc/x"));
    assert!(!fits("/dev/*a", "/dev/b") && !fits("*", "/dev"));
    assert!(fits("/dev/a*b*c", "/dev/abbcbc"));
}

#[test]
fn the_first_rule_of_the_text_that_fits_answers() {
    let words = words();
    let rules = Rules::new(&words);
    let with_argument = Draft {
        argument: Some(5),
        ..draft("/dev/g*", Kind::Command(0x6701))
    };
    rules.add(&with_argument).unwrap();
    rules.add(&draft("/dev/g*", Kind::AnyCommand)).unwrap();
    let found = |path: &str, call| rules.find(path.as_bytes(), call).map(|rule| rule.index);
    assert_eq!(found("/dev/gpio", command(0x6701, 5)), Some(0));
    assert_eq!(found("/dev/gpio", command(0x6701, 6)), Some(1));
    assert_eq!(found("/dev/gpio", Call::Read), None);
    assert_eq!(found("/dev/x", command(0x6701, 5)), None);
    assert_eq!(rules.named(b"/dev/gpio"), Some(0));
}

#[test]
fn no_device_is_taken_for_a_terminal_by_a_rule_for_every_command() {
    let words = words();
    let rules = Rules::new(&words);
    rules.add(&draft("/dev/g", Kind::AnyCommand)).unwrap();
    assert!(rules.find(b"/dev/g", command(0x5401, 0)).is_none());
    rules.add(&draft("/dev/g", Kind::Command(0x5401))).unwrap();
    assert!(rules.find(b"/dev/g", command(0x5401, 0)).is_some());
}

#[test]
fn answers_come_one_after_the_other_and_the_last_stays_or_all_cycle() {
    for (cycles, expected) in [(false, [1, 2, 3, 3, 3]), (true, [1, 2, 3, 1, 2])] {
        let words = words();
        let rules = Rules::new(&words);
        rules
            .add(&Draft {
                cycles,
                ..draft("/dev/g", Kind::AnyCommand)
            })
            .unwrap();
        for value in 1..=3 {
            let outcome = Outcome::Value(value);
            rules
                .add_step(&Step {
                    outcome,
                    ..Step::default()
                })
                .unwrap();
        }
        let rule = rules.rule(0).unwrap();
        for (call, value) in expected.into_iter().enumerate() {
            let taken = rule.take();
            assert_eq!(taken.step.outcome, Outcome::Value(value));
            assert_eq!(taken.count, call as u32 + 1);
        }
        rules.reset();
        assert_eq!(rule.take().step.outcome, Outcome::Value(1));
    }
}

#[test]
fn a_read_goes_through_an_answer_and_ends_behind_the_one_that_stays() {
    let words = words();
    let rules = Rules::new(&words);
    rules.add(&draft("/dev/g", Kind::Read)).unwrap();
    for bytes in [b"abc".as_slice(), b"de"] {
        let step = bytes_step(&rules, bytes);
        rules.add_step(&step).unwrap();
    }
    let rule = rules.rule(0).unwrap();
    let read = |position: &mut u64, room: usize| match rule.read(*position) {
        Next::Bytes {
            step, index, from, ..
        } => {
            let mut buffer = vec![0; room];
            let length = rules.copy(step.data, from, &mut buffer);
            *position = position_behind(index, from, length);
            buffer.truncate(length);
            Some(buffer)
        }
        Next::End => None,
        Next::Errno(..) => panic!(),
    };
    let mut one = 0;
    assert_eq!(read(&mut one, 2).as_deref(), Some(b"ab".as_slice()));
    assert_eq!(read(&mut one, 2).as_deref(), Some(b"c".as_slice()));
    assert_eq!(read(&mut one, 9).as_deref(), Some(b"de".as_slice()));
    assert_eq!(read(&mut one, 9), None);
    let mut another = 0;
    assert_eq!(read(&mut another, 9).as_deref(), Some(b"de".as_slice()));
    assert_eq!(read(&mut another, 9), None);
}

#[test]
fn too_much_is_refused_and_what_is_damaged_reads_as_something() {
    let words = words();
    let rules = Rules::new(&words);
    for _ in 0..RULES_MAX {
        rules.add(&draft("/dev/g", Kind::Read)).unwrap();
    }
    assert_eq!(rules.add(&draft("/dev/g", Kind::Read)), Err(Full));
    let long = std::iter::repeat_n(1, POOL_BYTES_MAX + 1);
    assert_eq!(rules.keep(long), Err(Full));
    for word in &words {
        word.store(u32::MAX, Relaxed);
    }
    for rule in rules.iter() {
        let _ = (
            rule.take(),
            rule.read(u64::MAX >> 24),
            rules.named(b"/dev/g"),
        );
    }
    assert!(rules.fixed().count() <= WORDS);
    assert_eq!(Rules::new(&[]).count(), 0);
}

#[test]
fn rules_stand_for_any_clean_name_but_not_for_what_programs_live_on() {
    let cases = [
        (
            Place::Possible,
            "/dev/gpio /dev/* /dev/*/* /tmp/v* /proc/vendor/* /vendor0 /sys/class/*/x /procs/self socket: pipe:",
        ),
        (
            Place::Odd,
            "gpio dev/gpio / /dev/ /dev//x /x/../y /x/. /a!b socket socket:[1] anon_inode:[x]",
        ),
        (Place::TooWide, "/* /** /d*/x /*/x /proc/* /etc/** /tmp/*/x"),
        (
            Place::Own,
            "/proc/self /proc/self/fd/* /proc/thread-self/x /proc/mtd /sys/class/mtd/mtd0",
        ),
    ];
    for (expected, names) in cases {
        for name in names.split(' ') {
            assert_eq!(place(name.as_bytes()), expected, "{name}");
        }
    }
    assert_eq!(place(b""), Place::Odd);
}

#[test]
fn a_summary_tells_whether_a_rule_is_for_a_file_outside_dev() {
    let words = words();
    let rules = Rules::new(&words);
    for (path, elsewhere) in [("/dev/g", false), ("socket:", false), ("/devices/g", true)] {
        rules.add(&draft(path, Kind::Read)).unwrap();
        assert_eq!(is_elsewhere(rules.summary()), elsewhere, "{path}");
    }
    rules.add(&draft("/x/g*", Kind::Read)).unwrap();
    assert!(rules.has_exactly(b"/devices/g") && rules.has_exactly(b"/dev/g"));
    assert!(!rules.has_exactly(b"/x/g1") && !rules.has_exactly(b"/dev/gg"));
}

#[test]
fn questions_for_terminals_and_files_are_worth_no_rule() {
    assert!(is_worth_a_rule(b"/opt/node", 0x6701));
    assert!(is_worth_a_rule(b"/dev/node", 0x4004_9409));
    assert!(is_worth_a_rule(b"socket:", 0x89fa));
    for (path, command) in [
        (b"/dev/node".as_slice(), 0x5401),
        (b"/opt/node", 0x4004_9409),
        (b"/opt/node", 0x8004_6601),
        (b"anon_inode:[x]", 0x6701),
    ] {
        assert!(!is_worth_a_rule(path, command), "{command:#x}");
    }
    assert!(may_be_a_device(b"/var/dev/gpio") && may_be_a_device(b"/proc/x"));
    assert!(!may_be_a_device(b"/etc/passwd") && !may_be_a_device(b"/usr/devel/x"));
}
