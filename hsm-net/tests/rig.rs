//! Nodes and clusters set up for one test.

use std::borrow::Cow;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hsm_api::{
    Attr, Hello, Hidden, Hsm, KeyRef, Link, MechId, Mechanism, ObjectId, Op, Params, Peer, Reply,
    Request, Result, Role, SessionId, Value,
};
use hsm_net::{
    Cluster, ClusterConfig, Credentials, Faults, Limits, NODE_UNIT, Node, NodeClient,
    NodeClientConfig, NodeConfig, Purpose, SERVICE_UNIT, ServiceTrust,
};
use parking_lot::Mutex;

use crate::fake::{Fake, Served, TOKEN};
use crate::pki::Ca;

pub const S: SessionId = SessionId(1);
pub const MECH: Mechanism<'static> = Mechanism {
    id: MechId(0x1087),
    params: Params::None,
};

/// The CAs of one cluster.
pub struct Pki {
    pub customer: Ca,
    pub service: Ca,
}

impl Pki {
    pub fn new() -> Pki {
        Pki {
            customer: Ca::new("customer CA"),
            service: Ca::new("service CA"),
        }
    }
    pub fn as_node(&self) -> Arc<Credentials> {
        Arc::new(self.service.leaf("hsm", Some(NODE_UNIT)))
    }
    pub fn as_service(&self) -> Arc<Credentials> {
        Arc::new(self.service.leaf("service", Some(SERVICE_UNIT)))
    }
}

/// A loopback address of its own where the system has more than one: a node that is started again
/// wants its old ports, which connections of other tests might have been given meanwhile.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Relaxed).to_be_bytes();
    let own = SocketAddr::from(([127, 77, high, low], 0));
    match TcpListener::bind(own) {
        Ok(_) => own,
        Err(_) => SocketAddr::from(([127, 0, 0, 1], 0)),
    }
}

/// One HSM with its node, which can be killed and started again on the same ports.
pub struct Box1 {
    pub fake: Arc<Fake>,
    pub node: Option<Node>,
    pub faults: Arc<Faults>,
    pub log: Arc<Mutex<Vec<String>>>,
    pub client: SocketAddr,
    pub service: SocketAddr,
    pub management: SocketAddr,
    identity: Arc<Credentials>,
    trust: ServiceTrust,
    limits: Limits,
}

impl Box1 {
    pub fn new(pki: &Pki, origin: u64) -> Box1 {
        Box1::with(
            pki,
            origin,
            pki.customer.leaf_v1("cluster"),
            Limits::default(),
        )
    }

    pub fn with(pki: &Pki, origin: u64, identity: Credentials, limits: Limits) -> Box1 {
        let any = own_address();
        let mut new = Box1 {
            fake: Fake::new(origin),
            node: None,
            faults: Arc::default(),
            log: Arc::default(),
            client: any,
            service: any,
            management: any,
            identity: Arc::new(identity),
            trust: ServiceTrust {
                ca: pki.service.anchors(),
            },
            limits,
        };
        new.start();
        new
    }

    pub fn start(&mut self) {
        let bind = |address| TcpListener::bind(address).unwrap();
        let log = Arc::clone(&self.log);
        let node = Node::start(NodeConfig {
            listeners: vec![
                (Purpose::Client, bind(self.client)),
                (Purpose::Service, bind(self.service)),
                (Purpose::Management, bind(self.management)),
            ],
            hsm: Arc::new(Served(Arc::clone(&self.fake))),
            identity: Arc::new(Arc::clone(&self.identity)),
            trust: self.trust.clone(),
            limits: self.limits,
            faults: Arc::clone(&self.faults),
            log: Arc::new(move |line| log.lock().push(line.to_owned())),
        })
        .unwrap();
        let [client, service, management] = [0, 1, 2].map(|i| node.addresses()[i].1);
        (self.client, self.service, self.management) = (client, service, management);
        self.node = Some(node);
    }

