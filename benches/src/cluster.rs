//! What a cluster adds: a call over TLS to a node beside a bare TLS echo of as many bytes; and what a second HSM adds where
//! the HSMs are what is slow. Nodes and echo run in this process, real engines and sockets behind them.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hsm_api::{Hello, Hidden, Hsm, Link, Reply, Request, Role, Secret, SessionId};
use hsm_net::{Anchors, Credentials, Limits, Node, NodeConfig, Purpose, ServiceTrust};
use hsm_sim::{Engine, NodeSettings, PinRules};
use pkcs11_sys::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::raw::{self, Value};
use crate::report::{Line, Ratio, Wants};
use crate::rig::Peer;
use crate::rows::{self, Kind};
use crate::window::{Plan, Work, interleaved};

type Outcome<T> = Result<T, Box<dyn Error>>;
type Issuer = CertifiedIssuer<'static, KeyPair>;

const PIN: &str = "cu1:cu1password";
/// How long a slow HSM works on one request, one at a time.
const SLOW: Duration = Duration::from_millis(4);
/// What a frame adds to the data, at least: the echo's bytes are rather too few than too many.
const FRAME: usize = 64;

/// These rows, where they are wanted.
///
/// # Errors
/// What does not start, and what is refused.
pub fn lines(wanted: &dyn Fn(&str) -> bool, ours: &Peer) -> Outcome<Vec<Line>> {
    let round_trips = [
        ("cluster: C_Sign, ECDSA P-256", Kind::EcSign(256), 32, 64),
        ("cluster: C_Encrypt, GCM 1 KiB", Kind::Gcm(1024), 1024, 1040),
    ];
    let second = "cluster: two slow HSMs";
    if !wanted(second) && !round_trips.iter().any(|(name, ..)| wanted(name)) {
        return Ok(Vec::new());
    }
    let home = std::env::var_os("HOME").ok_or("the rig has set no HOME")?;
    let dir = Path::new(&home);
    let ca = issuer()?;
    let mut lines = Vec::new();
    let nodes = Nodes::start(&dir.join("fast"), &ca, 2, false)?;
    let fast = nodes.peer("fast", dir, ours)?;
    for (name, kind, there, back) in round_trips {
        if wanted(name) {
            let mut work = vec![rows::work(kind, &fast, 1)?];
            work.push(vec![echo(&ca, there + FRAME, back + FRAME)?]);
            work.extend(crate::limit::work(kind, 1));
            let rates = interleaved(&mut work, kind.plan());
            let direct = rates.of(2);
            lines.push(Line {
                name: name.into(),
                rates: vec![
                    ("cluster", rates.of(0)),
                    ("echo", rates.of(1)),
                    ("limit", direct),
                ],
                ratios: vec![Ratio {
                    of: "round trip by echo",
                    is: 1.0 / rates.ratio(0, 1),
                    wants: Some(Wants::AtMost(1.25)),
                }],
                notes: vec![format!(
                    "of the round trip, the operation itself takes {:.0} us",
                    1e6 / direct
                )],
            });
        }
    }
    if wanted(second) {
        lines.push(two(second, dir, &ca, ours)?);
    }
    Ok(lines)
}

/// Four threads on one HSM that takes 4 ms for each request, and on two of them.
fn two(name: &str, dir: &Path, ca: &Issuer, ours: &Peer) -> Outcome<Line> {
    let alone = Nodes::start(&dir.join("alone"), ca, 1, true)?;
    let both = Nodes::start(&dir.join("both"), ca, 2, true)?;
    let mut work = Vec::new();
    for (label, nodes) in [("alone", &alone), ("both", &both)] {
        let peer = nodes.peer(label, dir, ours)?;
        let template = [
            (CKA_VALUE_LEN, Value::Number(32)),
            (CKA_ENCRYPT, Value::Flag(true)),
            (CKA_TOKEN, Value::Flag(true)),
        ];
        let key = peer
            .session
            .generate(&raw::plain(CKM_AES_KEY_GEN), &template)?;
        let threads = (0..4).map(|_| {
            let (session, mut out) = (peer.open_session(), [0; 64]);
            Box::new(move || {
                let iv = [3_u8; 16];
                let mechanism = raw::mechanism(CKM_AES_CBC, Some(&iv));
                session
                    .encrypt(&mechanism, key, &[1; 32], &mut out)
                    .expect("encrypts");
            }) as Work
        });
        work.push(threads.collect());
    }
    let plan = Plan {
        rounds: 7,
        window: Duration::from_millis(200),
        luck: false,
    };
    let rates = interleaved(&mut work, plan);
    Ok(Line {
        name: name.into(),
        rates: vec![("one", rates.of(0)), ("two", rates.of(1))],
        ratios: vec![Ratio {
            of: "one HSM",
            is: rates.ratio(1, 0),
            wants: Some(Wants::AtLeast(1.8)),
        }],
        notes: vec!["simulated: each HSM takes 4 ms a request, one at a time; four threads".into()],
    })
}

