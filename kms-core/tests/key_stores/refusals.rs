//! What depends on the control plane and not on the module: the checks of aws-facts A4 to A8.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kms_core::clusters::{ConnectionErrorCode as Code, KmsUser, Network};
use kms_core::suite::{Client, Target, TestClock, TestCluster};
use kms_core::{Settings, suite::store_input};
use serde_json::{Value, json};

use crate::management;
use kms_core::suite::tokens::Tokens;

pub fn run(target: &Tokens, dir: &Path) {
    let clock = TestClock::new();
    let settings = Settings {
        clock: clock.clone(),
        ..target.settings(&dir.join("refusals"))
    };
    let kms = Client::open(settings);
    create_checks(target, &kms);
    moved(target, dir);
    reset_while_following(target, dir);
    connection_error_codes(target, &kms);
    update_checks(target, &kms);
    quota(target, &kms);
    members(target, &kms);
    management::run(&kms, &clock);
}

pub fn text(value: &Value, member: &str) -> String {
    value[member]
        .as_str()
        .unwrap_or_else(|| panic!("no {member} in {value}"))
        .to_owned()
}

pub fn refused(kms: &Client, operation: &str, input: Value, exception: &str) {
    assert_eq!(
        kms.no(operation, input.clone()).0,
        exception,
        "{operation} {input}"
    );
}

/// Removes all key stores, so that each part begins with none.
fn clear(kms: &Client) {
    for store in kms.ok("DescribeCustomKeyStores", json!({}))["CustomKeyStores"]
        .as_array()
        .unwrap()
    {
        kms.ok(
            "DeleteCustomKeyStore",
            json!({"CustomKeyStoreId": store["CustomKeyStoreId"]}),
        );
    }
}

/// A connected store whose cluster has moved to where its password is not good: it stays where it is, and asks only once, since each
/// further wrong password would bring the user's lock nearer.
fn moved(target: &Tokens, dir: &Path) {
    let lines = Arc::new(AtomicUsize::new(0));
    let count = lines.clone();
    let kms = Client::open(Settings {
        log: Arc::new(move |line| {
            assert!(line.contains("not all HSMs serve it"), "{line}");
            count.fetch_add(1, Ordering::Relaxed);
        }),
        ..target.settings(&dir.join("moved"))
    });
    let [cluster, elsewhere] = ["kmsPswd", "another1"].map(|password| target.new_cluster(password));
    let store = kms.create_store(&cluster, "kmsPswd");
    kms.connect(&store);
    let blob = kms.encrypt(&kms.key_in(&store), "kept");
    target
        .clusters
        .change(&cluster.id, |c| c.moved = Some(elsewhere.module.clone()));
    for _ in 0..9 {
        kms.kms().tick().unwrap();
        assert_eq!(kms.decrypt(&blob), kms_core::suite::base64("kept"));
    }
    assert_eq!(lines.load(Ordering::Relaxed), 1, "one attempt");
    assert_eq!(kms.store(&store)["ConnectionState"], "CONNECTED");
}

/// All is reset while a store follows its cluster: the login that comes too late does not stay.
fn reset_while_following(target: &Tokens, dir: &Path) {
    let kms = Client::open(target.settings(&dir.join("reset")));
    let cluster = target.new_cluster("kmsPswd");
    let store = kms.create_store(&cluster, "kmsPswd");
    kms.connect(&store);
    let logged_in = |kms: &Client| kms.kms().key_stores().token(&store).is_some();
    assert!(logged_in(&kms));
    // The reset logs out; the token can be logged in to again, and is, by the password that was read before.
    let (again, there) = (Arc::clone(kms.kms()), cluster.module.clone());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    target.clusters.1.set(move || {
        again.reset().unwrap();
        count.fetch_add(1, Ordering::Relaxed);
        there
    });
    kms.kms().tick().unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert!(!logged_in(&kms));
    let stores = kms.ok("DescribeCustomKeyStores", json!({}));
    assert_eq!(stores["CustomKeyStores"], json!([]));
}

