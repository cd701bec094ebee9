//! `keystead node`: one HSM as a process of its own. `up` starts it, tells it of faults and peers through its standard
//! input, and it ends when that ends, so that no HSM outlives its service.

use std::fs;
use std::io::{self, BufRead, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use cloudhsm_core::node::{Conditions, NodeCommand, NodeSpec, PeerSpec, Ready};
use hsm_api::{Hsm, Secret};
use hsm_net::{
    Anchors, Credentials, Faults, Identity, Limits, Node, NodeConfig, Peers, Purpose, ServiceTrust,
    Sync as CatchUp, SyncConfig,
};
use hsm_sim::{ClusterIdentity, Engine, NodeSettings, PinRules};
use parking_lot::Mutex;

/// How long requests may take to end when the node is told to.
const GRACE: Duration = Duration::from_secs(5);
/// How often a node asks its peers for what it lacks, and how long it waits for them.
const CATCH_UP: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(10);

/// One HSM
#[derive(Args)]
pub struct NodeArgs {
    /// What it is: the file that `up` wrote
    #[arg(long, value_name = "FILE")]
    spec: PathBuf,
}

/// Serves until standard input ends.
pub fn run(args: &NodeArgs) -> Result<(), String> {
    let text = read(&args.spec)?;
    let spec: NodeSpec =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", args.spec.display()))?;
    let _alone = alone(&spec.data_dir)?;
    let engine = Engine::node(&spec.data_dir, settings(&spec)?)
        .map_err(|error| format!("{}: {error}", spec.hsm_id))?;
    let own = credentials(&spec)?;
    let service_ca = anchors(&read(&spec.service_ca)?)?;
    let identity = Arc::new(Presented {
        engine: engine.clone(),
        own: own.clone(),
        cluster: Mutex::default(),
    });
    let hsm: Arc<dyn Hsm> = Arc::new(engine.clone());
    let id = spec.hsm_id.clone();
    let log: Arc<dyn Fn(&str) + Send + Sync> =
        Arc::new(move |line: &str| eprintln!("{id}: {line}"));

    let mut ports = Vec::new();
    let each = [
        (Purpose::Client, spec.listen.client),
        (Purpose::Service, spec.listen.service),
        (Purpose::Management, spec.listen.management),
    ];
    for ((purpose, address), number) in each.into_iter().zip(cloudhsm_core::vpc::PORTS) {
        let listener = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
        let faults = Arc::new(Faults::default());
        let node = Node::start(NodeConfig {
            listeners: vec![(purpose, listener)],
            hsm: hsm.clone(),
            identity: identity.clone(),
            trust: ServiceTrust {
                ca: service_ca.clone(),
            },
            limits: Limits::default(),
            faults: faults.clone(),
            log: log.clone(),
        });
        ports.push(Port {
            number,
            purpose,
            faults,
            node: node.map_err(|error| format!("{address}: {error}"))?,
        });
    }
    let peers = Peers::default();
    let catch_up = CatchUp::start(SyncConfig {
        hsm,
        peers: peers.clone(),
        credentials: own,
        anchors: Arc::new(move || Some(trusted_peers(&engine_identity(&identity), &service_ca))),
        every: CATCH_UP,
        timeout: PATIENCE,
        log,
    });

    let mut hsm = RunningHsm {
        engine,
        ports,
        peers,
        known: Vec::new(),
        partitioned: false,
    };
    hsm.set_peers(&spec.peers);
    hsm.set_conditions(&spec.conditions);
    let ready =
        serde_json::to_string(&Ready { ready: spec.hsm_id }).map_err(|error| error.to_string())?;
    let said = |error: io::Error| format!("telling that the HSM serves: {error}");
    writeln!(io::stdout(), "{ready}")
        .and_then(|()| io::stdout().flush())
        .map_err(said)?;
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(NodeCommand::Conditions(conditions)) => hsm.set_conditions(&conditions),
            Ok(NodeCommand::Peers(peers)) => hsm.set_peers(&peers),
            Err(error) => eprintln!("a line on standard input is no command: {error}"),
        }
    }
    drop(catch_up);
    for port in &hsm.ports {
        port.node.shutdown(GRACE);
    }
    Ok(())
}

/// The HSM's directory for this process alone. One that was told to end may still be carrying out its last request: what it
/// does then, this one must see done before it serves.
fn alone(data_dir: &Path) -> Result<fs::File, String> {
    let file = data_dir.join("node.lock");
    let locked = fs::File::create(&file).and_then(|lock| lock.lock().map(|()| lock));
    locked.map_err(|error| format!("{}: {error}", file.display()))
}