fn issuer() -> Outcome<Issuer> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

/// A server's certificate and key, in PEM.
fn leaf(ca: &Issuer, names: Vec<String>) -> Outcome<(rcgen::Certificate, KeyPair)> {
    let key = KeyPair::generate()?;
    Ok((CertificateParams::new(names)?.signed_by(&key, ca)?, key))
}

/// The HSMs of one cluster, running.
struct Nodes {
    addresses: Vec<String>,
    _running: Vec<Node>,
}

impl Nodes {
    fn start(dir: &Path, ca: &Issuer, count: u64, slow: bool) -> Outcome<Nodes> {
        let (mut addresses, mut running) = (Vec::new(), Vec::new());
        let mut first: Option<Engine> = None;
        for number in 1..=count {
            let engine = Engine::node(&dir.join(number.to_string()), settings(number)?)?;
            match &first {
                None => activate(&engine)?,
                Some(first) => {
                    let link = |engine: &Engine| open(engine, hsm_api::Peer::Service);
                    let Reply::Bytes(backup) = ask(&*link(first)?, Request::Backup)? else {
                        return Err("a backup is bytes".into());
                    };
                    let backup = Hidden(&backup);
                    ask(&*link(&engine)?, Request::Restore { backup })?;
                }
            }
            first.get_or_insert_with(|| engine.clone());
            let (certificate, key) = leaf(ca, Vec::new())?;
            let identity = Credentials::from_pem(&certificate.pem(), &key.serialize_pem())?;
            let listener = TcpListener::bind("127.0.0.1:0")?;
            addresses.push(format!("\"{}\"", listener.local_addr()?));
            let engine: Arc<dyn Hsm> = Arc::new(engine);
            let hsm = if slow {
                Arc::new(Slow::new(engine))
            } else {
                engine
            };
            running.push(Node::start(NodeConfig {
                listeners: vec![(Purpose::Client, listener)],
                hsm,
                identity: Arc::new(Arc::new(identity)),
                trust: ServiceTrust {
                    ca: Anchors::from_pem(&ca.pem())?,
                },
                limits: Limits::default(),
                faults: Arc::default(),
                log: Arc::new(|line| eprintln!("{line}")),
            })?);
        }
        std::fs::write(dir.join("ca.crt"), ca.pem())?;
        Ok(Nodes {
            addresses,
            _running: running,
        })
    }

    /// The cluster's slot, which the module finds when it reads its configuration again.
    fn peer(&self, label: &str, dir: &Path, ours: &Peer) -> Outcome<Peer> {
        let before = ours.module.slots()?;
        let mut config = std::fs::OpenOptions::new()
            .append(true)
            .open(dir.join("pkcs11.toml"))?;
        let check = self.addresses.len() > 1;
        writeln!(
            config,
            "[[cluster]]\nlabel = \"{label}\"\nnodes = [{}]\ntrust-anchor = \"{label}/ca.crt\"\n\
             personality = \"standard\"\nkey-availability-check = {check}",
            self.addresses.join(", ")
        )?;
        drop(config);
        let slots = ours.module.slots()?;
        let new = slots.into_iter().find(|slot| !before.contains(slot));
        Peer::cluster(
            "cluster",
            ours,
            new.ok_or("the cluster's slot has no token")?,
            PIN,
        )
    }
}