fn create_checks(target: &Tokens, kms: &Client) {
    let cluster = target.new_cluster("kmsPswd");
    let input = || store_input(&cluster, "kmsPswd");
    let with = |member: &str, value: &str| {
        let mut input = input();
        input[member] = json!(value);
        input
    };
    let create = |input, exception| refused(kms, "CreateCustomKeyStore", input, exception);
    create(
        with("CloudHsmClusterId", "cluster-zzzzzzzzzzz"),
        "CloudHsmClusterNotFoundException",
    );
    create(
        with("TrustAnchorCertificate", "another"),
        "IncorrectTrustAnchorException",
    );

    target
        .clusters
        .change(&cluster.id, |c| c.facts.active = false);
    create(input(), "CloudHsmClusterNotActiveException");
    target
        .clusters
        .change(&cluster.id, |c| c.facts.active = true);

    let zones = |zones: &[&str]| zones.iter().map(|z| (*z).to_owned()).collect::<Vec<_>>();
    for few in [&[][..], &["us-west-2a"], &["us-west-2a", "us-west-2a"]] {
        target
            .clusters
            .change(&cluster.id, |c| c.facts.active_hsm_zones = zones(few));
        create(input(), "CloudHsmClusterInvalidConfigurationException");
    }
    target.clusters.change(&cluster.id, |c| {
        c.facts.active_hsm_zones = zones(&["us-west-2a", "us-west-2b"]);
        c.facts.network = Network::Unsound("The security group lacks a rule.".into());
    });
    assert_eq!(
        kms.no("CreateCustomKeyStore", input()).1.as_deref(),
        Some("The security group lacks a rule.")
    );
    target
        .clusters
        .change(&cluster.id, |c| c.facts.network = Network::Sound);

    let store = kms.create_store(&cluster, "kmsPswd");
    // Another password is another property: no longer the same request.
    create(
        store_input(&cluster, "another1"),
        "CustomKeyStoreNameInUseException",
    );
    create(
        with("CustomKeyStoreName", "other"),
        "CloudHsmClusterInUseException",
    );
    let sibling = target.new_cluster("kmsPswd");
    let certificate = format!("certificate of {}", cluster.id);
    target
        .clusters
        .change(&sibling.id, |c| c.facts.cluster_certificate = certificate);
    create(
        store_input(&sibling, "kmsPswd"),
        "CloudHsmClusterInUseException",
    );
    assert_eq!(kms.create_store(&cluster, "kmsPswd"), store);
    clear(kms);
}

