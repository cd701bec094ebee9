//! The life of clusters, HSMs and backups, and what a restart keeps.

use serde_json::json;

use crate::fixture::World;

#[test]
fn a_cluster_from_birth_to_deletion() {
    let w = World::new();
    let ids: Vec<_> = w.subnets()[..2]
        .iter()
        .map(|s| s["SubnetId"].clone())
        .collect();
    let made = w.call(
        "CreateCluster",
        json!({"HsmType": "hsm2m.medium", "SubnetIds": ids, "TagList": [{"Key": "k", "Value": "v"}]}),
    )["Cluster"]
        .clone();
    assert_eq!(made["State"], "CREATE_IN_PROGRESS");
    assert_eq!(
        (&made["Certificates"], &made["Hsms"]),
        (&json!({}), &json!([]))
    );
    assert_eq!(made["SubnetMapping"].as_object().map(|m| m.len()), Some(2));
    assert_eq!(
        made["BackupRetentionPolicy"],
        json!({"Type": "DAYS", "Value": "90"})
    );
    assert_eq!(
        (&made["Mode"], &made["NetworkType"]),
        (&json!("FIPS"), &json!("IPV4"))
    );
    let id = made["ClusterId"].as_str().expect("id").to_owned();
    let groups = w.admin("vpc/security-groups", json!({})).expect("lists");
    assert_eq!(groups[0]["GroupName"], format!("cloudhsm-{id}-sg"));
    assert_eq!(groups[0]["GroupId"], made["SecurityGroup"]);

    let cluster = w.until_state(&id, "UNINITIALIZED");
    assert_eq!(
        cluster["Certificates"],
        json!({}),
        "no CSR before the first HSM"
    );
    let made = w.call(
        "CreateHsm",
        json!({"ClusterId": id, "AvailabilityZone": "us-east-1a"}),
    );
    let hsm = &made["Hsm"];
    assert_eq!(hsm["State"], "CREATE_IN_PROGRESS");
    for member in [
        "HsmId",
        "EniId",
        "EniIp",
        "SubnetId",
        "ClusterId",
        "AvailabilityZone",
    ] {
        assert!(hsm[member].is_string(), "{member}: {hsm}");
    }
    let first = hsm["HsmId"].as_str().expect("id").to_owned();
    let cluster = w.until_hsms(&id, 1);
    assert_eq!(cluster["Hsms"][0]["StateMessage"], "HSM created.");
    assert_eq!(cluster["State"], "UNINITIALIZED");
    let certificates = cluster["Certificates"].as_object().expect("object");
    assert_eq!(certificates.len(), 4, "{certificates:?}");
    assert!(!certificates.contains_key("ClusterCertificate"));

    w.initialize(&id);
    let cluster = w.cluster(&id);
    let certificates = cluster["Certificates"].as_object().expect("object");
    assert_eq!(
        certificates.keys().collect::<Vec<_>>(),
        ["ClusterCertificate"]
    );
    assert!(
        w.backups(&id).is_empty(),
        "nothing to back up before activation"
    );
    w.nodes.hsm(&first).set(|c| {
        c.activated = true;
        c.users.push("kmsuser".into());
    });
    w.until_state(&id, "ACTIVE");
    w.until_backups(&id, 1);

    let second = w.add_hsm(&id, "b");
    w.until_hsms(&id, 2);
    let users = w.nodes.hsm(&second).content.lock().users.clone();
    assert_eq!(
        users,
        ["admin", "app_user", "kmsuser"],
        "the second is a copy of the first"
    );
    w.until_backups(&id, 2);
    assert!(
        w.nodes
            .told(&first)
            .iter()
            .any(|c| format!("{c:?}").contains(&second)),
        "introduced"
    );

    let ip = w.cluster(&id)["Hsms"][1]["EniIp"].clone();
    let deleted = w.call("DeleteHsm", json!({"ClusterId": id, "EniIp": ip}));
    assert_eq!(deleted["HsmId"], second.as_str());
    w.until_hsms(&id, 1);
    w.until_backups(&id, 3);
    assert!(
        !w.dir.path().join("data/nodes").join(&second).exists(),
        "nothing of it is left"
    );
    let eni = w.cluster(&id)["Hsms"][0]["EniId"].clone();
    w.call("DeleteHsm", json!({"ClusterId": id, "EniId": eni}));
    w.until_hsms(&id, 0);
    assert_eq!(w.admin("vpc/enis", json!({})).expect("lists"), json!([]));

    let deleting = w.call("DeleteCluster", json!({"ClusterId": id}))["Cluster"].clone();
    assert_eq!(deleting["State"], "DELETE_IN_PROGRESS");
    assert_eq!(deleting["StateMessage"], "The cluster is being deleted.");
    w.until_state(&id, "DELETED");
    assert_eq!(
        w.admin("vpc/security-groups", json!({})).expect("lists"),
        json!([])
    );
    assert_eq!(w.nodes.running(), 0);
}

