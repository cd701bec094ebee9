//! The services of one `up`, put together: control plane, KMS, and the module by which KMS reaches its HSMs.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aws_json::{Exception, Response, Service};
use cloudhsm_core::{CloudHsm, ProcessSpawner};
use kms_core::clusters::Clusters;
use kms_core::kms::{Kms, ServiceHsm, Settings};
use kms_core::p11::ModuleSpec;
use kms_core::quirks::PinForm;
use kms_server::Route;
use kms_server::foreign::{Foreign, ForeignCloudHsm};
use kms_server::glue::{InProcess, ModuleConfig, SERVICE_TOKEN};
use rand::RngExt;
use zeroize::Zeroizing;

/// How often keys whose deletion is due are looked for.
const TICK: Duration = Duration::from_secs(5);

/// What the paths of the simulation's own requests start with.
const SIMULATION: &str = "/_keystead/";

/// What they are answered where nothing is simulated; the name that CloudHSM's own operations answer there.
const NO_CLUSTER: Exception = Exception::new("CloudHsmInvalidRequestException", 400);

/// The services, running.
pub struct Stack {
    kms: Arc<Kms>,
    cloudhsm: Arc<dyn Service>,
    /// None where a named module takes the clusters' place.
    clusters: Option<Arc<CloudHsm>>,
    /// That module's file.
    named: Option<PathBuf>,
    ticking: (mpsc::Sender<()>, JoinHandle<()>),
}

impl Stack {
    /// KMS over clusters of ours.
    pub fn on_cluster(data_dir: &Path) -> Result<Stack, String> {
        let program = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
        let spawner = Box::new(ProcessSpawner::new(program, &["node"]));
        let config = cloudhsm_core::Config::new(data_dir.join("cloudhsm"));
        let service =
            CloudHsm::open(config, spawner).map_err(|error| format!("CloudHSM: {error}"))?;
        let service = Arc::new(service);
        let module = crate::module::beside_us()?;
        let config = module_config(data_dir)?;
        let clusters = InProcess::new(service.clone(), module.clone(), config.clone());
        let api = cloudhsm_core::API.bind(service.clone());
        let kms = open_kms(data_dir, module, &config, Arc::new(clusters))?;
        Ok(Stack {
            ticking: tick(kms.clone()),
            kms,
            cloudhsm: api,
            clusters: Some(service),
            named: None,
        })
    }

    /// KMS over a named module; its own HSM is still ours.
    pub fn on_module(data_dir: &Path, named: &Path, label: &str) -> Result<Stack, String> {
        // What is no module is said to be none now, and not only when a key store connects.
        let named = kms_core::p11::probe(named).map_err(|error| format!("--module: {error}"))?;
        let config = module_config(data_dir)?;
        let own = own_module(&named, &data_dir.join("kms/module"))?;
        let kms = open_kms(
            data_dir,
            own,
            &config,
            Arc::new(Foreign::new(named.clone(), label)),
        )?;
        let api = Arc::new(ForeignCloudHsm {
            module: named.clone(),
        });
        Ok(Stack {
            ticking: tick(kms.clone()),
            kms,
            cloudhsm: api,
            clusters: None,
            named: Some(named),
        })
    }

    /// What the server dispatches to.
    pub fn services(&self) -> Vec<Arc<dyn Service>> {
        vec![self.kms.service(), self.cloudhsm.clone()]
    }

    /// The simulation's own paths: VPC, faults, where the HSMs are.
    pub fn routes(&self) -> Vec<Route> {
        let Some(service) = self.clusters.clone() else {
            let module = self.named.clone().unwrap_or_default();
            let answer = Arc::new(move |_: &str, _: &[u8]| {
                let why = format!(
                    "This `keystead up` serves the token of a PKCS#11 module (--module {}): there is no simulated cluster, and so no \
                     VPC, no HSM to manage and no fault to rehearse.",
                    module.display()
                );
                Response::refusal(NO_CLUSTER.says(why), "Message")
            });
            return vec![Route {
                prefix: SIMULATION,
                answer,
            }];
        };
        let kms = self.kms.clone();
        let answer = Arc::new(move |path: &str, body: &[u8]| {
            if path == "/_keystead/reset" {
                // A request that would be refused takes nothing away.
                if let Err(error) = cloudhsm_core::admin::readable(body) {
                    return Response::refusal(error, "Message");
                }
                // KMS first: it is logged in to the clusters.
                if let Err(error) = kms.reset() {
                    return Response::refusal(error, "message");
                }
            }
            cloudhsm_core::admin::handle(&service, path, body)
        });
        vec![Route {
            prefix: SIMULATION,
            answer,
        }]
    }

