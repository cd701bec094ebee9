//! A service with nodes in this process, a small HSM, and openssl for the customer's side.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_json::{Caller, Service};
use cloudhsm_core::node::{NodeCommand, NodeSpec};
use cloudhsm_core::supervisor::{Process, Spawner};
use cloudhsm_core::{CloudHsm, Config, admin, op};
use hsm_api::reply::{Certificates, NodeInfo};
use hsm_api::{
    Error, Hello, Hsm, Link, Peer, Reply, Request, Result, Role, Rv, SessionId, UserInfo,
};
use hsm_net::{
    Anchors, Credentials, Faults, Identity, Limits, Node, NodeConfig, Purpose, ServiceTrust,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the small HSM holds; a file in its data directory.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Content {
    key: String,
    cluster: Option<(String, String)>,
    pub users: Vec<String>,
    pub activated: bool,
    pub locked: bool,
}

pub struct TinyHsm {
    spec: NodeSpec,
    own: Arc<Credentials>,
    cluster: Mutex<Option<Arc<Credentials>>>,
    pub content: Mutex<Content>,
}

impl TinyHsm {
    fn open(spec: &NodeSpec) -> TinyHsm {
        let read = |f: &Path| fs::read_to_string(f).expect("the spec's files exist");
        let content = match fs::read(spec.data_dir.join("content")) {
            Ok(bytes) => serde_json::from_slice(&bytes).expect("own file"),
            Err(_) => Content {
                key: rcgen::KeyPair::generate().expect("key").serialize_pem(),
                users: vec!["admin".into(), "app_user".into()],
                ..Content::default()
            },
        };
        let own = Credentials::from_pem(
            &read(&spec.credentials.certificate),
            &read(&spec.credentials.key),
        );
        let hsm = TinyHsm {
            spec: spec.clone(),
            own: Arc::new(own.expect("credentials")),
            cluster: Mutex::default(),
            content: Mutex::default(),
        };
        hsm.set(|c| *c = content);
        hsm
    }

    pub fn set(&self, change: impl FnOnce(&mut Content)) {
        let mut content = self.content.lock();
        change(&mut content);
        fs::write(
            self.spec.data_dir.join("content"),
            serde_json::to_vec(&*content).expect("json"),
        )
        .expect("writes");
        *self.cluster.lock() = content.cluster.as_ref().map(|(certificate, _)| {
            Arc::new(Credentials::from_pem(certificate, &content.key).expect("matches"))
        });
    }

    fn csr(&self) -> Certificates {
        let key = rcgen::KeyPair::from_pem(&self.content.lock().key).expect("key");
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(
            rcgen::DnType::CommonName,
            format!("HSM:{}", self.spec.serial),
        );
        let read = |f: &Path| fs::read_to_string(f).expect("reads");
        Certificates {
            csr: params
                .serialize_request(&key)
                .expect("csr")
                .pem()
                .expect("pem"),
            hsm: "hsm".into(),
            aws_hardware: read(&self.spec.hardware.aws_certificate),
            manufacturer_hardware: read(&self.spec.hardware.manufacturer_certificate),
            cluster: None,
        }
    }

    fn answer(&self, request: &Request<'_>) -> Result<Reply> {
        Ok(match request {
            Request::Csr => Reply::Csr(self.csr()),
            Request::Install {
                certificate,
                anchor,
            } => {
                if self.content.lock().cluster.is_some() {
                    return Err(Rv::FUNCTION_REJECTED.into());
                }
                self.set(|c| c.cluster = Some(((*certificate).into(), (*anchor).into())));
                Reply::Done
            }
            Request::Backup => {
                Reply::Bytes(serde_json::to_vec(&*self.content.lock()).expect("json"))
            }
            Request::Restore { backup } => {
                let restored =
                    serde_json::from_slice(backup.0).map_err(|_| Error::from(Rv::DATA_INVALID))?;
                self.set(|c| *c = restored);
                Reply::Done
            }
            Request::NodeInfo => {
                let content = self.content.lock();
                Reply::Node(NodeInfo {
                    hsm_id: self.spec.hsm_id.clone(),
                    serial: self.spec.serial.clone(),
                    origin: self.spec.origin,
                    installed: content.cluster.is_some(),
                    activated: content.activated,
                    objects: 0,
                    fips: self.spec.fips,
                })
            }
            Request::Users => {
                let content = self.content.lock();
                let row = |(i, name): (usize, &String)| UserInfo {
                    id: i as u32 + 1,
                    role: Role::Cu,
                    name: name.clone(),
                    failures: 0,
                    locked: content.locked,
                    second_factor: false,
                    quorum_key: false,
                    logged_in: 0,
                };
                Reply::Users(content.users.iter().enumerate().map(row).collect())
            }
            _ => return Err(Rv::FUNCTION_NOT_SUPPORTED.into()),
        })
    }
}

impl Identity for TinyHsm {
    fn current(&self) -> Arc<Credentials> {
        self.cluster
            .lock()
            .clone()
            .unwrap_or_else(|| self.own.clone())
    }
}

struct Opened(Arc<TinyHsm>);
struct Line(Arc<TinyHsm>);

impl Hsm for Opened {
    fn open(&self, who: &Hello) -> Result<Arc<dyn Link>> {
        match who.peer {
            Peer::Service => Ok(Arc::new(Line(self.0.clone()))),
            _ => Err(Rv::FUNCTION_REJECTED.into()),
        }
    }
}

impl Link for Line {
    fn call(&self, _: SessionId, request: &Request<'_>, _: &mut [u8]) -> Result<Reply> {
        self.0.answer(request)
    }
}

/// The nodes that run in this process.
#[derive(Clone, Default)]
pub struct Nodes(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    running: HashMap<String, (Arc<TinyHsm>, Option<Node>)>,
    told: HashMap<String, Vec<NodeCommand>>,
    starts: Vec<String>,
    refuse: Option<String>,
}

impl Nodes {
    pub fn hsm(&self, id: &str) -> Arc<TinyHsm> {
        self.0.lock().running[id].0.clone()
    }
    pub fn running(&self) -> usize {
        self.0.lock().running.len()
    }
    pub fn told(&self, id: &str) -> Vec<NodeCommand> {
        self.0.lock().told.get(id).cloned().unwrap_or_default()
    }
    pub fn starts(&self) -> Vec<String> {
        self.0.lock().starts.clone()
    }
    /// Dies as by signal 9, and nobody told the service.
    pub fn die(&self, id: &str) {
        let gone = self.0.lock().running.remove(id);
        drop(gone.expect("ran"));
    }
    /// Does not start any more.
    pub fn refuse(&self, id: Option<&str>) {
        self.0.lock().refuse = id.map(str::to_owned);
    }
}

impl Spawner for Nodes {
    fn spawn(&self, file: &Path, spec: &NodeSpec) -> io::Result<Box<dyn Process>> {
        let written: NodeSpec = serde_json::from_slice(&fs::read(file)?)?;
        assert_eq!(written, *spec, "the file is what the process reads");
        if self.0.lock().refuse.as_ref() == Some(&spec.hsm_id) {
            return Err(io::Error::other("it does not want to"));
        }
        let hsm = Arc::new(TinyHsm::open(spec));
        let ports = [
            (Purpose::Client, spec.listen.client),
            (Purpose::Service, spec.listen.service),
            (Purpose::Management, spec.listen.management),
        ];
        let bind = |(purpose, address)| TcpListener::bind(address).map(|l| (purpose, l));
        let node = Node::start(NodeConfig {
            listeners: ports.into_iter().map(bind).collect::<io::Result<_>>()?,
            hsm: Arc::new(Opened(hsm.clone())),
            identity: hsm.clone(),
            trust: ServiceTrust {
                ca: Anchors::from_pem(&fs::read_to_string(&spec.service_ca)?)
                    .map_err(io::Error::other)?,
            },
            limits: Limits::default(),
            faults: Arc::new(Faults::default()),
            log: Arc::new(|line| eprintln!("node: {line}")),
        })?;
        let mut shared = self.0.lock();
        shared.starts.push(spec.hsm_id.clone());
        shared
            .running
            .insert(spec.hsm_id.clone(), (hsm, Some(node)));
        Ok(Box::new(Handle {
            id: spec.hsm_id.clone(),
            nodes: self.clone(),
        }))
    }
}

struct Handle {
    id: String,
    nodes: Nodes,
}

impl Process for Handle {
    fn pid(&self) -> Option<u32> {
        None
    }
    fn send(&mut self, command: &NodeCommand) -> io::Result<()> {
        self.nodes
            .0
            .lock()
            .told
            .entry(self.id.clone())
            .or_default()
            .push(command.clone());
        Ok(())
    }
    fn ended(&mut self) -> Option<String> {
        let runs = self.nodes.0.lock().running.contains_key(&self.id);
        (!runs).then(|| "signal: 9".into())
    }
    fn kill(&mut self) {
        let gone = self.nodes.0.lock().running.remove(&self.id);
        drop(gone);
    }
    fn stop(&mut self, _: Duration) {
        self.kill();
    }
}

/// A service in a directory of its own.
pub struct World {
    pub dir: tempfile::TempDir,
    pub nodes: Nodes,
    pub service: Arc<CloudHsm>,
    api: Arc<dyn Service>,
    pub clock: Arc<Mutex<f64>>,
}

pub type Refusal = (String, String);

impl World {
    pub fn new() -> World {
        let dir = tempfile::tempdir().expect("dir");
        World::open(dir, Nodes::default(), Arc::new(Mutex::new(1.6e9)))
    }

    fn open(dir: tempfile::TempDir, nodes: Nodes, clock: Arc<Mutex<f64>>) -> World {
        let begin = Instant::now();
        let time = clock.clone();
        let config = Config {
            transition: Duration::from_millis(60),
            poll: Duration::from_millis(10),
            replace_after: Duration::from_millis(150),
            clock: Arc::new(move || *time.lock() + begin.elapsed().as_secs_f64()),
            ..Config::new(dir.path().join("data"))
        };
        let service = CloudHsm::open(config, Box::new(nodes.clone())).expect("opens");
        let service = Arc::new(service);
        let api = op::API.bind(service.clone());
        World {
            dir,
            nodes,
            service,
            api,
            clock,
        }
    }

    /// Stops the service and opens it again in the same directory.
    pub fn restart(self) -> World {
        let World {
            dir,
            nodes,
            service,
            api,
            clock,
        } = self;
        drop(api);
        drop(service);
        assert_eq!(nodes.running(), 0, "no node outlives its service");
        *clock.lock() += 60.0;
        World::open(dir, nodes, clock)
    }

    pub fn caller(region: &str) -> Caller {
        Caller::new("123456789012", region, None, "r")
    }

    pub fn try_call_in(
        &self,
        region: &str,
        operation: &str,
        input: &Value,
    ) -> std::result::Result<Value, Refusal> {
        let answer = self.api.call(
            operation,
            input.to_string().as_bytes(),
            &World::caller(region),
        );
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        match answer.status {
            200 => Ok(body),
            _ => {
                let text = |k: &str| body[k].as_str().unwrap_or_default().to_owned();
                Err((text("__type"), text("Message")))
            }
        }
    }
    pub fn try_call(&self, operation: &str, input: Value) -> std::result::Result<Value, Refusal> {
        self.try_call_in("us-east-1", operation, &input)
    }
    pub fn call(&self, operation: &str, input: Value) -> Value {
        self.try_call(operation, input)
            .unwrap_or_else(|e| panic!("{operation}: {e:?}"))
    }
    /// The exception's name without its common parts.
    pub fn refusal(&self, operation: &str, input: Value) -> Refusal {
        let (name, text) = self.try_call(operation, input).expect_err(operation);
        (name.replace("CloudHsm", "").replace("Exception", ""), text)
    }
    pub fn admin(&self, verb: &str, input: Value) -> std::result::Result<Value, Refusal> {
        let answer = admin::handle(
            &self.service,
            &format!("/_keystead/{verb}"),
            input.to_string().as_bytes(),
        );
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        match answer.status {
            200 => Ok(body),
            _ => Err((body["__type"].to_string(), body["Message"].to_string())),
        }
    }

    pub fn cluster(&self, id: &str) -> Value {
        let shown = self.call("DescribeClusters", json!({"Filters": {"clusterIds": [id]}}));
        shown["Clusters"][0].clone()
    }
    pub fn until(&self, id: &str, what: &str, test: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let cluster = self.cluster(id);
            if test(&cluster) {
                return cluster;
            }
            assert!(Instant::now() < end, "never {what}: {cluster:#}");
            std::thread::sleep(Duration::from_millis(3));
        }
    }
    pub fn until_state(&self, id: &str, state: &str) -> Value {
        self.until(id, state, |c| c["State"] == state)
    }
    pub fn until_hsms(&self, id: &str, count: usize) -> Value {
        self.until(id, "all HSMs ACTIVE", |c| {
            let hsms = c["Hsms"].as_array().expect("list");
            hsms.len() == count && hsms.iter().all(|h| h["State"] == "ACTIVE")
        })
    }
    pub fn subnets(&self) -> Vec<Value> {
        self.admin("vpc/subnets", json!({}))
            .expect("lists")
            .as_array()
            .expect("list")
            .clone()
    }
    pub fn new_cluster(&self) -> String {
        let ids: Vec<Value> = self.subnets()[..2]
            .iter()
            .map(|s| s["SubnetId"].clone())
            .collect();
        let made = self.call(
            "CreateCluster",
            json!({"HsmType": "hsm2m.medium", "SubnetIds": ids}),
        );
        let id = made["Cluster"]["ClusterId"]
            .as_str()
            .expect("id")
            .to_owned();
        self.until(&id, "created", |c| c["State"] != "CREATE_IN_PROGRESS");
        id
    }
    pub fn add_hsm(&self, cluster: &str, zone: &str) -> String {
        let zone = format!("us-east-1{zone}");
        let made = self.call(
            "CreateHsm",
            json!({"ClusterId": cluster, "AvailabilityZone": zone}),
        );
        made["Hsm"]["HsmId"].as_str().expect("id").to_owned()
    }
    pub fn initialize(&self, cluster: &str) -> Ca {
        let csr = self.cluster(cluster)["Certificates"]["ClusterCsr"]
            .as_str()
            .expect("CSR")
            .to_owned();
        let ca = Ca::new(self.dir.path(), "customerCA", 2048);
        let signed = ca.sign(&csr);
        let answer = self.call(
            "InitializeCluster",
            json!({"ClusterId": cluster, "SignedCert": signed, "TrustAnchor": ca.certificate()}),
        );
        assert_eq!(answer["State"], "INITIALIZE_IN_PROGRESS");
        self.until_state(cluster, "INITIALIZED");
        ca
    }
    /// A cluster in state ACTIVE with HSMs in these zones.
    pub fn active(&self, zones: &[&str]) -> (String, Vec<String>) {
        let id = self.new_cluster();
        let first = self.add_hsm(&id, zones[0]);
        self.until_hsms(&id, 1);
        self.initialize(&id);
        self.nodes.hsm(&first).set(|c| c.activated = true);
        self.until_state(&id, "ACTIVE");
        let mut hsms = vec![first];
        for zone in &zones[1..] {
            hsms.push(self.add_hsm(&id, zone));
        }
        self.until_hsms(&id, hsms.len());
        (id, hsms)
    }
    pub fn backups(&self, cluster: &str) -> Vec<Value> {
        let shown = self.call(
            "DescribeBackups",
            json!({"Filters": {"clusterIds": [cluster]}}),
        );
        shown["Backups"].as_array().expect("list").clone()
    }
    pub fn until_backups(&self, cluster: &str, count: usize) -> Vec<Value> {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let all = self.backups(cluster);
            if all.len() == count && all.iter().all(|b| b["BackupState"] == "READY") {
                return all;
            }
            assert!(Instant::now() < end, "never {count} backups: {all:#?}");
            std::thread::sleep(Duration::from_millis(3));
        }
    }
}