#[test]
fn two_hsms_before_initialization_become_one_cluster() {
    let w = World::new();
    let id = w.new_cluster();
    let first = w.add_hsm(&id, "a");
    let second = w.add_hsm(&id, "b");
    w.until_hsms(&id, 2);
    let users = |w: &World, hsm: &str| w.nodes.hsm(hsm).content.lock().users.clone();
    w.nodes.hsm(&first).set(|c| c.users.push("mark".into()));
    w.initialize(&id);
    assert_eq!(
        users(&w, &second),
        users(&w, &first),
        "filled from the one that was certified"
    );
}

#[test]
fn the_csr_is_another_ones_when_the_first_hsm_is_deleted() {
    let w = World::new();
    let id = w.new_cluster();
    let first = w.add_hsm(&id, "a");
    w.until_hsms(&id, 1);
    w.add_hsm(&id, "b");
    let before = w.until_hsms(&id, 2)["Certificates"]["ClusterCsr"].clone();
    w.call("DeleteHsm", json!({"ClusterId": id, "HsmId": first}));
    w.until(&id, "another CSR", |c| {
        c["Hsms"].as_array().is_some_and(|h| h.len() == 1)
            && c["Certificates"]["ClusterCsr"].is_string()
            && c["Certificates"]["ClusterCsr"] != before
    });
    w.initialize(&id);
}

#[test]
fn a_cluster_from_a_backup_has_its_certificate_and_users() {
    let w = World::new();
    let (id, hsms) = w.active(&["a"]);
    w.nodes
        .hsm(&hsms[0])
        .set(|c| c.users.push("kmsuser".into()));
    w.add_hsm(&id, "b");
    w.until_hsms(&id, 2);
    let newest = w.until_backups(&id, 2)[0].clone();
    assert_eq!(newest["ClusterId"], id.as_str());

    let ids: Vec<_> = w.subnets()[1..]
        .iter()
        .map(|s| s["SubnetId"].clone())
        .collect();
    let made = w.call(
        "CreateCluster",
        json!({"HsmType": "hsm2m.medium", "SubnetIds": ids, "SourceBackupId": newest["BackupArn"]}),
    )["Cluster"]
        .clone();
    assert_eq!(
        made["Certificates"],
        w.cluster(&id)["Certificates"],
        "at once"
    );
    assert_eq!(made["SourceBackupId"], newest["BackupId"]);
    let copy = made["ClusterId"].as_str().expect("id").to_owned();
    w.until_state(&copy, "INITIALIZED");
    let hsm = w.add_hsm(&copy, "c");
    w.until_state(&copy, "ACTIVE");
    assert!(
        w.nodes
            .hsm(&hsm)
            .content
            .lock()
            .users
            .contains(&"kmsuser".to_owned())
    );

    // Its HSMs are gone: the next is filled from its own newest backup.
    w.nodes.hsm(&hsm).set(|c| c.users.push("late".into()));
    w.call("DeleteHsm", json!({"ClusterId": copy, "HsmId": hsm}));
    w.until_hsms(&copy, 0);
    let hsm = w.add_hsm(&copy, "c");
    w.until_hsms(&copy, 1);
    assert!(
        w.nodes
            .hsm(&hsm)
            .content
            .lock()
            .users
            .contains(&"late".to_owned())
    );
}

#[test]
fn all_comes_back_after_a_restart() {
    let w = World::new();
    let (id, hsms) = w.active(&["a", "b"]);
    w.call(
        "TagResource",
        json!({"ResourceId": id, "TagList": [{"Key": "a", "Value": "b"}]}),
    );
    let (before, backups) = (w.cluster(&id), w.until_backups(&id, 2));
    let w = w.restart();
    assert!(
        w.service.settle(std::time::Duration::from_secs(20)),
        "comes back"
    );
    assert_eq!(w.cluster(&id), before);
    assert_eq!(w.backups(&id), backups);
    assert_eq!(w.nodes.running(), 2);
    assert_eq!(w.nodes.starts().len(), 4, "{hsms:?} started twice each");
}

