//! Who believes whom.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hsm_api::{Hidden, Peer, Reply, Request, Rv};
use hsm_net::{
    Anchors, Cluster, ClusterConfig, Credentials, Identity, Limits, NODE_UNIT, Node, NodeClient,
    NodeClientConfig, NodeConfig, Purpose, SERVICE_UNIT, ServiceTrust,
};
use parking_lot::Mutex;
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384};

use crate::fake::{Fake, Served};
use crate::pki::{Ca, named};
use crate::rig::{Box1, Pki, Rig, config, open};

#[test]
fn version_1_and_version_3_leaves_are_believed_by_their_anchor() {
    let pki = Pki::new();
    for leaf in [pki.customer.leaf_v1("v1"), pki.customer.leaf("v3", None)] {
        let at = Box1::with(&pki, 1, leaf, Limits::default());
        open(config(&pki, &[at])).unwrap();
    }
}

#[test]
fn a_p384_anchor_does_too() {
    let mut pki = Pki::new();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    pki.customer = Ca::with_key("customer CA", key);
    let leaf = pki.customer.leaf("v3", None);
    let at = Box1::with(&pki, 1, leaf, Limits::default());
    open(config(&pki, &[at])).unwrap();
}

/// An RSA CA, and a version 1 leaf signed as the guide says, by OpenSSL 3.0; valid until 2126.
#[test]
fn a_leaf_made_by_openssl_is_believed() {
    let pki = Pki::new();
    let leaf = Credentials::from_pem(
        include_str!("../testdata/cluster.crt"),
        include_str!("../testdata/cluster.key"),
    );
    let at = Box1::with(&pki, 1, leaf.unwrap(), Limits::default());
    let anchor = include_str!("../testdata/customerCA.crt");
    let nodes = vec![at.client];
    open(ClusterConfig::new("openssl", nodes, anchor)).unwrap();
}

#[test]
fn another_anchor_is_refused_even_of_the_same_name() {
    let rig = Rig::new(2);
    for other in [Ca::new("another CA"), Ca::new("customer CA")] {
        let mut config = config(&rig.pki, &rig.boxes);
        config.trust_anchor_pem = other.pem();
        let error = open(config.clone()).err().unwrap();
        assert_eq!(error.rv, Rv::TOKEN_NOT_RECOGNIZED, "{error}");
        assert!(
            error
                .why
                .contains("not signed by the configured trust anchor"),
            "{error}"
        );
        for node in Cluster::new(config).unwrap().health() {
            assert_eq!(node.reached.unwrap_err().rv, Rv::TOKEN_NOT_RECOGNIZED);
        }
    }
}

#[test]
fn dates_count() {
    let pki = Pki::new();
    let mut expired = named("cluster", None);
    expired.not_after = rcgen::date_time_ymd(2001, 1, 1);
    expired.not_before = rcgen::date_time_ymd(2000, 1, 1);
    let mut early = named("cluster", None);
    early.not_before = rcgen::date_time_ymd(4000, 1, 1);
    for (params, why) in [(expired, "has expired"), (early, "not valid yet")] {
        let at = Box1::with(&pki, 1, pki.customer.sign(&params), Limits::default());
        let error = open(config(&pki, &[at])).err().unwrap();
        assert_eq!(error.rv, Rv::TOKEN_NOT_RECOGNIZED, "{error}");
        assert!(error.why.contains(why), "{error}");
    }
}

#[test]
fn a_node_without_the_certificates_key_is_refused() {
    let pki = Pki::new();
    let leaf = pki.customer.certificate("cluster");
    let other = KeyPair::generate().unwrap();
    let stolen = Credentials::from_der(vec![leaf], other.serialize_der()).unwrap();
    let at = Box1::with(&pki, 1, stolen, Limits::default());
    let error = open(config(&pki, &[at])).err().unwrap();
    assert_eq!(error.rv, Rv::TOKEN_NOT_RECOGNIZED, "{error}");
}

#[test]
fn an_anchor_that_is_no_certificate_is_bad_configuration() {
    for pem in [
        "",
        "no PEM",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert_eq!(
            Anchors::from_pem(pem).unwrap_err().rv,
            Rv::ARGUMENTS_BAD,
            "{pem:?}"
        );
    }
}

