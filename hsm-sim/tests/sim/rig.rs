//! What the tests share: engines with cheap PINs, links, shorthands for requests.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hsm_api::reply::AttrReply;
use hsm_api::{
    Attr, AttrType, Change, Hello, Hidden, Hsm, KeyFacts, KeyRef, Link, MechId, Mechanism,
    ObjectId, Op, Params, Peer, Reply, Request, Result, Role, Rv, Secret, SessionId, Template,
    Value,
};
use hsm_sim::{Engine, NodeSettings, PinCost, PinRules, Settings};

pub const CHEAP: PinCost = PinCost {
    memory: 8,
    passes: 1,
};
pub const S: SessionId = SessionId(1);

pub fn embedded(dir: &Path) -> Engine {
    let pins = PinRules {
        cost: CHEAP,
        failures: 3,
        ..PinRules::embedded()
    };
    Engine::embedded(
        dir,
        Settings {
            pins,
            legacy: true,
            ..Settings::default()
        },
    )
    .unwrap()
}

pub fn link(engine: &Engine, peer: Peer) -> Arc<dyn Link> {
    engine
        .open(&Hello {
            application: 1,
            peer,
        })
        .unwrap()
}

pub fn id() -> ObjectId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    ObjectId(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)) << 64 | 0xABCD)
}

pub fn b(ty: AttrType, value: bool) -> Attr {
    Attr {
        ty,
        value: Value::Bool(value),
    }
}
pub fn n(ty: AttrType, value: u64) -> Attr {
    Attr {
        ty,
        value: Value::Ulong(value),
    }
}
pub fn bytes(ty: AttrType, value: &[u8]) -> Attr {
    Attr {
        ty,
        value: Value::Bytes(value.to_vec()),
    }
}
pub fn plain(id: u64) -> Mechanism<'static> {
    Mechanism {
        id: MechId(id),
        params: Params::None,
    }
}