    /// Logs out, ends the HSMs' processes, and returns when they are gone.
    pub fn stop(self) {
        let (stop, ticking) = self.ticking;
        drop(stop);
        let _ = ticking.join();
        self.kms.stop();
        if let Some(service) = &self.clusters {
            service.halt();
        }
    }
}

/// Our module for the service's own HSM. A process initialises a library once, with one configuration: where the user names our module
/// for the key store, which is to find the user's tokens, the service's own HSM needs a library of its own.
fn own_module(named: &Path, dir: &Path) -> Result<PathBuf, String> {
    let ours = crate::module::beside_us()?;
    if fs::canonicalize(&ours).ok().as_deref() != Some(named) {
        return Ok(ours);
    }
    let copy = dir.join("service-hsm.so");
    // Removed first: a file that another process has mapped must not be written into.
    let _ = fs::remove_file(&copy);
    fs::copy(named, &copy).map_err(|error| format!("{}: {error}", copy.display()))?;
    Ok(copy)
}

/// KMS with its own HSM, which is always a token of ours.
fn open_kms(
    data_dir: &Path,
    module: PathBuf,
    config: &ModuleConfig,
    clusters: Arc<dyn Clusters>,
) -> Result<Arc<Kms>, String> {
    let dir = data_dir.join("kms");
    let [so_pin, pin] = service_pins(&dir.join("service-hsm.pins"))?;
    let module = ModuleSpec {
        path: module,
        config: Some(config.reserved()),
        token_label: SERVICE_TOKEN.to_owned(),
    };
    let own = ServiceHsm {
        module,
        pin_form: PinForm::Plain,
        pin,
        so_pin: Some(so_pin),
    };
    let log = Arc::new(|line: &str| eprintln!("kms: {line}"));
    Kms::open(Settings {
        log,
        ..Settings::new(dir, clusters, own)
    })
    .map_err(|error| {
        format!(
            "KMS: {}",
            error.cause.clone().unwrap_or_else(|| error.to_string())
        )
    })
}

fn tick(kms: Arc<Kms>) -> (mpsc::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = mpsc::channel();
    let thread = thread::spawn(move || {
        while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            if let Err(error) = kms.tick() {
                eprintln!("kms: looking for keys to delete: {error}");
            }
        }
    });
    (stop, thread)
}

fn module_config(data_dir: &Path) -> Result<Arc<ModuleConfig>, String> {
    let dir = data_dir.join("kms/module");
    super::private_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    ModuleConfig::create(&dir)
        .map(Arc::new)
        .map_err(|error| format!("{}: {error}", dir.display()))
}

/// The PINs of the service's own HSM, SO's and user's: made once, and kept where only this user reads.
fn service_pins(file: &Path) -> Result<[Zeroizing<String>; 2], String> {
    let at = |error: std::io::Error| format!("{}: {error}", file.display());
    if !file.exists() {
        let pin = || {
            Zeroizing::new(
                rand::rng()
                    .sample_iter(rand::distr::Alphanumeric)
                    .take(32)
                    .map(char::from)
                    .collect::<String>(),
            )
        };
        let text = Zeroizing::new(format!("{}\n{}\n", *pin(), *pin()));
        let part = file.with_extension("new");
        let mut new = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&part)
            .map_err(at)?;
        new.write_all(text.as_bytes())
            .and_then(|()| new.sync_all())
            .map_err(at)?;
        fs::rename(part, file).map_err(at)?;
    }
    let text = Zeroizing::new(fs::read_to_string(file).map_err(at)?);
    let pins: Vec<_> = text
        .lines()
        .map(|line| Zeroizing::new(line.to_owned()))
        .collect();
    pins.try_into().map_err(|_| {
        format!(
            "{}: should hold two lines, the PINs of the service's own HSM",
            file.display()
        )
    })
}
