//! The key store tests, written once and run on every target: an embedded token, a cluster, SoftHSM2.
//!
//! A [`Target`] brings clusters and a service HSM; [`run`] tells it every story in turn. Stories are told one after the other, because a
//! PKCS#11 module has one state a process. A story that fails panics with its name and the target's.

mod client;
mod connecting;
mod life_cycle;
pub mod tokens;
mod using;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::kms::Settings;
use crate::p11::{ModuleSpec, Modules};
use crate::quirks::PinForm;
pub use client::{Client, Refusal, base64, store_input};

/// A kind of HSM under the service.
pub trait Target {
    /// In messages.
    fn name(&self) -> &str;
    /// Settings for a service in this directory. Stories that reopen a service ask again for the same directory and must get the same HSM.
    fn settings(&self, data_dir: &Path) -> Settings;
    /// A new cluster that is fit for a key store, with a `kmsuser` that has this password.
    fn new_cluster(&self, password: &str) -> TestCluster;
    /// Sets kmsuser's password, as a crypto officer may while the store is disconnected.
    fn set_password(&self, cluster: &TestCluster, password: &str);
}

/// A cluster to tell a story on.
#[derive(Debug, Clone)]
pub struct TestCluster {
    /// Its id.
    pub id: String,
    /// The certificate that signed its own (PEM).
    pub trust_anchor: String,
    /// Its token, for looks past the service.
    pub module: ModuleSpec,
    /// How its PINs are spelled.
    pub pin: PinForm,
}

/// A clock that a story sets.
#[derive(Debug)]
pub struct TestClock(Mutex<f64>);

impl TestClock {
    /// A clock that stands at a moment in 2026.
    pub fn new() -> Arc<TestClock> {
        Arc::new(TestClock(Mutex::new(1_790_000_000.25)))
    }

    /// Lets days pass.
    pub fn pass_days(&self, days: u32) {
        *self.0.lock() += f64::from(days) * 86_400.0;
    }
}

impl Clock for TestClock {
    fn now(&self) -> f64 {
        *self.0.lock()
    }
}

/// What a story works with.
pub(crate) struct Stage<'a> {
    target: &'a dyn Target,
    dir: PathBuf,
    modules: Modules,
}

type Story = (&'static str, fn(&Stage<'_>));

static STORIES: [Story; 9] = [
    ("life cycle", life_cycle::tell),
    ("every refusal of a state", life_cycle::states),
    (
        "a wrong password is found at connect and repaired",
        connecting::wrong_password,
    ),
    (
        "a crash at any point of connect strands nothing",
        connecting::crashes,
    ),
    (
        "a third password is found out and repaired",
        connecting::third_password,
    ),
    ("a restart connects again by itself", connecting::restart),
    ("a disconnect overtakes a connect", connecting::overtaken),
    ("many threads use one key", using::threads),
    (
        "destroyed material is reported, not survived",
        using::destroyed,
    ),
];

/// Tells every story to the target, in directories under `dir`.
///
/// # Panics
/// When a story does not end as it should.
pub fn run(target: &dyn Target, dir: &Path) {
    for (number, (name, tell)) in STORIES.iter().enumerate() {
        println!("{}: {name}", target.name());
        let dir = dir.join(number.to_string());
        tell(&Stage {
            target,
            dir,
            modules: Modules::default(),
        });
    }
}

impl Stage<'_> {
    fn settings(&self) -> Settings {
        self.target.settings(&self.dir)
    }

    fn module(&self, cluster: &TestCluster) -> Arc<crate::p11::Module> {
        self.modules
            .load(&cluster.module.path, cluster.module.config.as_deref())
            .unwrap_or_else(|e| panic!("{}: {e}", self.target.name()))
    }

    fn logs_in(&self, cluster: &TestCluster, password: &str) -> bool {
        self.module(cluster)
            .logs_in(&cluster.module.token_label, &cluster.pin, password)
            .unwrap_or_else(|e| panic!("{}: {e}", self.target.name()))
    }
}
