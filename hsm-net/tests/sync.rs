//! Catch-up between nodes.

use std::sync::Arc;
use std::time::Duration;

use hsm_api::{ObjectId, Request};
use hsm_net::{Anchors, Peers, Sync, SyncConfig};
use parking_lot::Mutex;

use crate::fake::{Object, Served};
use crate::rig::{Box1, Pki, Rig, until};

struct Syncing {
    sync: Sync,
    peers: Peers,
    log: Arc<Mutex<Vec<String>>>,
}

fn catch_up(pki: &Pki, at: &Box1, with: &[&Box1], every: Duration, anchors: Anchors) -> Syncing {
    let peers = Peers::default();
    peers.set(with.iter().map(|at| at.service).collect());
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let lines = Arc::clone(&log);
    let sync = Sync::start(SyncConfig {
        hsm: Arc::new(Served(Arc::clone(&at.fake))),
        peers: peers.clone(),
        credentials: pki.as_node(),
        anchors: Arc::new(move || Some(anchors.clone())),
        every,
        timeout: Duration::from_secs(2),
        log: Arc::new(move |line| lines.lock().push(line.to_owned())),
    });
    Syncing { sync, peers, log }
}

const SELDOM: Duration = Duration::from_secs(3600);

#[test]
fn a_node_that_was_away_catches_up_with_creations_and_destructions() {
    let mut rig = Rig::logged_in(3);
    let old = rig.key(1, true).unwrap();
    rig.boxes[2].kill();
    let ids: Vec<ObjectId> = (10..100).map(|id| rig.key(id, true).unwrap()).collect();
    rig.ask(&Request::Destroy { id: old }).unwrap();
    rig.boxes[2].start();
    let [one, two, three] = &rig.boxes[..] else {
        unreachable!()
    };
    assert!(three.fake.object(old).unwrap().key.is_some());
    let anchors = rig.pki.customer.anchors();
    // Large objects come a few at a time.
    one.fake
        .exports
        .store(7, std::sync::atomic::Ordering::SeqCst);
    let syncing = catch_up(&rig.pki, three, &[one, two], SELDOM, anchors);
    syncing.sync.now();
    for id in ids {
        assert_eq!(
            three.fake.object(id).unwrap().key,
            one.fake.object(id).unwrap().key
        );
    }
    assert!(
        three.fake.object(old).unwrap().key.is_none(),
        "the tombstone came too"
    );
    assert!(
        !three.fake.state.lock().users.is_empty(),
        "users are its own"
    );
    assert_eq!(syncing.sync.now(), 0, "nothing is fetched twice");
}

#[test]
fn a_destruction_reaches_a_node_that_changed_the_object_meanwhile() {
    let pki = Pki::new();
    let (one, two) = (Box1::new(&pki, 1), Box1::new(&pki, 2));
    let (changed, destroyed) = (
        Object {
            version: 5,
            origin: 1,
            key: Some(7),
        },
        Object {
            version: 2,
            origin: 2,
            key: None,
        },
    );
    one.fake.state.lock().objects.insert(ObjectId(1), changed);
    two.fake.state.lock().objects.insert(ObjectId(1), destroyed);
    let anchors = pki.customer.anchors();
    let at_two = catch_up(&pki, &two, &[&one], SELDOM, anchors.clone());
    at_two.sync.now();
    assert!(
        two.fake.object(ObjectId(1)).unwrap().key.is_none(),
        "it stays destroyed"
    );
    let at_one = catch_up(&pki, &one, &[&two], SELDOM, anchors);
    at_one.sync.now();
    assert!(one.fake.object(ObjectId(1)).unwrap().key.is_none());
    assert_eq!((at_one.sync.now(), at_two.sync.now()), (0, 0), "they agree");
}

#[test]
fn users_never_travel() {
    let pki = Pki::new();
    let (one, two) = (Box1::new(&pki, 1), Box1::new(&pki, 2));
    one.fake.add_user("onlyhere", b"password");
    let syncing = catch_up(&pki, &two, &[&one], SELDOM, pki.customer.anchors());
    syncing.sync.now();
    assert!(!two.fake.state.lock().users.contains_key("onlyhere"));
}

#[test]
fn it_runs_by_itself_and_says_once_when_a_peer_fails() {
    let mut rig = Rig::logged_in(2);
    let anchors = rig.pki.customer.anchors();
    rig.boxes[1].kill();
    let syncing = {
        let [one, two] = &rig.boxes[..] else {
            unreachable!()
        };
        catch_up(&rig.pki, one, &[two], Duration::from_millis(5), anchors)
    };
    until("it says so", || !syncing.log.lock().is_empty());
    syncing.sync.now();
    assert_eq!(syncing.log.lock().len(), 1, "{:?}", syncing.log.lock());
    rig.boxes[1].start();
    until("it works again", || {
        syncing.log.lock().last().unwrap().contains("works again")
    });
    let id = ObjectId(7);
    let object = Object {
        version: 1,
        origin: 2,
        key: Some(7),
    };
    rig.boxes[1].fake.state.lock().objects.insert(id, object);
    until("the object arrives", || {
        rig.boxes[0].fake.object(id).is_some()
    });
    syncing.peers.set(Vec::new());
    assert_eq!(syncing.sync.now(), 0);
}

#[test]
fn a_peer_of_another_cluster_is_not_believed() {
    let (pki, other) = (Pki::new(), Pki::new());
    let (one, two) = (Box1::new(&pki, 1), Box1::new(&pki, 2));
    let syncing = catch_up(&pki, &one, &[&two], SELDOM, other.customer.anchors());
    until("it says so", || !syncing.log.lock().is_empty());
    assert!(
        syncing.log.lock()[0].contains("trust anchor"),
        "{:?}",
        syncing.log.lock()
    );
}
