//! The program `mtdshim`; all of it is in the library of this crate, so that the fuzzers reach what reads foreign bytes.

fn main() -> std::process::ExitCode {
    cli::main()
}
