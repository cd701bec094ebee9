//! Chores of the repository: `cargo xtask shapes DIR`.
//!
//! `shapes` writes `aws-json/src/shapes/{kms,cloudhsmv2}.rs` from the service models that
//! botocore carries; DIR is botocore's `data` directory, which
//! `python3 -c 'import botocore; print(botocore.__path__[0])'` helps to find. Names and
//! constraints are taken, documentation is not.
#![forbid(unsafe_code)]

mod shapes;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask shapes DIR    (DIR: the data directory of botocore)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["shapes", data] => shapes::write(Path::new(data)),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