    /// As if by signal 9: connections break, the port is closed, what was in links is gone.
    pub fn kill(&mut self) {
        self.node = None;
        until("the connections have ended", || {
            self.fake.links.load(std::sync::atomic::Ordering::SeqCst) == 0
        });
    }

    pub fn tool(&self, pki: &Pki) -> Result<NodeClient> {
        NodeClient::connect(&NodeClientConfig::management(
            self.management,
            pki.customer.anchors(),
        ))
    }

    pub fn logged(&self, what: &str) -> bool {
        self.log.lock().iter().any(|line| line.contains(what))
    }
}

/// `count` HSMs and a link to their cluster, not logged in.
pub struct Rig {
    pub pki: Pki,
    pub boxes: Vec<Box1>,
    pub link: Arc<dyn Link>,
}

impl Rig {
    pub fn new(count: u64) -> Rig {
        Rig::with(count, |_| {})
    }

    pub fn with(count: u64, set: impl FnOnce(&mut ClusterConfig)) -> Rig {
        let pki = Pki::new();
        let boxes: Vec<Box1> = (1..=count).map(|origin| Box1::new(&pki, origin)).collect();
        let mut config = config(&pki, &boxes);
        set(&mut config);
        let link = open(config).unwrap();
        Rig { pki, boxes, link }
    }

    pub fn logged_in(count: u64) -> Rig {
        let rig = Rig::new(count);
        rig.login(b"kmsPswd").unwrap();
        rig
    }

    pub fn login(&self, password: &[u8]) -> Result<Reply> {
        let pin = Hidden(password);
        let request = Request::Login {
            role: Role::Cu,
            name: Some("kmsuser"),
            pin,
        };
        self.link.call(S, &request, &mut [])
    }

    pub fn ask(&self, request: &Request<'_>) -> Result<Reply> {
        self.link.call(S, request, &mut [])
    }

    pub fn key(&self, id: u128, token: bool) -> Result<ObjectId> {
        let id = ObjectId(id);
        let template = vec![Attr {
            ty: TOKEN,
            value: Value::Bool(token),
        }];
        self.ask(&Request::GenerateKey {
            mech: MECH,
            id,
            template,
        })
        .map(|_| id)
    }

    pub fn encrypt(&self, key: ObjectId, data: &[u8]) -> Result<Vec<u8>> {
        encrypt(&*self.link, key, data)
    }

    /// How often all HSMs together carried out a kind of request.
    pub fn count(&self, what: &str) -> usize {
        self.boxes.iter().map(|at| at.fake.count(what)).sum()
    }
}

pub fn config(pki: &Pki, boxes: &[Box1]) -> ClusterConfig {
    let nodes = boxes.iter().map(|at| at.client).collect();
    let mut config = ClusterConfig::new("test", nodes, &pki.customer.pem());
    config.back_off = Duration::from_millis(20);
    config.call_timeout = Duration::from_secs(5);
    config
}

pub fn open(config: ClusterConfig) -> Result<Arc<dyn Link>> {
    Cluster::new(config)?.open(&Hello {
        application: rand::random(),
        peer: Peer::Client,
    })
}

pub fn encrypt(link: &dyn Link, key: ObjectId, data: &[u8]) -> Result<Vec<u8>> {
    let request = crypt(key, data);
    let mut out = vec![0; data.len()];
    match link.call(S, &request, &mut out)? {
        Reply::Written(n) => {
            out.truncate(n);
            Ok(out)
        }
        other => panic!("{other:?}"),
    }
}

pub fn crypt(key: ObjectId, data: &[u8]) -> Request<'_> {
    Request::Crypt {
        op: Op::Encrypt,
        mech: Cow::Borrowed(&MECH),
        key: Some(Cow::Owned(KeyRef::by_id(key))),
        data: Hidden(data),
        signature: Hidden(&[]),
    }
}

/// Waits for something that other threads bring about.
pub fn until(what: &str, is: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !is() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