/// Each code from its cause, and back to CONNECTED once the cause is gone.
fn connection_error_codes(target: &Tokens, kms: &Client) {
    let cluster = target.new_cluster("kmsPswd");
    let store = kms.create_store(&cluster, "kmsPswd");
    let id = json!({"CustomKeyStoreId": store});
    let fails = |code: &str| {
        kms.ok("ConnectCustomKeyStore", id.clone());
        assert_eq!(kms.wait(&store, "FAILED")["ConnectionErrorCode"], code);
        refused(
            kms,
            "ConnectCustomKeyStore",
            id.clone(),
            "CustomKeyStoreInvalidStateException",
        );
        kms.disconnect(&store);
    };
    for (code, name) in [
        (Code::InternalError, "INTERNAL_ERROR"),
        (Code::NetworkErrors, "NETWORK_ERRORS"),
        (Code::ClusterNotFound, "CLUSTER_NOT_FOUND"),
        (Code::InsufficientCloudhsmHsms, "INSUFFICIENT_CLOUDHSM_HSMS"),
        (
            Code::InsufficientFreeAddressesInSubnet,
            "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET",
        ),
        (Code::SubnetNotFound, "SUBNET_NOT_FOUND"),
    ] {
        target
            .clusters
            .change(&cluster.id, |c| c.broken = Some(code));
        fails(name);
    }
    target.clusters.change(&cluster.id, |c| c.broken = None);
    let user = KmsUser {
        hsm: "hsm-a".into(),
        present: true,
        locked: false,
        logged_in: false,
        second_factor: false,
        failed_logins: 0,
    };
    type Change = fn(&mut KmsUser);
    let cases: [(&str, Change); 4] = [
        ("USER_NOT_FOUND", |u| u.present = false),
        ("USER_LOCKED_OUT", |u| u.locked = true),
        ("USER_LOGGED_IN", |u| u.logged_in = true),
        ("INVALID_CREDENTIALS", |u| u.second_factor = true),
    ];
    for (code, change) in cases {
        let mut second = KmsUser {
            hsm: "hsm-b".into(),
            ..user.clone()
        };
        change(&mut second);
        target
            .clusters
            .change(&cluster.id, |c| c.users = vec![user.clone(), second]);
        fails(code);
    }
    target
        .clusters
        .change(&cluster.id, |c| c.users = vec![user]);
    // What can be said at once leaves the store DISCONNECTED.
    target
        .clusters
        .change(&cluster.id, |c| c.facts.active_hsm_zones.truncate(1));
    kms.connect(&store);
    // One HSM is enough to connect, not to make a key.
    let key = json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store});
    refused(
        kms,
        "CreateKey",
        key,
        "CloudHsmClusterInvalidConfigurationException",
    );
    kms.disconnect(&store);
    let attached = target.clusters.0.lock()[&cluster.id].attached;
    assert_eq!(attached, 0, "disconnect takes the interfaces away");
    target
        .clusters
        .change(&cluster.id, |c| c.facts.active_hsm_zones.clear());
    refused(
        kms,
        "ConnectCustomKeyStore",
        id.clone(),
        "CloudHsmClusterInvalidConfigurationException",
    );
    target
        .clusters
        .change(&cluster.id, |c| c.facts.active = false);
    refused(
        kms,
        "ConnectCustomKeyStore",
        id.clone(),
        "CloudHsmClusterNotActiveException",
    );
    assert_eq!(kms.store(&store)["ConnectionState"], "DISCONNECTED");
    // A cluster that is gone is found on the way.
    target.clusters.0.lock().remove(&cluster.id);
    fails("CLUSTER_NOT_FOUND");
    refused(
        kms,
        "ConnectCustomKeyStore",
        json!({"CustomKeyStoreId": "cks-0"}),
        "CustomKeyStoreNotFoundException",
    );
    clear(kms);
}

fn update_checks(target: &Tokens, kms: &Client) {
    let cluster = target.new_cluster("kmsPswd");
    let store = kms.create_store(&cluster, "kmsPswd");
    let update = |member: &str, value: &str| json!({"CustomKeyStoreId": store, member: value});
    let (other, related) = (target.new_cluster("kmsPswd"), target.new_cluster("kmsPswd"));
    let certificate = format!("certificate of {}", cluster.id);
    target.clusters.change(&related.id, |c| {
        c.facts.cluster_certificate = certificate;
        c.anchor = cluster.trust_anchor.clone();
    });
    let refuse = |input, exception| refused(kms, "UpdateCustomKeyStore", input, exception);
    refuse(
        update("CloudHsmClusterId", &other.id),
        "CloudHsmClusterNotRelatedException",
    );
    refuse(
        update("CloudHsmClusterId", "cluster-zzzzzzzzzzz"),
        "CloudHsmClusterNotFoundException",
    );
    target
        .clusters
        .change(&related.id, |c| c.facts.active = false);
    refuse(
        update("CloudHsmClusterId", &related.id),
        "CloudHsmClusterNotActiveException",
    );
    target
        .clusters
        .change(&related.id, |c| c.facts.active = true);
    target
        .clusters
        .change(&related.id, |c| c.facts.active_hsm_zones.truncate(1));
    refuse(
        update("CloudHsmClusterId", &related.id),
        "CloudHsmClusterInvalidConfigurationException",
    );
    target.clusters.change(&related.id, |c| {
        c.facts.active_hsm_zones.push("us-west-2b".into())
    });
    // The old cluster may be gone by then: that is what the operation is for.
    target.clusters.0.lock().remove(&cluster.id);
    kms.ok(
        "UpdateCustomKeyStore",
        update("CloudHsmClusterId", &related.id),
    );
    assert_eq!(kms.store(&store)["CloudHsmClusterId"], json!(related.id));
    kms.connect(&store);
    kms.disconnect(&store);
    let neighbour = kms.create_store(&other, "kmsPswd");
    let taken = text(&kms.store(&neighbour), "CustomKeyStoreName");
    refuse(
        update("NewCustomKeyStoreName", &taken),
        "CustomKeyStoreNameInUseException",
    );
    refuse(json!({"CustomKeyStoreId": store}), "ValidationException");
    refuse(
        update("KeyStorePassword", "not-alnum"),
        "ValidationException",
    );
    clear(kms);
}