/// A customer's CA, made as the user guide makes it.
pub struct Ca {
    pub dir: PathBuf,
}

pub fn openssl(args: &[&str]) {
    let run = Command::new("openssl")
        .args(args)
        .output()
        .expect("openssl runs");
    assert!(
        run.status.success(),
        "openssl {args:?}: {}",
        String::from_utf8_lossy(&run.stderr)
    );
}

impl Ca {
    /// Self-signed RSA with the extensions that `openssl req -x509` gives.
    pub fn new(dir: &Path, name: &str, bits: u32) -> Ca {
        let dir = dir.join(format!("{name}-{}", rand::random::<u32>()));
        fs::create_dir(&dir).expect("new");
        let ca = Ca { dir };
        let (key, crt) = (ca.path("ca.key"), ca.path("ca.crt"));
        let (new, subject) = (format!("rsa:{bits}"), format!("/CN={name}"));
        openssl(&[
            "req", "-x509", "-newkey", &new, "-nodes", "-days", "3652", "-subj", &subject,
            "-keyout", &key, "-out", &crt,
        ]);
        ca
    }
    pub fn path(&self, file: &str) -> String {
        self.dir.join(file).to_str().expect("UTF-8").to_owned()
    }
    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.dir.join(file)).expect("reads")
    }
    pub fn certificate(&self) -> String {
        self.read("ca.crt")
    }
    /// `openssl x509 -req`, as the user guide says; `more` may name an extension file.
    pub fn sign_with(&self, csr: &str, more: &[&str]) -> String {
        fs::write(self.dir.join("csr.pem"), csr).expect("writes");
        let (csr, out) = (self.path("csr.pem"), self.path("leaf.crt"));
        let (key, crt) = (self.path("ca.key"), self.path("ca.crt"));
        let mut args = vec![
            "x509",
            "-req",
            "-days",
            "3652",
            "-in",
            &csr,
            "-CA",
            &crt,
            "-CAkey",
            &key,
            "-CAcreateserial",
            "-out",
            &out,
        ];
        args.extend(more);
        openssl(&args);
        self.read("leaf.crt")
    }
    pub fn sign(&self, csr: &str) -> String {
        self.sign_with(csr, &[])
    }
}
