//! A target of which each cluster is a token of one module, and what a control plane would say of it is a few variables: SoftHSM2,
//! our module's embedded tokens, or any other that makes tokens.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::{Target, TestCluster};
use crate::clusters::{
    Attachment, ClusterFacts, Clusters, ConnectFailure, ConnectionErrorCode, KmsUser, Network,
};
use crate::ids::Scope;
use crate::kms::{ServiceHsm, Settings};
use crate::p11::{Module, ModuleSpec, Modules};
use crate::quirks::PinForm;

const SO_PIN: &str = "so-pin-of-tests";

/// A cluster that exists only as what is said of it, and as a token.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct FakeCluster {
    pub facts: ClusterFacts,
    pub anchor: String,
    pub users: Vec<KmsUser>,
    /// What attach answers instead of the token.
    pub broken: Option<ConnectionErrorCode>,
    pub module: ModuleSpec,
    /// Where the token is since the store connected.
    pub moved: Option<ModuleSpec>,
    pub attached: usize,
}

/// The control plane of this target, for stories that change it.
#[derive(Debug, Default)]
pub struct FakeClusters(pub Mutex<HashMap<String, FakeCluster>>, pub Meanwhile);

/// What happens once, while the service asks whether a cluster has moved, and where the token is then.
#[derive(Default)]
pub struct Meanwhile(Mutex<Option<Event>>);

type Event = Box<dyn FnOnce() -> ModuleSpec + Send>;

impl Meanwhile {
    /// Next time.
    pub fn set(&self, what: impl FnOnce() -> ModuleSpec + Send + 'static) {
        *self.0.lock() = Some(Box::new(what));
    }
}

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Meanwhile({})", self.0.lock().is_some())
    }
}

impl FakeClusters {
    /// Changes what is said of a cluster.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut FakeCluster)) {
        change(self.0.lock().get_mut(id).expect("a cluster of this target"));
    }
}

impl Clusters for FakeClusters {
    fn facts(&self, _: &Scope, id: &str) -> Option<ClusterFacts> {
        self.0.lock().get(id).map(|cluster| cluster.facts.clone())
    }

    fn anchored(&self, _: &Scope, id: &str, anchor: &str) -> bool {
        self.0
            .lock()
            .get(id)
            .is_some_and(|cluster| cluster.anchor == anchor)
    }

    fn attach(&self, _: &Scope, _: &str, id: &str, _: &str) -> Result<Attachment, ConnectFailure> {
        let mut clusters = self.0.lock();
        let missing =
            || ConnectFailure::new(ConnectionErrorCode::ClusterNotFound, "no such cluster");
        let cluster = clusters.get_mut(id).ok_or_else(missing)?;
        match cluster.broken {
            Some(code) => Err(ConnectFailure::new(code, "as the test wants it")),
            None => {
                cluster.attached += 1;
                Ok(Attachment {
                    module: cluster.module.clone(),
                    pin: PinForm::Plain,
                })
            }
        }
    }

    fn moved(
        &self,
        _: &Scope,
        _: &str,
        id: &str,
        _: &str,
        in_use: &str,
    ) -> Result<Option<Attachment>, ConnectFailure> {
        let meanwhile = self.1.0.lock().take();
        if let Some(what) = meanwhile {
            return Ok(Some(Attachment {
                module: what(),
                pin: PinForm::Plain,
            }));
        }
        let clusters = self.0.lock();
        let moved = clusters.get(id).and_then(|cluster| cluster.moved.clone());
        let moved = moved.filter(|module| module.token_label != in_use);
        Ok(moved.map(|module| Attachment {
            module,
            pin: PinForm::Plain,
        }))
    }

    fn kmsuser(&self, _: &Scope, id: &str) -> Vec<KmsUser> {
        self.0
            .lock()
            .get(id)
            .map(|cluster| cluster.users.clone())
            .unwrap_or_default()
    }

    fn detach(&self, _: &Scope, _: &str, id: &str) {
        if let Some(cluster) = self.0.lock().get_mut(id) {
            cluster.attached = 0;
        }
    }
}

/// One module, with a token for each cluster and each service.
pub struct Tokens {
    /// What is said of the clusters.
    pub clusters: Arc<FakeClusters>,
    name: String,
    path: PathBuf,
    config: Option<String>,
    modules: Modules,
    made: AtomicUsize,
}

impl Tokens {
    /// Over the module in this file, with this for its C_Initialize.
    pub fn new(name: &str, path: PathBuf, config: Option<String>) -> Tokens {
        Tokens {
            clusters: Arc::default(),
            name: name.to_owned(),
            path,
            config,
            modules: Modules::default(),
            made: AtomicUsize::new(0),
        }
    }

    fn module(&self) -> Arc<Module> {
        let module = self.modules.load(&self.path, self.config.as_deref());
        module.unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    fn spec(&self, token_label: &str) -> ModuleSpec {
        ModuleSpec {
            path: self.path.clone(),
            config: self.config.clone(),
            token_label: token_label.to_owned(),
        }
    }
}

impl Target for Tokens {
    fn name(&self) -> &str {
        &self.name
    }

    fn settings(&self, data_dir: &Path) -> Settings {
        // A token label has 32 characters; the directory's last names tell the services of a test apart.
        let parts: Vec<_> = data_dir
            .iter()
            .rev()
            .take(2)
            .map(|p| p.to_string_lossy())
            .collect();
        let label = format!("own {}", parts.join(" "));
        let service_hsm = ServiceHsm {
            module: self.spec(label.get(..32).unwrap_or(&label)),
            pin_form: PinForm::Plain,
            pin: "service-pin".to_owned().into(),
            so_pin: Some(SO_PIN.to_owned().into()),
        };
        Settings {
            connect_takes: Duration::from_millis(60),
            log: Arc::new(|line| println!("    log: {line}")),
            ..Settings::new(data_dir.to_owned(), self.clusters.clone(), service_hsm)
        }
    }

    fn new_cluster(&self, password: &str) -> TestCluster {
        let mut clusters = self.clusters.0.lock();
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        // The ids' alphabet: digits 2 to 7, letters.
        let letters =
            [number / 26, number % 26].map(|n| char::from(b"abcdefghijklmnopqrstuvwxyz"[n]));
        let id = format!("cluster-{}{}23456723aa", letters[0], letters[1]);
        let spec = self.spec(&id);
        let module = self.module();
        module
            .ensure_token(&id, SO_PIN, password)
            .unwrap_or_else(|e| panic!("{}: {e}", self.name));
        let facts = ClusterFacts {
            active: true,
            active_hsm_zones: vec!["us-west-2a".into(), "us-west-2b".into()],
            cluster_certificate: format!("certificate of {id}"),
            network: Network::Sound,
        };
        let anchor =
            format!("-----BEGIN CERTIFICATE-----\nanchor of {id}\n-----END CERTIFICATE-----\n");
        clusters.insert(
            id.clone(),
            FakeCluster {
                facts,
                anchor: anchor.clone(),
                users: Vec::new(),
                broken: None,
                module: spec.clone(),
                moved: None,
                attached: 0,
            },
        );
        TestCluster {
            id,
            trust_anchor: anchor,
            module: spec,
            pin: PinForm::Plain,
        }
    }

    fn set_password(&self, cluster: &TestCluster, password: &str) {
        let module = self.module();
        module
            .reset_pin(&cluster.module.token_label, SO_PIN, password)
            .unwrap_or_else(|e| panic!("{}: {e}", self.name));
    }
}