/// One listening port with the faults that it has of its own.
struct Port {
    number: u16,
    purpose: Purpose,
    faults: Arc<Faults>,
    node: Node,
}

struct RunningHsm {
    engine: Engine,
    ports: Vec<Port>,
    peers: Peers,
    known: Vec<SocketAddr>,
    partitioned: bool,
}

impl RunningHsm {
    fn set_peers(&mut self, peers: &[PeerSpec]) {
        self.known = peers.iter().map(|peer| peer.address).collect();
        self.tell_peers();
    }

    fn set_conditions(&mut self, now: &Conditions) {
        for port in &self.ports {
            port.faults
                .refuse(now.partitioned || now.closed_ports.contains(&port.number));
            // The service's own line stays as it is: it is how a late or lossy HSM can still be watched.
            if port.purpose != Purpose::Service {
                port.faults.delay(Duration::from_millis(now.delay_ms));
                port.faults
                    .lose_requests(f64::from(now.drop_requests) / 100.0);
                port.faults
                    .lose_replies(f64::from(now.drop_replies) / 100.0);
            }
        }
        self.engine.fill_disk(now.disk_full);
        self.partitioned = now.partitioned;
        self.tell_peers();
    }

    /// Cut off, an HSM asks nobody either.
    fn tell_peers(&self) {
        self.peers.set(if self.partitioned {
            Vec::new()
        } else {
            self.known.clone()
        });
    }
}

/// What clients are shown: the service's certificate for this HSM until the customer's is installed.
struct Presented {
    engine: Engine,
    own: Arc<Credentials>,
    cluster: Mutex<Option<(Arc<ClusterIdentity>, Arc<Credentials>)>>,
}

impl Identity for Presented {
    fn current(&self) -> Arc<Credentials> {
        let Some(now) = self.engine.cluster_identity() else {
            return self.own.clone();
        };
        let mut cluster = self.cluster.lock();
        if let Some((known, credentials)) = &*cluster
            && Arc::ptr_eq(known, &now)
        {
            return credentials.clone();
        }
        match cluster_credentials(&now) {
            Ok(credentials) => {
                let credentials = Arc::new(credentials);
                *cluster = Some((now, credentials.clone()));
                credentials
            }
            Err(error) => {
                eprintln!("the cluster certificate cannot be presented: {error}");
                self.own.clone()
            }
        }
    }
}

fn cluster_credentials(identity: &ClusterIdentity) -> hsm_api::Result<Credentials> {
    Credentials::from_pem_and_der(&identity.certificate, identity.key.expose().to_vec())
}

fn engine_identity(presented: &Presented) -> Option<Arc<ClusterIdentity>> {
    presented.engine.cluster_identity()
}

/// Other HSMs of the cluster show the cluster certificate, and before they have it the service's.
fn trusted_peers(identity: &Option<Arc<ClusterIdentity>>, service_ca: &Anchors) -> Anchors {
    match identity
        .as_ref()
        .and_then(|identity| Anchors::from_pem(&identity.anchor).ok())
    {
        Some(customer) => customer.and(service_ca.clone()),
        None => service_ca.clone(),
    }
}

fn settings(spec: &NodeSpec) -> Result<NodeSettings, String> {
    let secret = |file: &Path| {
        fs::read(file)
            .map(Secret::new)
            .map_err(|error| format!("{}: {error}", file.display()))
    };
    Ok(NodeSettings {
        hsm_id: spec.hsm_id.clone(),
        serial: spec.serial.clone(),
        origin: spec.origin,
        fips: spec.fips,
        preco_password: Secret::from(spec.preco_password.as_bytes()),
        hardware_key: secret(&spec.hardware.key)?,
        aws_hardware: read(&spec.hardware.aws_certificate)?,
        manufacturer_hardware: read(&spec.hardware.manufacturer_certificate)?,
        backup_key: secret(&spec.backup_key)?,
        pins: PinRules::cluster(),
    })
}

fn credentials(spec: &NodeSpec) -> Result<Arc<Credentials>, String> {
    let key = zeroize::Zeroizing::new(read(&spec.credentials.key)?);
    let read = Credentials::from_pem(&read(&spec.credentials.certificate)?, &key);
    read.map(Arc::new)
        .map_err(|error| format!("the HSM's credentials: {error}"))
}

fn anchors(pem: &str) -> Result<Anchors, String> {
    Anchors::from_pem(pem).map_err(|error| format!("the service's CA: {error}"))
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}
