//! A cluster of two HSMs, which run in this process behind real sockets and TLS: real engines and nodes,
//! where only the certificate is handed over instead of signed through a CSR.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use cryptoki::context::Pkcs11;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use hsm_api::{Hello, Hidden, Hsm, Link, Peer, Reply, Request, Role, Secret, SessionId};
use hsm_net::{Anchors, Credentials, Faults, Limits, Node, NodeConfig, Purpose, ServiceTrust};
use hsm_sim::{Engine, NodeSettings, PinRules};
use pkcs11_sys::CKU_USER;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::copy::Copy;
use crate::raw::Raw;

/// The PIN of its crypto user.
pub const USER: &str = "cu1:cu1password";

/// The personality is the last line of `copy`'s configuration file.
pub struct Rig {
    pub copy: Copy,
    pub nodes: Vec<Option<Node>>,
    pub addresses: Vec<SocketAddr>,
    pub faults: Arc<Faults>,
}

fn settings(number: u64, hardware: &KeyPair, fips: bool) -> NodeSettings {
    NodeSettings {
        hsm_id: format!("hsm-{number:011}"),
        serial: format!("A{number:06}"),
        origin: number,
        fips,
        preco_password: Secret::new(b"password".to_vec()),
        hardware_key: Secret::new(hardware.serialize_pem().into_bytes()),
        aws_hardware: String::new(),
        manufacturer_hardware: String::new(),
        backup_key: Secret::new(vec![7; 32]),
        pins: PinRules::cluster(),
    }
}

fn link(engine: &Engine, peer: Peer) -> Arc<dyn Link> {
    let application = 1;
    engine.open(&Hello { application, peer }).unwrap()
}

pub fn ask(link: &Arc<dyn Link>, request: Request<'_>) -> Reply {
    link.call(SessionId(1), &request, &mut []).unwrap()
}

/// Activates the first HSM and makes its crypto user.
fn activate(engine: &Engine) {
    let officer = link(engine, Peer::Client);
    let login = |role, pin| Request::Login {
        role,
        name: Some("admin"),
        pin: Hidden(pin),
    };
    ask(&officer, login(Role::PreCo, b"password"));
    let password = Hidden(b"officer1");
    let (role, name) = (Role::PreCo, "admin");
    ask(
        &officer,
        Request::ChangePassword {
            role,
            name,
            password,
        },
    );
    ask(&officer, Request::Logout);
    ask(&officer, login(Role::Co, b"officer1"));
    let (role, name, password) = (Role::Cu, "cu1", Hidden(b"cu1password"));
    ask(
        &officer,
        Request::CreateUser {
            role,
            name,
            password,
        },
    );
}

impl Rig {
    pub fn new(personality: &str) -> Rig {
        Rig::with(personality, false)
    }

    pub fn with(personality: &str, fips: bool) -> Rig {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut rig = Rig {
            copy: Copy::with(""),
            nodes: Vec::new(),
            addresses: Vec::new(),
            faults: Arc::default(),
        };
        let mut addresses = Vec::new();
        let mut first: Option<Engine> = None;
        for number in 1..=2 {
            let dir = rig.copy.dir().join(format!("hsm{number}"));
            let hardware = KeyPair::generate().unwrap();
            let engine = Engine::node(&dir, settings(number, &hardware, fips)).unwrap();
            match &first {
                None => activate(&engine),
                Some(first) => {
                    let Reply::Bytes(backup) = ask(&link(first, Peer::Service), Request::Backup)
                    else {
                        panic!("a backup is bytes");
                    };
                    let backup = Hidden(&backup);
                    ask(&link(&engine, Peer::Service), Request::Restore { backup });
                }
            }
            first.get_or_insert_with(|| engine.clone());
            let key = KeyPair::generate().unwrap();
            let leaf = CertificateParams::default().signed_by(&key, &ca).unwrap();
            let identity = Credentials::from_pem(&leaf.pem(), &key.serialize_pem()).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            rig.addresses.push(address);
            addresses.push(format!("\"{address}\""));
            let node = Node::start(NodeConfig {
                listeners: vec![(Purpose::Client, listener)],
                hsm: Arc::new(engine),
                identity: Arc::new(Arc::new(identity)),
                trust: ServiceTrust {
                    ca: Anchors::from_pem(&ca.pem()).unwrap(),
                },
                limits: Limits::default(),
                faults: Arc::clone(&rig.faults),
                log: Arc::new(|line| eprintln!("{line}")),
            });
            rig.nodes.push(Some(node.unwrap()));
        }
        let file = |name: &str| rig.copy.dir().join(name);
        std::fs::write(file("customerCA.crt"), ca.pem()).unwrap();
        let config = format!(
            "[[cluster]]\nlabel = \"c\"\nnodes = [{}]\ntrust-anchor = \"customerCA.crt\"\n\
             connect-timeout = 1\npersonality = \"{personality}\"\n",
            addresses.join(", ")
        );
        std::fs::write(file("pkcs11.toml"), config).unwrap();
        rig
    }

    /// The user's session through the function list; the HSMs go with the value.
    pub fn raw(self) -> Raw {
        let mut raw = Raw::loaded(self.copy);
        (raw.so_pin, raw.pin) = ("admin:officer1", USER);
        raw.nodes = self.nodes.into_iter().flatten().collect();
        raw.h = raw.open();
        raw.login(CKU_USER);
        raw
    }

    pub fn token(&self) -> (Pkcs11, Slot) {
        let p11 = self.copy.start();
        let slot = p11.get_slots_with_token().unwrap()[0];
        (p11, slot)
    }

    pub fn user(&self) -> (Pkcs11, Slot, Session) {
        let (p11, slot) = self.token();
        let session = p11.open_rw_session(slot).unwrap();
        session
            .login(UserType::User, Some(&AuthPin::new(USER.into())))
            .unwrap();
        (p11, slot, session)
    }
}
