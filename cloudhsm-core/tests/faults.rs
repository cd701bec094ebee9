//! Deaths and faults, and what follows.

use std::time::Duration;

use cloudhsm_core::node::NodeCommand;
use serde_json::json;

use crate::fixture::World;

#[test]
fn a_dead_hsm_is_degraded_then_replaced_with_what_it_missed() {
    let w = World::new();
    let (id, hsms) = w.active(&["a", "b"]);
    w.nodes.die(&hsms[1]);
    w.until(&id, "DEGRADED", |c| c["Hsms"][1]["State"] == "DEGRADED");
    assert_eq!(w.cluster(&id)["State"], "ACTIVE");
    w.nodes
        .hsm(&hsms[0])
        .set(|c| c.users.push("meanwhile".into()));
    w.until_hsms(&id, 2);
    let users = w.nodes.hsm(&hsms[1]).content.lock().users.clone();
    assert!(users.contains(&"meanwhile".to_owned()), "{users:?}");
}

#[test]
fn a_killed_hsm_stays_down_until_it_is_restarted() {
    let w = World::new();
    let (id, hsms) = w.active(&["a", "b"]);
    let said = w
        .admin("fault/kill", json!({"HsmId": hsms[0]}))
        .expect("kills");
    assert_eq!(said["HeldDown"], true);
    w.until(&id, "DEGRADED", |c| c["Hsms"][0]["State"] == "DEGRADED");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(w.cluster(&id)["Hsms"][0]["State"], "DEGRADED");
    assert!(
        w.service.settle(Duration::from_secs(1)),
        "nothing is under way"
    );
    w.admin("fault/restart", json!({"HsmId": hsms[0]}))
        .expect("restarts");
    w.until_hsms(&id, 2);
}

#[test]
fn of_two_dead_ones_the_last_comes_back_first() {
    let w = World::new();
    let (id, hsms) = w.active(&["a", "b"]);
    for hsm in [&hsms[0], &hsms[1]] {
        w.admin("fault/kill", json!({"HsmId": hsm})).expect("kills");
        w.until(&id, "down", |c| {
            c["Hsms"].as_array().is_some_and(|all| {
                all.iter()
                    .any(|h| h["HsmId"] == **hsm && h["State"] == "DEGRADED")
            })
        });
        // What the second learns after the death of the first.
        if *hsm == hsms[0] {
            w.nodes.hsm(&hsms[1]).set(|c| c.users.push("late".into()));
        }
    }
    for hsm in &hsms {
        w.admin("fault/restart", json!({"HsmId": hsm}))
            .expect("restarts");
    }
    w.until_hsms(&id, 2);
    for hsm in &hsms {
        let users = w.nodes.hsm(hsm).content.lock().users.clone();
        assert!(users.contains(&"late".to_owned()), "{hsm}: {users:?}");
    }
}

#[test]
fn one_that_was_degraded_is_refreshed_after_a_restart_of_the_service() {
    let w = World::new();
    let (id, hsms) = w.active(&["a", "b"]);
    w.admin("fault/kill", json!({"HsmId": hsms[0]}))
        .expect("kills");
    w.until(&id, "DEGRADED", |c| c["Hsms"][0]["State"] == "DEGRADED");
    w.nodes
        .hsm(&hsms[1])
        .set(|c| c.users.push("meanwhile".into()));
    let w = w.restart();
    w.until_hsms(&id, 2);
    assert!(
        w.nodes
            .hsm(&hsms[0])
            .content
            .lock()
            .users
            .contains(&"meanwhile".to_owned())
    );
}

#[test]
fn an_hsm_that_does_not_start_leaves_the_others_alone() {
    let w = World::new();
    let (id, hsms) = w.active(&["a", "b"]);
    w.nodes.refuse(Some(&hsms[0]));
    w.nodes.die(&hsms[0]);
    let cluster = w.until(&id, "told why", |c| {
        c["Hsms"][0]["StateMessage"]
            .as_str()
            .is_some_and(|m| m.contains("does not want"))
    });
    assert_eq!(cluster["Hsms"][1]["State"], "ACTIVE");
    w.nodes.refuse(None);
    w.until_hsms(&id, 2);
}

#[test]
fn conditions_reach_the_node_and_outlive_it() {
    let w = World::new();
    let (id, hsms) = w.active(&["a"]);
    let fault = |verb: &str, more: serde_json::Value| {
        let mut input = more;
        input["HsmId"] = json!(hsms[0]);
        w.admin(&format!("fault/{verb}"), input).expect(verb)
    };
    fault("delay", json!({"Milliseconds": 250}));
    fault("drop", json!({"RequestPercent": 10, "ReplyPercent": 20}));
    fault("close-port", json!({"Port": 2223}));
    fault("fill-disk", json!({}));
    let said = fault("partition", json!({}));
    let wanted = json!({"delay_ms": 250, "drop_requests": 10, "drop_replies": 20, "partitioned": true,
                        "closed_ports": [2223], "disk_full": true});
    assert_eq!(said["Conditions"], wanted);
    let told = w.nodes.told(&hsms[0]);
    let last = told.iter().rev().find_map(|c| match c {
        NodeCommand::Conditions(c) => Some(serde_json::to_value(c).expect("json")),
        NodeCommand::Peers(_) => None,
    });
    assert_eq!(last, Some(wanted.clone()));
    w.nodes.die(&hsms[0]);
    w.until(&id, "dead", |c| c["Hsms"][0]["State"] == "DEGRADED");
    w.until_hsms(&id, 1);
    let spec = std::fs::read(
        w.dir
            .path()
            .join("data/nodes")
            .join(&hsms[0])
            .join("spec.json"),
    )
    .expect("file");
    let spec: serde_json::Value = serde_json::from_slice(&spec).expect("json");
    assert_eq!(
        spec["conditions"], wanted,
        "the next process begins with them"
    );
    assert_eq!(
        fault("open-port", json!({"Port": 2223}))["Conditions"]["closed_ports"],
        json!([])
    );
    assert_eq!(fault("heal", json!({}))["Conditions"]["delay_ms"], 0);
    assert_eq!(
        w.admin("fault/list", json!({})).expect("lists")[0]["HsmId"],
        hsms[0].as_str()
    );
}

#[test]
fn wrong_requests_are_refused() {
    let w = World::new();
    for (verb, input) in [
        ("fault/kill", json!({"HsmId": "hsm-aaaaaaaaaaa"})),
        ("fault/kill", json!({})),
        ("fault/kill", json!({"HsmId": 7})),
        ("fault/dance", json!({})),
        ("fault/delete-subnet", json!({"SubnetId": "subnet-1"})),
        (
            "vpc/revoke",
            json!({"GroupId": "sg-1", "Direction": "ingress"}),
        ),
        ("nodes", json!({})),
        ("nowhere", json!({})),
    ] {
        assert!(w.admin(verb, input.clone()).is_err(), "{verb} {input}");
    }
    let bad = cloudhsm_core::admin::handle(&w.service, "vpc/subnets", b"{ half");
    assert_eq!(bad.status, 400);
}