/// Shorthands over a link.
pub trait Ask {
    fn ask(&self, request: &Request<'_>) -> Result<Reply>;
    fn ask_out(&self, request: &Request<'_>, room: usize) -> Result<Vec<u8>>;
    fn refused(&self, request: &Request<'_>) -> Rv;
    fn login(&self, role: Role, name: Option<&str>, pin: &str) -> Result<Reply>;
    fn made(&self, request: &Request<'_>) -> Vec<Change>;
    fn key(&self, id: ObjectId) -> (KeyRef, KeyFacts);
    fn get(&self, id: ObjectId, ty: AttrType) -> AttrReply;
    fn found(&self, template: Template) -> Vec<ObjectId>;
    fn aes(&self, extra: Template) -> ObjectId;
    fn crypt(&self, op: Op, mech: &Mechanism<'_>, key: ObjectId, data: &[u8]) -> Result<Vec<u8>>;
    fn verify(&self, mech: &Mechanism<'_>, key: ObjectId, data: &[u8], sig: &[u8]) -> Result<()>;
    fn wrap(&self, mech: &Mechanism<'_>, with: ObjectId, key: ObjectId) -> Result<Vec<u8>>;
}

impl Ask for Arc<dyn Link> {
    fn ask(&self, request: &Request<'_>) -> Result<Reply> {
        self.call(S, request, &mut [])
    }
    fn ask_out(&self, request: &Request<'_>, room: usize) -> Result<Vec<u8>> {
        let mut out = vec![0; room];
        let len = match self.call(S, request, &mut out)? {
            Reply::Written(len) => len,
            Reply::Made { written, .. } => written,
            other => panic!("{other:?}"),
        };
        out.truncate(len);
        Ok(out)
    }
    fn refused(&self, request: &Request<'_>) -> Rv {
        self.ask(request).expect_err("this must be refused").rv
    }
    fn login(&self, role: Role, name: Option<&str>, pin: &str) -> Result<Reply> {
        self.ask(&Request::Login {
            role,
            name,
            pin: Hidden(pin.as_bytes()),
        })
    }
    fn made(&self, request: &Request<'_>) -> Vec<Change> {
        match self.ask(request) {
            Ok(Reply::Made { changes, .. }) => changes,
            other => panic!("{other:?}"),
        }
    }
    fn key(&self, id: ObjectId) -> (KeyRef, KeyFacts) {
        match self.ask(&Request::Resolve { id }) {
            Ok(Reply::Key(key, facts)) => (key, facts),
            other => panic!("{other:?}"),
        }
    }
    fn get(&self, id: ObjectId, ty: AttrType) -> AttrReply {
        match self.ask(&Request::Attributes {
            id,
            types: vec![ty],
        }) {
            Ok(Reply::Attributes(mut all)) => all.remove(0),
            other => panic!("{other:?}"),
        }
    }
    fn found(&self, template: Template) -> Vec<ObjectId> {
        match self.ask(&Request::Find { template }) {
            Ok(Reply::Objects(ids)) => ids,
            other => panic!("{other:?}"),
        }
    }
    fn aes(&self, extra: Template) -> ObjectId {
        let id = id();
        let mut template = vec![n(hsm_sim::attr::VALUE_LEN, 32)];
        template.extend(extra);
        self.made(&Request::GenerateKey {
            mech: plain(0x1080),
            id,
            template,
        });
        id
    }
    fn crypt(&self, op: Op, mech: &Mechanism<'_>, key: ObjectId, data: &[u8]) -> Result<Vec<u8>> {
        let (key, facts) = self.key(key);
        let room = hsm_sim::mech::max_output(
            op,
            mech,
            Some(&facts),
            data.len(),
            hsm_sim::mech::Step::Whole,
        );
        let request = Request::Crypt {
            op,
            mech: std::borrow::Cow::Borrowed(mech),
            key: Some(std::borrow::Cow::Borrowed(&key)),
            data: Hidden(data),
            signature: Hidden(&[]),
        };
        self.ask_out(&request, room)
    }
    fn wrap(&self, mech: &Mechanism<'_>, with: ObjectId, key: ObjectId) -> Result<Vec<u8>> {
        let request = Request::Wrap {
            mech: mech.clone(),
            with: self.key(with).0,
            key,
            aad: Hidden(&[]),
        };
        self.ask_out(&request, 4096)
    }
    fn verify(&self, mech: &Mechanism<'_>, key: ObjectId, data: &[u8], sig: &[u8]) -> Result<()> {
        let (key, _) = self.key(key);
        let request = Request::Crypt {
            op: Op::Verify,
            mech: std::borrow::Cow::Borrowed(mech),
            key: Some(std::borrow::Cow::Borrowed(&key)),
            data: Hidden(data),
            signature: Hidden(sig),
        };
        self.ask(&request).map(drop)
    }
}

/// An initialized token with its user logged in.
pub fn token(dir: &Path) -> (Engine, Arc<dyn Link>) {
    let engine = embedded(dir);
    let officer = link(&engine, Peer::Client);
    officer
        .ask(&Request::InitToken {
            so_pin: Hidden(b"87654321"),
            label: "t",
        })
        .unwrap();
    officer.login(Role::Co, None, "87654321").unwrap();
    officer
        .ask(&Request::InitPin {
            pin: Hidden(b"1234"),
        })
        .unwrap();
    officer.ask(&Request::Logout).unwrap();
    let user = link(&engine, Peer::Client);
    user.login(Role::Cu, None, "1234").unwrap();
    (engine, user)
}

/// A service's hardware CA and its HSMs.
pub struct Service {
    backup_key: Secret,
    aws: (rcgen::Certificate, rcgen::KeyPair),
    root: rcgen::CertificateParams,
}

impl Default for Service {
    fn default() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut root = rcgen::CertificateParams::default();
        root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = root.self_signed(&key).unwrap();
        Service {
            backup_key: Secret::new(vec![7; 32]),
            aws: (certificate, key),
            root,
        }
    }
}

impl Service {
    pub fn node(&self, dir: &Path, origin: u64) -> Engine {
        Engine::node(dir, self.settings(origin)).unwrap()
    }

    pub fn settings(&self, origin: u64) -> NodeSettings {
        let hardware = rcgen::KeyPair::generate().unwrap();
        let issuer = rcgen::Issuer::from_params(&self.root, &self.aws.1);
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        let over = params.signed_by(&hardware, &issuer).unwrap();
        NodeSettings {
            hsm_id: format!("hsm-{origin}"),
            serial: format!("{origin:08X}"),
            origin,
            fips: true,
            preco_password: Secret::from(&b"password"[..]),
            hardware_key: Secret::from(hardware.serialize_pem().as_bytes()),
            aws_hardware: over.pem(),
            manufacturer_hardware: over.pem(),
            backup_key: self.backup_key.clone(),
            pins: PinRules {
                cost: CHEAP,
                ..PinRules::cluster()
            },
        }
    }

    /// An activated HSM with crypto users `cu1` and `cu2`.
    pub fn active(&self, dir: &Path, origin: u64) -> Engine {
        let engine = self.node(dir, origin);
        let officer = link(&engine, Peer::Client);
        officer
            .login(Role::PreCo, Some("admin"), "password")
            .unwrap();
        officer
            .ask(&change(Role::PreCo, "admin", "officer1"))
            .unwrap();
        for name in ["cu1", "cu2"] {
            officer.ask(&create(Role::Cu, name, "password1")).unwrap();
        }
        engine
    }
}

pub fn change<'a>(role: Role, name: &'a str, password: &'a str) -> Request<'a> {
    Request::ChangePassword {
        role,
        name,
        password: Hidden(password.as_bytes()),
    }
}
pub fn create<'a>(role: Role, name: &'a str, password: &'a str) -> Request<'a> {
    Request::CreateUser {
        role,
        name,
        password: Hidden(password.as_bytes()),
    }
}