fn quota(target: &Tokens, kms: &Client) {
    let clusters: Vec<TestCluster> = (0..11).map(|_| target.new_cluster("kmsPswd")).collect();
    for cluster in &clusters[..10] {
        kms.create_store(cluster, "kmsPswd");
    }
    refused(
        kms,
        "CreateCustomKeyStore",
        store_input(&clusters[10], "kmsPswd"),
        "LimitExceededException",
    );
    let page = kms.ok("DescribeCustomKeyStores", json!({"Limit": 7}));
    refused(
        kms,
        "DescribeCustomKeyStores",
        json!({"CustomKeyStoreName": page["CustomKeyStores"][0]["CustomKeyStoreId"]}),
        "CustomKeyStoreNotFoundException",
    );
    assert_eq!(
        (
            page["CustomKeyStores"].as_array().unwrap().len(),
            &page["Truncated"]
        ),
        (7, &json!(true))
    );
    let rest = kms.ok(
        "DescribeCustomKeyStores",
        json!({"Limit": 7, "Marker": page["NextMarker"]}),
    );
    assert_eq!(
        (
            rest["CustomKeyStores"].as_array().unwrap().len(),
            &rest["Truncated"]
        ),
        (3, &json!(false))
    );
    let named = kms.ok(
        "DescribeCustomKeyStores",
        json!({"CustomKeyStoreName": page["CustomKeyStores"][0]["CustomKeyStoreName"]}),
    );
    assert_eq!(named["CustomKeyStores"][0], page["CustomKeyStores"][0]);
    clear(kms);
}

fn members(target: &Tokens, kms: &Client) {
    let cluster = target.new_cluster("kmsPswd");
    for member in [
        "CloudHsmClusterId",
        "TrustAnchorCertificate",
        "KeyStorePassword",
        "CustomKeyStoreName",
    ] {
        let mut input = store_input(&cluster, "kmsPswd");
        input.as_object_mut().unwrap().remove(member);
        let (exception, message) = kms.no("CreateCustomKeyStore", input);
        assert_eq!(exception, "ValidationException", "{member}");
        assert!(
            message
                .unwrap()
                .to_lowercase()
                .contains(&member.to_lowercase()),
            "{member}"
        );
    }
    let mut short = store_input(&cluster, "short");
    refused(
        kms,
        "CreateCustomKeyStore",
        short.clone(),
        "ValidationException",
    );
    short["KeyStorePassword"] = json!("kmsPswd");
    short["XksProxyConnectivity"] = json!("PUBLIC_ENDPOINT");
    refused(
        kms,
        "CreateCustomKeyStore",
        short.clone(),
        "ValidationException",
    );
    short["CustomKeyStoreType"] = json!("EXTERNAL_KEY_STORE");
    refused(
        kms,
        "CreateCustomKeyStore",
        short,
        "UnsupportedOperationException",
    );
}