#[test]
fn the_service_port_takes_the_services_certificates_in_their_roles_only() {
    let pki = Pki::new();
    let at = Box1::new(&pki, 1);
    let connect = |peer, credentials| {
        let anchors = pki.customer.anchors();
        let config = NodeClientConfig::service(at.service, anchors, peer, credentials);
        NodeClient::connect(&config)
    };
    connect(Peer::Service, pki.as_service())
        .unwrap()
        .ask(&Request::Digest)
        .unwrap();
    connect(Peer::Node, pki.as_node())
        .unwrap()
        .ask(&Request::Digest)
        .unwrap();
    let refused = |peer, credentials| connect(peer, credentials).err().unwrap();
    assert_eq!(
        refused(Peer::Service, pki.as_node()).rv,
        Rv::FUNCTION_REJECTED
    );
    assert_eq!(
        refused(Peer::Node, pki.as_service()).rv,
        Rv::FUNCTION_REJECTED
    );
    assert_eq!(
        refused(Peer::Client, pki.as_service()).rv,
        Rv::FUNCTION_REJECTED
    );
    for unit in [NODE_UNIT, SERVICE_UNIT] {
        let forged = Arc::new(Ca::new("service CA").leaf("x", Some(unit)));
        assert_eq!(refused(Peer::Node, forged).rv, Rv::TOKEN_NOT_RECOGNIZED);
    }
    let mut bare = NodeClientConfig::service(
        at.service,
        pki.customer.anchors(),
        Peer::Service,
        pki.as_service(),
    );
    bare.credentials = None;
    assert!(NodeClient::connect(&bare).is_err());
    // Nobody becomes the service by asking on a client's port.
    let mut on_client_port = NodeClientConfig::management(at.management, pki.customer.anchors());
    on_client_port.peer = Peer::Service;
    assert_eq!(
        NodeClient::connect(&on_client_port).err().unwrap().rv,
        Rv::FUNCTION_REJECTED
    );
}

/// Backups may be larger than what strangers may send.
#[test]
fn backups_pass_the_service_port_only() {
    let pki = Pki::new();
    let at = Box1::new(&pki, 1);
    let anchors = pki.customer.anchors();
    let config = NodeClientConfig::service(at.service, anchors, Peer::Service, pki.as_service());
    let service = NodeClient::connect(&config).unwrap();
    let Reply::Bytes(backup) = service.ask(&Request::Backup).unwrap() else {
        unreachable!()
    };
    service
        .ask(&Request::Restore {
            backup: Hidden(&backup),
        })
        .unwrap();
    let tool = at.tool(&pki).unwrap();
    let error = tool
        .ask(&Request::Restore {
            backup: Hidden(&backup),
        })
        .unwrap_err();
    assert_eq!(error.rv, Rv::DATA_LEN_RANGE);
    assert_eq!(
        tool.ask(&Request::Backup).unwrap_err().rv,
        Rv::DEVICE_REMOVED
    );
}

/// Before initialization the hardware certificate, afterwards the cluster's, without a restart.
#[test]
fn the_identity_can_change_while_the_node_runs() {
    struct Changing(Mutex<Arc<Credentials>>);
    impl Identity for Changing {
        fn current(&self) -> Arc<Credentials> {
            self.0.lock().clone()
        }
    }
    let (maker, pki) = (Ca::new("maker CA"), Pki::new());
    let identity = Arc::new(Changing(Mutex::new(Arc::new(maker.leaf("hardware", None)))));
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let at = listener.local_addr().unwrap();
    let _node = Node::start(NodeConfig {
        listeners: vec![(Purpose::Management, listener)],
        hsm: Arc::new(Served(Fake::new(1))),
        identity: Arc::clone(&identity) as Arc<dyn Identity>,
        trust: ServiceTrust {
            ca: pki.service.anchors(),
        },
        limits: Limits::default(),
        faults: Arc::default(),
        log: Arc::new(|_| ()),
    })
    .unwrap();
    let connect = |ca: &Ca| {
        let mut config = NodeClientConfig::management(at, ca.anchors());
        config.call_timeout = Duration::from_secs(2);
        NodeClient::connect(&config).map_err(|e| e.rv)
    };
    let first = connect(&maker).unwrap();
    assert_eq!(connect(&pki.customer).err(), Some(Rv::TOKEN_NOT_RECOGNIZED));
    *identity.0.lock() = Arc::new(pki.customer.leaf_v1("cluster"));
    connect(&pki.customer).unwrap();
    assert_eq!(connect(&maker).err(), Some(Rv::TOKEN_NOT_RECOGNIZED));
    first.ask(&Request::Random).unwrap();
}