#[test]
fn a_restart_in_the_middle_goes_on_where_it_was() {
    let w = World::new();
    let id = w.new_cluster();
    w.add_hsm(&id, "a");
    let w = w.restart();
    let cluster = w.until_hsms(&id, 1);
    assert!(cluster["Certificates"]["ClusterCsr"].is_string());
    let ca = crate::fixture::Ca::new(w.dir.path(), "ca", 2048);
    let csr = cluster["Certificates"]["ClusterCsr"].as_str().expect("CSR");
    let input =
        json!({"ClusterId": id, "SignedCert": ca.sign(csr), "TrustAnchor": ca.certificate()});
    w.call("InitializeCluster", input);
    let w = w.restart();
    w.until_state(&id, "INITIALIZED");
    let hsm = w.cluster(&id)["Hsms"][0]["HsmId"]
        .as_str()
        .expect("id")
        .to_owned();
    w.call("DeleteHsm", json!({"ClusterId": id, "HsmId": hsm}));
    let w = w.restart();
    w.until_hsms(&id, 0);
    w.call("DeleteCluster", json!({"ClusterId": id}));
    let w = w.restart();
    w.until_state(&id, "DELETED");
}

#[test]
fn backups_are_daily_kept_for_their_time_and_never_all_deleted() {
    let w = World::new();
    let (id, _) = w.active(&["a"]);
    let first = w.until_backups(&id, 1)[0]["BackupId"].clone();
    let day = 86_400.0;
    *w.clock.lock() += day;
    w.until_backups(&id, 2);
    w.call(
        "ModifyBackupAttributes",
        json!({"BackupId": first, "NeverExpires": true}),
    );
    w.call(
        "ModifyCluster",
        json!({"ClusterId": id, "BackupRetentionPolicy": {"Type": "DAYS", "Value": "7"}}),
    );
    let hsm = w.cluster(&id)["Hsms"][0]["HsmId"].clone();
    w.call("DeleteHsm", json!({"ClusterId": id, "HsmId": hsm}));
    w.until_hsms(&id, 0);
    w.until_backups(&id, 3);

    // House-keeping runs at the start.
    *w.clock.lock() += 100.0 * day;
    let w = w.restart();
    let left = w.until_backups(&id, 2);
    assert!(
        left.iter()
            .any(|b| b["BackupId"] == first && b["NeverExpires"] == true),
        "exempt"
    );
    let other = left
        .iter()
        .find(|b| b["BackupId"] != first)
        .expect("the last one");
    let file = w
        .dir
        .path()
        .join("data/backups")
        .join(other["BackupId"].as_str().expect("id"));
    assert!(file.exists());

    let shown = w.call("DeleteBackup", json!({"BackupId": other["BackupId"]}))["Backup"].clone();
    assert_eq!(shown["BackupState"], "PENDING_DELETION");
    assert!(shown["DeleteTimestamp"].is_number());
    let back = w.call("RestoreBackup", json!({"BackupId": other["BackupId"]}))["Backup"].clone();
    assert_eq!(
        (&back["BackupState"], &back["DeleteTimestamp"]),
        (&json!("READY"), &json!(null))
    );
    w.call("DeleteBackup", json!({"BackupId": other["BackupId"]}));
    *w.clock.lock() += 7.0 * day + 1.0;
    let w = w.restart();
    w.until_backups(&id, 1);
    assert!(!file.exists());
}

#[test]
fn a_copied_backup_makes_a_related_cluster_in_another_region() {
    let w = World::new();
    let (id, _) = w.active(&["a"]);
    let backup = w.until_backups(&id, 1)[0].clone();
    let input = json!({"BackupId": backup["BackupId"], "DestinationRegion": "eu-west-1"});
    let copy = w.call("CopyBackupToRegion", input)["DestinationBackup"].clone();
    assert_eq!(copy["CreateTimestamp"], backup["CreateTimestamp"]);
    let there = |op: &str, input| w.try_call_in("eu-west-1", op, &input).expect("there");
    let shown = there("DescribeBackups", json!({}))["Backups"][0].clone();
    assert_eq!(
        (&shown["SourceRegion"], &shown["SourceBackup"]),
        (&json!("us-east-1"), &backup["BackupId"])
    );
    assert!(shown["CopyTimestamp"].is_number());
    let subnets = w
        .admin("vpc/subnets", json!({"Region": "eu-west-1"}))
        .expect("lists");
    let input = json!({"HsmType": "hsm2m.medium", "SubnetIds": [subnets[0]["SubnetId"]], "SourceBackupId": shown["BackupId"]});
    let made = there("CreateCluster", input)["Cluster"].clone();
    assert_eq!(made["Certificates"], w.cluster(&id)["Certificates"]);
}

