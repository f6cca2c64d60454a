//! What `[[answer]]` means, and what a mistake in it is answered with.

use super::*;
use crate::board::layout::{BOARD_BYTES, BoardWords};
use crate::mapping::Mapping;
use crate::testing::{TestDirectory, TestOs};
use answers::{Call, Kind, Outcome};

fn compile_text(text: &str) -> Result<Mapping, Problem> {
    let mapping = Mapping::private(BOARD_BYTES).unwrap();
    let words = BoardWords::new(mapping.words());
    let directory = TestDirectory::new().path_text();
    compile(
        &TestOs::new(),
        &PathText::of(b"x.conf"),
        &directory,
        text.as_bytes(),
        &words,
    )?;
    Ok(mapping)
}

fn complaint(text: &str) -> String {
    compile_text(text).unwrap_err().to_string()
}

#[test]
fn every_key_of_a_rule_reaches_it() {
    let text = "[[answer]]\npath = \"/dev/gpio*\"\ncommand = 0x6701\nargument = 5\ncycle = true\n\
                return = 3\ndata = \"01 00 fF\"\noffset = 4\n[[answer.step]]\nerrno = \"EBUSY\"\n\
                [[answer.step]]\ntext = 'x y'\n[[answer]]\npath='/dev/a'\ncommand='*'\n\
                [chip.nor0]\ntype='nor'\nsize='1M'";
    let mapping = compile_text(text).unwrap();
    let board = BoardWords::new(mapping.words());
    let rules = board.rules();
    assert_eq!((rules.count(), board.chip_count()), (2, 1));
    let call = Call::Command {
        number: 0x6701,
        argument: 5,
    };
    let rule = rules.find(b"/dev/gpio7", call).unwrap();
    assert_eq!(
        (rule.step_count(), rule.cycles(), rule.line()),
        (3, true, 1)
    );
    let step = rule.step(0);
    let mut bytes = [0; 8];
    let length = rules.copy(step.data, 0, &mut bytes);
    assert_eq!(bytes.get(..length), Some([1, 0, 0xff].as_slice()));
    assert_eq!((step.outcome, step.offset), (Outcome::Value(3), 4));
    assert_eq!(rule.step(1).outcome, Outcome::Errno(16));
    let length = rules.copy(rule.step(2).data, 0, &mut bytes);
    assert_eq!(bytes.get(..length), Some(b"x y".as_slice()));
    let other = rules.rule(1).unwrap();
    assert_eq!((other.kind(), other.step_count()), (Kind::AnyCommand, 0));
}

#[test]
fn a_board_may_consist_of_rules_alone() {
    let mapping = compile_text("[[answer]]\npath = '/dev/a'\ncommand = 'open'").unwrap();
    assert_eq!(BoardWords::new(mapping.words()).rules().count(), 1);
}

#[test]
fn mistakes_in_rules_are_told_with_their_line() {
    let rule = |keys: &str| format!("[[answer]]\npath='/dev/a'\n{keys}");
    let cases = [
        ("[answer]".to_owned(), "x.conf:1: this table is not known"),
        (
            "[[answer.step]]".to_owned(),
            "x.conf:1: this step does not follow",
        ),
        (
            "[[answer]]\npath = '/dev/a'".to_owned(),
            "x.conf:1: a rule needs path and command",
        ),
        (
            "[[answer]]\npath = 'etc/a'".to_owned(),
            "x.conf:2: path = \"etc/a\" is no device; write an absolute name",
        ),
        (
            "[[answer]]\npath = '/etc/*'".to_owned(),
            "stands for files that programs need; write more of the name",
        ),
        (
            "[[answer]]\npath = '/proc/self/fd/3'".to_owned(),
            "is the library's own",
        ),
        ("[[answer]]\npath = '/dev/../a'".to_owned(), "is no device"),
        (rule("command = 'erase'"), "x.conf:3: this is no command"),
        (rule("command = 0x1_0000_0000"), "this is no command"),
        (
            rule("command = 1\nerrno = 'EFOO'"),
            "x.conf:4: this errno is not known; write its number",
        ),
        (rule("command = 1\nerrno = 0"), "this errno is not known"),
        (
            rule("command = 1\ndata = '1'"),
            "data holds something else than bytes",
        ),
        (
            rule("command = 1\ndata = '0g'"),
            "data holds something else than bytes",
        ),
        (
            rule("command = 1\nreturn = 0x8000_0000"),
            "return is no number up to 0x7fffffff",
        ),
        (
            rule("command = 1\nreturn = 1\nerrno = 1"),
            "return and errno are given for one answer",
        ),
        (
            rule("command = 'read'\nreturn = 1"),
            "give data, text or errno",
        ),
        (rule("command = 'open'\ndata = '00'"), "give errno"),
        (
            rule("command = 'write'\n[[answer.step]]\ntext = 'a'"),
            "x.conf:4: this kind of call cannot be answered so",
        ),
        (rule("comand = 1"), "did you mean 'command'?"),
        (
            rule("command = 1\n[[answer.step]]\npath = '/dev/b'"),
            "there is no key 'path' here",
        ),
    ];
    for (text, expected) in cases {
        let said = complaint(&text);
        assert!(
            said.contains(expected),
            "{text}\nsaid: {said}\nexpected: {expected}"
        );
    }
    let many = "[[answer]]\npath='/dev/a'\ncommand=1\n".repeat(65);
    assert!(complaint(&many).contains("x.conf:193: there are too many rules"));
}
