//! What the wire costs: the round trip of a 1 KiB whole operation through node and cluster client,
//! against a bare TLS echo of the same bytes on the same machine. The HSM behind the node only copies.
//!
//!     cargo run --release -p hsm-net --example round_trip

use std::borrow::Cow;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hsm_api::{
    Hello, Hidden, Hsm, KeyRef, Link, MechId, Mechanism, ObjectId, Op, Params, Peer, Reply,
    Request, Result, Rv, SessionId,
};
use hsm_net::{
    Anchors, Cluster, ClusterConfig, Credentials, Limits, Node, NodeConfig, Purpose, ServiceTrust,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};

const SIZE: usize = 1024;
const ROUNDS: usize = 15;
const WINDOW: Duration = Duration::from_millis(200);

struct Copies;

impl Hsm for Copies {
    fn open(&self, _: &Hello) -> Result<Arc<dyn Link>> {
        Ok(Arc::new(Copies))
    }
}

impl Link for Copies {
    fn call(&self, _: SessionId, request: &Request<'_>, out: &mut [u8]) -> Result<Reply> {
        match request {
            Request::Crypt { data, .. } => {
                out[..data.len()].copy_from_slice(data);
                Ok(Reply::Written(data.len()))
            }
            _ => Err(Rv::FUNCTION_NOT_SUPPORTED.into()),
        }
    }
}

fn main() {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
    let leaf = leaf.signed_by(&key, &ca).unwrap();

    let mut echo = echo(&ca.pem(), leaf.der().to_vec(), &key);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let identity = Arc::new(Credentials::from_pem(&leaf.pem(), &key.serialize_pem()).unwrap());
    let _node = Node::start(NodeConfig {
        listeners: vec![(Purpose::Client, listener)],
        hsm: Arc::new(Copies),
        identity: Arc::new(identity),
        trust: ServiceTrust {
            ca: Anchors::from_pem(&ca.pem()).unwrap(),
        },
        limits: Limits::default(),
        faults: Arc::default(),
        log: Arc::new(|line| eprintln!("{line}")),
    })
    .unwrap();
    let cluster = Cluster::new(ClusterConfig::new("bench", vec![address], &ca.pem())).unwrap();
    let link = cluster
        .open(&Hello {
            application: 1,
            peer: Peer::Client,
        })
        .unwrap();

    let data = [7; SIZE];
    let mut out = [0; SIZE];
    let mech = Mechanism {
        id: MechId(0x1087),
        params: Params::None,
    };
    let key = KeyRef::by_id(ObjectId(1));
    let crypt = Request::Crypt {
        op: Op::Encrypt,
        mech: Cow::Borrowed(&mech),
        key: Some(Cow::Borrowed(&key)),
        data: Hidden(&data),
        signature: Hidden(&[]),
    };
    let mut ratios = Vec::new();
    // Turn by turn, so that what else the machine does meets both alike.
    for _ in 0..ROUNDS {
        let bare = time(|| {
            echo.write_all(&data).unwrap();
            echo.read_exact(&mut out).unwrap();
        });
        let ours = time(|| {
            link.call(SessionId(1), &crypt, &mut out).unwrap();
        });
        println!(
            "bare {bare:>8.2?}  ours {ours:>8.2?}  {:.3}",
            ratio(ours, bare)
        );
        ratios.push(ratio(ours, bare));
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.3}", ratios[ROUNDS / 2]);
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn time(mut once: impl FnMut()) -> Duration {
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < WINDOW {
        for _ in 0..16 {
            once();
        }
        count += 16;
    }
    begun.elapsed() / count
}

fn echo(ca_pem: &str, leaf: Vec<u8>, key: &KeyPair) -> StreamOwned<ClientConnection, TcpStream> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls13 = [&rustls::version::TLS13];
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&tls13)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.into()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (tcp, _) = listener.accept().unwrap();
        tcp.set_nodelay(true).unwrap();
        let mut tls = StreamOwned::new(ServerConnection::new(Arc::new(server)).unwrap(), tcp);
        let mut buffer = [0; SIZE];
        while tls.read_exact(&mut buffer).is_ok() {
            tls.write_all(&buffer).unwrap();
        }
    });
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap())
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&tls13)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::from(address.ip());
    let session = ClientConnection::new(Arc::new(client), name).unwrap();
    let tcp = TcpStream::connect(address).unwrap();
    tcp.set_nodelay(true).unwrap();
    StreamOwned::new(session, tcp)
}
