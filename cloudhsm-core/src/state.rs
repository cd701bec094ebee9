//! The control plane's state and its file. Each change is made on a copy, written beside the file,
//! flushed to the disk and renamed over it, and only then seen by anyone: after a crash at any
//! instruction the file is the state before or after one whole change. The state is small (records,
//! never key material), so a copy costs microseconds.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

use crate::model::{Cluster, Realm};

/// An account in a region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Scope {
    pub account: String,
    pub region: String,
}

impl Scope {
    /// Of this account in this region.
    pub fn new(account: &str, region: &str) -> Scope {
        Scope {
            account: account.to_owned(),
            region: region.to_owned(),
        }
    }
    fn key(&self) -> String {
        format!("{}/{}", self.account, self.region)
    }
}

/// All that is remembered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    realms: BTreeMap<String, Realm>,
    /// The number of the next HSM, never used twice.
    next_origin: u64,
}

impl State {
    /// What an account has in a region, if it was ever used.
    pub fn realm(&self, scope: &Scope) -> Option<&Realm> {
        self.realms.get(&scope.key())
    }
    /// The same, made at first use.
    pub fn realm_mut(&mut self, scope: &Scope) -> &mut Realm {
        self.realms
            .entry(scope.key())
            .or_insert_with(|| Realm::new(&scope.region))
    }
    /// A cluster, deleted ones included.
    pub fn cluster(&self, at: &Place) -> Option<&Cluster> {
        self.realm(&at.scope)?.clusters.get(&at.cluster)
    }
    /// The same, to change it.
    pub fn cluster_mut(&mut self, at: &Place) -> Option<&mut Cluster> {
        let realm = self.realms.get_mut(&at.scope.key())?;
        realm.clusters.get_mut(&at.cluster)
    }
    /// All realms with their scopes.
    pub fn realms(&self) -> impl Iterator<Item = (Scope, &Realm)> {
        self.realms.iter().filter_map(|(key, realm)| {
            let (account, region) = key.split_once('/')?;
            Some((Scope::new(account, region), realm))
        })
    }
    /// Forgets all but the numbers that are used up.
    pub fn clear(&mut self) {
        self.realms.clear();
    }
    /// A number for a new HSM.
    pub fn origin(&mut self) -> u64 {
        self.next_origin += 1;
        self.next_origin
    }
}

/// Where a cluster is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub struct Place {
    pub scope: Scope,
    pub cluster: String,
}

/// The state on disk, and a bell that rings at each change.
pub struct Store {
    file: PathBuf,
    state: Mutex<State>,
    bell: Condvar,
}

impl Store {
    /// Opens or makes `state.json` in a directory.
    ///
    /// # Errors
    /// The directory cannot be made, or the file is there and does not parse: it is never overwritten then.
    pub fn open(dir: &Path) -> io::Result<Store> {
        private_dir(dir)?;
        let file = dir.join("state.json");
        let state = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
                let why = format!(
                    "{}: {e}; mend it or move it away: it is not overwritten",
                    file.display()
                );
                io::Error::new(io::ErrorKind::InvalidData, why)
            })?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => State::default(),
            Err(e) => return Err(e),
        };
        Ok(Store {
            file,
            state: Mutex::new(state),
            bell: Condvar::new(),
        })
    }

    /// Looks at the state. Keep it short: everybody waits.
    pub fn read<T>(&self, f: impl FnOnce(&State) -> T) -> T {
        f(&self.state.lock())
    }

    /// Changes the state as a whole, or, where `f` or the disk refuses, not at all.
    ///
    /// # Errors
    /// Those of `f`, and the disk's.
    pub fn change<T, E: From<io::Error>>(
        &self,
        f: impl FnOnce(&mut State) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut state = self.state.lock();
        let mut next = state.clone();
        let value = f(&mut next)?;
        let bytes = serde_json::to_vec_pretty(&next).map_err(io::Error::other)?;
        write_durably(&self.file, &bytes)?;
        *state = next;
        drop(state);
        self.bell.notify_all();
        Ok(value)
    }

    /// Sleeps until the state has changed or `timeout` is over.
    pub fn wait(&self, timeout: std::time::Duration) {
        self.bell.wait_for(&mut self.state.lock(), timeout);
    }

    /// Wakes all who wait.
    pub fn ring(&self) {
        self.bell.notify_all();
    }
}

/// Makes a directory, and those above it, that only its owner enters.
///
/// # Errors
/// The file system's.
pub fn private_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// Replaces a file in one step that survives a loss of power; 0600.
///
/// # Errors
/// The file system's.
pub fn write_durably(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = file.with_extension("new");
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&beside, file)?;
    match file.parent() {
        Some(dir) => fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_change_leaves_nothing() {
        let dir = tempfile::tempdir().expect("dir");
        let scope = Scope::new("123456789012", "us-west-2");
        let store = Store::open(dir.path()).expect("opens");
        let refused: Result<(), io::Error> = store.change(|s| {
            s.realm_mut(&scope);
            Err(io::Error::other("no"))
        });
        assert!(refused.is_err() && store.read(|s| s.realm(&scope).is_none()));

        let vpc = store
            .change(|s| Ok::<_, io::Error>(s.realm_mut(&scope).vpc.id.clone()))
            .expect("changes");
        let origin = store
            .change(|s| Ok::<_, io::Error>(s.origin()))
            .expect("counts");
        drop(store);
        let again = Store::open(dir.path()).expect("opens again");
        assert_eq!(
            again.read(|s| s.realm(&scope).map(|r| r.vpc.id.clone())),
            Some(vpc)
        );
        let next = again
            .change(|s| Ok::<_, io::Error>(s.origin()))
            .expect("counts");
        assert_eq!(next, origin + 1);
    }

    #[test]
    fn a_broken_file_is_an_error_and_stays() {
        let dir = tempfile::tempdir().expect("dir");
        let file = dir.path().join("state.json");
        fs::write(&file, "{ half").expect("writes");
        let error = Store::open(dir.path()).err().expect("refused").to_string();
        assert!(error.contains("state.json"), "{error}");
        assert_eq!(fs::read_to_string(&file).expect("reads"), "{ half");
    }
}
