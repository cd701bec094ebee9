//! What KMS asks.

use cloudhsm_core::Scope;
use cloudhsm_core::facts::NotAttached;
use serde_json::json;

use crate::fixture::{Ca, World};

fn scope() -> Scope {
    Scope::new("123456789012", "us-east-1")
}

#[test]
fn facts_follow_the_cluster() {
    let w = World::new();
    assert_eq!(w.service.facts(&scope(), "cluster-aaaaaaaaaaa"), None);
    let (id, hsms) = w.active(&["a", "b"]);
    let facts = w.service.facts(&scope(), &id).expect("exists");
    assert!(facts.active && facts.unsound.is_none());
    let zones: Vec<&str> = facts.hsms.iter().map(|h| h.zone.as_str()).collect();
    assert_eq!(zones, ["us-east-1a", "us-east-1b"]);
    assert_eq!(facts.hsms[0].client.port(), 2223);
    std::net::TcpStream::connect(facts.hsms[0].client).expect("really listens there");
    assert!(
        w.service
            .facts(&Scope::new("123456789012", "eu-west-1"), &id)
            .is_none()
    );

    let group = w.cluster(&id)["SecurityGroup"].clone();
    w.admin(
        "vpc/revoke",
        json!({"GroupId": group, "Direction": "egress"}),
    )
    .expect("revokes");
    let unsound = w
        .service
        .facts(&scope(), &id)
        .expect("exists")
        .unsound
        .expect("unsound");
    assert!(unsound.contains("2223-2225"), "{unsound}");
    w.admin(
        "vpc/authorize",
        json!({"GroupId": group, "Direction": "egress"}),
    )
    .expect("authorizes");
    assert!(
        w.service
            .facts(&scope(), &id)
            .expect("exists")
            .unsound
            .is_none()
    );

    w.admin("fault/kill", json!({"HsmId": hsms[1]}))
        .expect("kills");
    w.until(&id, "DEGRADED", |c| c["Hsms"][1]["State"] == "DEGRADED");
    assert_eq!(
        w.service.facts(&scope(), &id).expect("exists").hsms.len(),
        1
    );

    let nodes = w.admin("nodes", json!({})).expect("one cluster");
    assert_eq!(nodes["Hsms"].as_array().map(Vec::len), Some(2));
    assert_eq!(nodes["TrustAnchor"], facts.anchor.as_str());
}

#[test]
fn one_zone_is_unsound() {
    let w = World::new();
    let subnet = w.subnets()[0]["SubnetId"].clone();
    let made = w.call(
        "CreateCluster",
        json!({"HsmType": "hsm2m.medium", "SubnetIds": [subnet]}),
    );
    let id = made["Cluster"]["ClusterId"].as_str().expect("id");
    assert!(
        w.service
            .facts(&scope(), id)
            .expect("exists")
            .unsound
            .expect("unsound")
            .contains("two Availability Zones")
    );
}

#[test]
fn the_anchor_is_the_one_that_signed() {
    let w = World::new();
    let id = w.new_cluster();
    w.add_hsm(&id, "a");
    w.until_hsms(&id, 1);
    assert!(!w.service.anchored(&scope(), &id, "nothing yet"));
    let ca = w.initialize(&id);
    assert!(w.service.anchored(&scope(), &id, &ca.certificate()));
    let other = Ca::new(w.dir.path(), "customerCA", 2048);
    assert!(
        !w.service.anchored(&scope(), &id, &other.certificate()),
        "same name, other key"
    );
    assert!(!w.service.anchored(&scope(), &id, "garbage"));
}

#[test]
fn a_key_store_gets_a_place_in_each_subnet_or_none() {
    let w = World::new();
    let (id, hsms) = w.active(&["a", "b"]);
    let enis = || {
        w.admin("vpc/enis", json!({}))
            .expect("lists")
            .as_array()
            .expect("list")
            .len()
    };
    let groups = || w.admin("vpc/security-groups", json!({})).expect("lists");
    assert_eq!(enis(), 2);
    assert_eq!(
        w.service.attach(&scope(), "cks-1", "cluster-aaaaaaaaaaa"),
        Err(NotAttached::ClusterNotFound)
    );
    w.service.attach(&scope(), "cks-1", &id).expect("attaches");
    w.service.attach(&scope(), "cks-1", &id).expect("again");
    assert_eq!(enis(), 4);
    assert!(
        groups()
            .as_array()
            .expect("list")
            .iter()
            .any(|g| g["GroupName"] == "kms-cks-1")
    );
    let w = w.restart();
    let enis = || {
        w.admin("vpc/enis", json!({}))
            .expect("lists")
            .as_array()
            .expect("list")
            .len()
    };
    assert_eq!(enis(), 4, "kept");
    w.service.detach(&scope(), "cks-1", &id);
    w.service.detach(&scope(), "cks-1", &id);
    assert_eq!(enis(), 2);

    let subnet = w.subnets()[1]["SubnetId"].clone();
    w.admin("fault/exhaust-addresses", json!({"SubnetId": subnet}))
        .expect("exhausts");
    let full = NotAttached::NoFreeAddress(subnet.as_str().expect("id").into());
    assert_eq!(w.service.attach(&scope(), "cks-1", &id), Err(full));
    assert_eq!(enis(), 2, "all or none");
    w.admin("fault/delete-subnet", json!({"SubnetId": subnet}))
        .expect("deletes");
    let gone = NotAttached::SubnetNotFound(subnet.as_str().expect("id").into());
    assert_eq!(w.service.attach(&scope(), "cks-1", &id), Err(gone));
    for hsm in &hsms {
        w.admin("fault/kill", json!({"HsmId": hsm})).expect("kills");
    }
    w.until(&id, "all down", |c| {
        c["Hsms"]
            .as_array()
            .is_some_and(|all| all.iter().all(|h| h["State"] == "DEGRADED"))
    });
    assert_eq!(
        w.service.attach(&scope(), "cks-1", &id),
        Err(NotAttached::NoActiveHsm)
    );
}

#[test]
fn users_are_as_each_hsm_knows_them() {
    let w = World::new();
    let (id, hsms) = w.active(&["a", "b"]);
    w.nodes.hsm(&hsms[1]).set(|c| {
        c.users.push("KMSuser".into());
        c.locked = true;
    });
    let found = w.service.user(&scope(), &id, "kmsuser");
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].1, Ok(None));
    assert!(matches!(&found[1].1, Ok(Some(user)) if user.locked));
}