fn settings(number: u64) -> Outcome<NodeSettings> {
    Ok(NodeSettings {
        hsm_id: format!("hsm-{number:011}"),
        serial: format!("A{number:06}"),
        origin: number,
        fips: false,
        preco_password: Secret::new(b"password".to_vec()),
        hardware_key: Secret::new(KeyPair::generate()?.serialize_pem().into_bytes()),
        aws_hardware: String::new(),
        manufacturer_hardware: String::new(),
        backup_key: Secret::new(vec![7; 32]),
        pins: PinRules::cluster(),
    })
}

fn open(engine: &Engine, peer: hsm_api::Peer) -> Outcome<Arc<dyn Link>> {
    let application = 1;
    Ok(engine.open(&Hello { application, peer })?)
}

fn ask(link: &dyn Link, request: Request<'_>) -> Outcome<Reply> {
    Ok(link.call(SessionId(1), &request, &mut [])?)
}

/// Activates the first HSM and makes its crypto user.
fn activate(engine: &Engine) -> Outcome<()> {
    let officer = open(engine, hsm_api::Peer::Client)?;
    let login = |role, pin| Request::Login {
        role,
        name: Some("admin"),
        pin: Hidden(pin),
    };
    let named = |role, name, password| (role, name, Hidden(password));
    ask(&*officer, login(Role::PreCo, b"password"))?;
    let (role, name, password) = named(Role::PreCo, "admin", b"officer1");
    ask(
        &*officer,
        Request::ChangePassword {
            role,
            name,
            password,
        },
    )?;
    ask(&*officer, Request::Logout)?;
    ask(&*officer, login(Role::Co, b"officer1"))?;
    let (role, name, password) = named(Role::Cu, "cu1", b"cu1password");
    ask(
        &*officer,
        Request::CreateUser {
            role,
            name,
            password,
        },
    )?;
    Ok(())
}

/// An HSM that takes its time for each operation with a key, one at a time, as hardware does.
struct Slow(Arc<dyn Hsm>, Arc<Mutex<()>>);

struct SlowLink(Arc<dyn Link>, Arc<Mutex<()>>);

impl Slow {
    fn new(hsm: Arc<dyn Hsm>) -> Slow {
        Slow(hsm, Arc::default())
    }
}

impl Hsm for Slow {
    fn open(&self, who: &Hello) -> hsm_api::Result<Arc<dyn Link>> {
        Ok(Arc::new(SlowLink(self.0.open(who)?, self.1.clone())))
    }
}

impl Link for SlowLink {
    fn call(
        &self,
        session: SessionId,
        request: &Request<'_>,
        out: &mut [u8],
    ) -> hsm_api::Result<Reply> {
        if let Request::Crypt { .. } = request {
            let _one = self.1.lock();
            std::thread::sleep(SLOW);
        }
        self.0.call(session, request, out)
    }
}

/// A client of a server that answers so many bytes with so many: TLS 1.3 by the same library, without delay.
fn echo(ca: &Issuer, there: usize, back: usize) -> Outcome<Work> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (certificate, key) = leaf(ca, vec!["localhost".into()])?;
    let chain = vec![certificate.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der())?;
    let versions = &[&rustls::version::TLS13];
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(ca.der().to_vec()))?;
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let to = TcpStream::connect(listener.local_addr()?)?;
    let (from, _) = listener.accept()?;
    to.set_nodelay(true)?;
    from.set_nodelay(true)?;
    let accepted = rustls::ServerConnection::new(Arc::new(server))?;
    std::thread::spawn(move || {
        let mut stream = rustls::StreamOwned::new(accepted, from);
        let (mut got, answer) = (vec![0; there], vec![2; back]);
        // Ends with the client.
        while stream.read_exact(&mut got).is_ok() && stream.write_all(&answer).is_ok() {}
    });
    let opened =
        rustls::ClientConnection::new(Arc::new(client), ServerName::try_from("localhost")?)?;
    let mut stream = rustls::StreamOwned::new(opened, to);
    let (said, mut answer) = (vec![1; there], vec![0; back]);
    Ok(Box::new(move || {
        stream.write_all(&said).expect("writes");
        stream.read_exact(&mut answer).expect("reads");
    }))
}