#[test]
fn lists_come_in_pages_and_tags_and_policies_are_kept() {
    let w = World::new();
    let ids: Vec<String> = (0..3).map(|_| w.new_cluster()).collect();
    let one = w.call("DescribeClusters", json!({"MaxResults": 2}));
    assert_eq!(one["Clusters"].as_array().map(Vec::len), Some(2));
    let two = w.call(
        "DescribeClusters",
        json!({"MaxResults": 2, "NextToken": one["NextToken"]}),
    );
    assert_eq!(
        two["Clusters"][0]["ClusterId"],
        ids[2].as_str(),
        "in the order of creation"
    );
    assert!(two.get("NextToken").is_none());

    let tag = |k: &str| json!({"Key": k, "Value": "v"});
    w.call(
        "TagResource",
        json!({"ResourceId": ids[0], "TagList": [tag("b"), tag("a"), tag("c")]}),
    );
    let page = w.call("ListTags", json!({"ResourceId": ids[0], "MaxResults": 2}));
    assert_eq!(page["TagList"], json!([tag("a"), tag("b")]));
    w.call(
        "UntagResource",
        json!({"ResourceId": ids[0], "TagKeyList": ["a", "nothing"]}),
    );
    assert_eq!(
        w.call("ListTags", json!({"ResourceId": ids[0]})),
        json!({"TagList": [tag("b"), tag("c")]})
    );

    let (id, _) = w.active(&["a"]);
    let arn = w.until_backups(&id, 1)[0]["BackupArn"].clone();
    assert_eq!(
        w.call("GetResourcePolicy", json!({"ResourceArn": arn})),
        json!({})
    );
    let policy = "{\"Version\":\"2012-10-17\"}";
    w.call(
        "PutResourcePolicy",
        json!({"ResourceArn": arn, "Policy": policy}),
    );
    assert_eq!(
        w.call("GetResourcePolicy", json!({"ResourceArn": arn}))["Policy"],
        policy
    );
    assert_eq!(
        w.call("DeleteResourcePolicy", json!({"ResourceArn": arn}))["Policy"],
        policy
    );
}

#[test]
fn an_hsm1_cluster_moves_to_hsm2m_and_back() {
    let w = World::new();
    let subnet = w.subnets()[0]["SubnetId"].clone();
    let made = w.call(
        "CreateCluster",
        json!({"HsmType": "hsm1.medium", "SubnetIds": [subnet]}),
    );
    let id = made["Cluster"]["ClusterId"]
        .as_str()
        .expect("id")
        .to_owned();
    w.until_state(&id, "UNINITIALIZED");
    let hsm = w.add_hsm(&id, "a");
    w.until_hsms(&id, 1);
    w.initialize(&id);
    w.nodes.hsm(&hsm).set(|c| c.activated = true);
    w.until_state(&id, "ACTIVE");
    let modified = w.call(
        "ModifyCluster",
        json!({"ClusterId": id, "HsmType": "hsm2m.medium"}),
    );
    assert_eq!(modified["Cluster"]["State"], "MODIFY_IN_PROGRESS");
    let cluster = w.until_state(&id, "ACTIVE");
    assert_eq!(cluster["HsmType"], "hsm2m.medium");
    assert!(cluster["HsmTypeRollbackExpiration"].is_number());
    assert!(w.service.settle(std::time::Duration::from_secs(20)));
    assert_eq!(w.nodes.starts().len(), 2, "started again as the other type");
    w.call(
        "ModifyCluster",
        json!({"ClusterId": id, "HsmType": "hsm1.medium"}),
    );
    w.until_state(&id, "ACTIVE");
    assert_eq!(
        w.refusal(
            "ModifyCluster",
            json!({"ClusterId": id, "HsmType": "hsm3.large"})
        )
        .0,
        "InvalidRequest"
    );
}

#[test]
fn reset_forgets_everything() {
    let w = World::new();
    w.active(&["a"]);
    w.admin("reset", json!({})).expect("resets");
    assert_eq!(
        w.call("DescribeClusters", json!({})),
        json!({"Clusters": []})
    );
    assert_eq!(w.nodes.running(), 0);
    w.active(&["b"]);
}
