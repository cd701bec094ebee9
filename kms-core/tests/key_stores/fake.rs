//! SoftHSM2 as a target: each cluster is a token, and what a control plane would say of it is a few variables.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kms_core::clusters::{
    Attachment, ClusterFacts, Clusters, ConnectFailure, ConnectionErrorCode, KmsUser, Network,
};
use kms_core::ids::Scope;
use kms_core::p11::{ModuleSpec, Modules};
use kms_core::quirks::PinForm;
use kms_core::suite::{Target, TestCluster};
use kms_core::{ServiceHsm, Settings};

const SO_PIN: &str = "so-pin-of-tests";

/// A cluster that exists only as what is said of it, and as a token.
#[derive(Debug, Clone)]
pub struct FakeCluster {
    pub facts: ClusterFacts,
    pub anchor: String,
    pub users: Vec<KmsUser>,
    /// What attach answers instead of the token.
    pub broken: Option<ConnectionErrorCode>,
    pub module: ModuleSpec,
    pub attached: usize,
}

#[derive(Debug, Default)]
pub struct FakeClusters(pub Mutex<HashMap<String, FakeCluster>>);

impl FakeClusters {
    pub fn change(&self, id: &str, change: impl FnOnce(&mut FakeCluster)) {
        change(self.0.lock().unwrap().get_mut(id).unwrap());
    }
}

impl Clusters for FakeClusters {
    fn facts(&self, _: &Scope, id: &str) -> Option<ClusterFacts> {
        self.0
            .lock()
            .unwrap()
            .get(id)
            .map(|cluster| cluster.facts.clone())
    }

    fn anchored(&self, _: &Scope, id: &str, anchor: &str) -> bool {
        self.0
            .lock()
            .unwrap()
            .get(id)
            .is_some_and(|cluster| cluster.anchor == anchor)
    }

    fn attach(&self, _: &Scope, _: &str, id: &str, _: &str) -> Result<Attachment, ConnectFailure> {
        let mut clusters = self.0.lock().unwrap();
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

    fn kmsuser(&self, _: &Scope, id: &str) -> Vec<KmsUser> {
        self.0
            .lock()
            .unwrap()
            .get(id)
            .map(|cluster| cluster.users.clone())
            .unwrap_or_default()
    }

    fn detach(&self, _: &Scope, _: &str, id: &str) {
        if let Some(cluster) = self.0.lock().unwrap().get_mut(id) {
            cluster.attached = 0;
        }
    }
}

pub struct SoftHsm {
    pub clusters: Arc<FakeClusters>,
    modules: Modules,
    path: PathBuf,
    made: AtomicUsize,
}

impl SoftHsm {
    pub fn new() -> SoftHsm {
        let known = [
            "/usr/lib/softhsm/libsofthsm2.so",
            "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
            "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
            "/usr/local/lib/softhsm/libsofthsm2.so",
            "/opt/homebrew/lib/softhsm/libsofthsm2.so",
        ];
        let path = std::env::var_os("KEYSTEAD_TEST_SOFTHSM2")
            .map(PathBuf::from)
            .or_else(|| known.iter().map(PathBuf::from).find(|path| path.exists()))
            .expect("SoftHSM2 is not installed: install it or name its library in KEYSTEAD_TEST_SOFTHSM2");
        SoftHsm {
            clusters: Arc::default(),
            modules: Modules::default(),
            path,
            made: AtomicUsize::new(0),
        }
    }

    fn spec(&self, token_label: &str) -> ModuleSpec {
        ModuleSpec {
            path: self.path.clone(),
            config: None,
            token_label: token_label.to_owned(),
        }
    }
}

impl Target for SoftHsm {
    fn name(&self) -> &str {
        "SoftHSM2"
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
        let mut clusters = self.clusters.0.lock().unwrap();
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        // The ids' alphabet: digits 2 to 7, letters.
        let letters =
            [number / 26, number % 26].map(|n| char::from(b'a' + u8::try_from(n).unwrap()));
        let id = format!("cluster-{}{}23456723aa", letters[0], letters[1]);
        let spec = self.spec(&id);
        let module = self.modules.load(&self.path, None).unwrap();
        module.ensure_token(&id, SO_PIN, password).unwrap();
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
        let module = self.modules.load(&self.path, None).unwrap();
        module
            .reset_pin(&cluster.module.token_label, SO_PIN, password)
            .unwrap();
    }
}
