//! Stores of our embedded tokens that the module does not show: it leaves a damaged one out, and tells its log alone.
//!
//! A process that closes a store's file loses the locks that it has on it, those of another copy of SQLite among them, and the
//! module has one of its own. So all stores are looked at before the module is loaded, and afterwards only those that it could not open.

use std::path::PathBuf;

use hsm_sim::store::inspect::{label, serial};
use hsm_sim::{Engine, Settings};

use super::reach::Found;

/// The stores that there were before the module was loaded.
#[derive(Default)]
pub struct Stores {
    all: Vec<Store>,
    unreadable: Vec<Unseen>,
}

/// What could be read of one.
struct Store {
    path: PathBuf,
    label: Option<String>,
    serial: Option<String>,
}

/// A store that cannot be opened.
#[derive(Clone)]
pub struct Unseen {
    /// Its directory.
    at: PathBuf,
    /// That is the directory of all tokens, and cannot be read.
    all: bool,
    /// Its token's label, where even that can still be read.
    pub label: Option<String>,
    /// What is wrong.
    why: String,
}

impl std::fmt::Display for Unseen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = self.at.display();
        match (&self.label, self.all) {
            (_, true) => write!(f, "the tokens in {at} cannot be seen: {}", self.why),
            (Some(label), _) => write!(
                f,
                "the store {label} in {at} cannot be opened: {}",
                self.why
            ),
            (None, _) => write!(f, "a token's store in {at} cannot be opened: {}", self.why),
        }
    }
}

impl Stores {
    /// Looks at these directories.
    pub fn of(directories: &[PathBuf]) -> Stores {
        let mut stores = Stores::default();
        for directory in directories {
            match hsm_sim::tokens(directory) {
                Ok(tokens) => {
                    let paths = tokens.into_iter().map(|token| token.path);
                    stores.all.extend(paths.filter_map(store));
                }
                Err(error) => stores.unreadable.push(Unseen {
                    at: directory.clone(),
                    all: true,
                    label: None,
                    why: error.to_string(),
                }),
            }
        }
        stores
    }

    /// Those of no token that the module shows, and that cannot be opened.
    pub fn unseen(&self, shown: &[Found]) -> Vec<Unseen> {
        let is_shown = |serial: &String| shown.iter().any(|t| t.info.serial_number() == serial);
        let missing = self
            .all
            .iter()
            .filter(|store| !store.serial.as_ref().is_some_and(is_shown));
        let damaged = missing.filter_map(|store| {
            // Deleted meanwhile, it must not be made again.
            if matches!(store.path.join("token.db").try_exists(), Ok(false)) {
                return None;
            }
            let error = Engine::embedded(&store.path, Settings::default()).err()?;
            Some(Unseen {
                at: store.path.clone(),
                all: false,
                label: store.label.clone(),
                why: error.to_string(),
            })
        });
        self.unreadable.iter().cloned().chain(damaged).collect()
    }
}

/// What to remember of a token's directory. An uninitialised token is no loss, and the module has it open without showing it.
fn store(path: PathBuf) -> Option<Store> {
    // What cannot be looked into may well hold one.
    if matches!(path.join("token.db").try_exists(), Ok(false)) {
        return None;
    }
    let serial = serial(&path).ok();
    let label = match label(&path) {
        Ok(None) if serial.is_some() && path.join("device.key").exists() => return None,
        Ok(label) => label,
        Err(_) => None,
    };
    Some(Store {
        path,
        label,
        serial,
    })
}
