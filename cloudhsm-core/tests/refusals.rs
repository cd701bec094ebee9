//! Every refusal that a request can meet.

use serde_json::{Value, json};

use crate::fixture::World;

fn refused(w: &World, operation: &str, input: Value, name: &str, text: &str) {
    let (is, says) = w.refusal(operation, input.clone());
    assert!(
        is == name && says.contains(text),
        "{operation} {input}: {is}: {says}"
    );
}

#[test]
fn of_create_cluster() {
    let w = World::new();
    let s: Vec<Value> = w.subnets().iter().map(|s| s["SubnetId"].clone()).collect();
    let no = |input: Value, name: &str, text: &str| refused(&w, "CreateCluster", input, name, text);
    no(
        json!({"HsmType": "hsm9.huge", "SubnetIds": [s[0]]}),
        "InvalidRequest",
        "not supported",
    );
    no(
        json!({"HsmType": "hsm1.medium", "SubnetIds": [s[0]], "Mode": "NON_FIPS"}),
        "InvalidRequest",
        "FIPS",
    );
    no(
        json!({"HsmType": "hsm2m.medium", "SubnetIds": ["subnet-00000000000000000"]}),
        "InvalidRequest",
        "does not exist",
    );
    no(
        json!({"HsmType": "hsm2m.medium", "SubnetIds": [s[0], s[0]]}),
        "InvalidRequest",
        "More than one subnet",
    );
    no(
        json!({"HsmType": "hsm2m.medium", "SubnetIds": [s[0]], "SourceBackupId": "backup-aaaaaaaaaaa"}),
        "ResourceNotFound",
        "does not exist",
    );
    no(
        json!({"HsmType": "hsm2m.medium", "SubnetIds": [s[0]], "BackupRetentionPolicy": {"Type": "DAYS", "Value": "6"}}),
        "InvalidRequest",
        "between 7 and 379",
    );
    no(
        json!({"HsmType": "hsm2m.medium", "SubnetIds": [s[0]], "TagList": [{"Key": "aws:x", "Value": ""}]}),
        "Tag",
        "reserved",
    );
    no(json!({"SubnetIds": [s[0]]}), "Validation", "");
    assert_eq!(
        w.call("DescribeClusters", json!({})),
        json!({"Clusters": []}),
        "nothing was made"
    );
    assert_eq!(
        w.admin("vpc/security-groups", json!({})).expect("lists"),
        json!([])
    );
    for _ in 0..4 {
        w.new_cluster();
    }
    no(
        json!({"HsmType": "hsm2m.medium", "SubnetIds": [s[0]]}),
        "InvalidRequest",
        "limit of 4 clusters",
    );
}

#[test]
fn of_what_is_not_there() {
    let w = World::new();
    let c = "cluster-aaaaaaaaaaa";
    let no = |operation: &str, input: Value| refused(&w, operation, input, "ResourceNotFound", "");
    no(
        "CreateHsm",
        json!({"ClusterId": c, "AvailabilityZone": "us-east-1a"}),
    );
    no(
        "DeleteHsm",
        json!({"ClusterId": c, "HsmId": "hsm-aaaaaaaaaaa"}),
    );
    no("DeleteCluster", json!({"ClusterId": c}));
    no(
        "InitializeCluster",
        json!({"ClusterId": c, "SignedCert": "x", "TrustAnchor": "x"}),
    );
    no(
        "ModifyCluster",
        json!({"ClusterId": c, "HsmType": "hsm2m.medium"}),
    );
    no(
        "TagResource",
        json!({"ResourceId": c, "TagList": [{"Key": "k", "Value": "v"}]}),
    );
    no(
        "UntagResource",
        json!({"ResourceId": c, "TagKeyList": ["k"]}),
    );
    no("ListTags", json!({"ResourceId": c}));
    let b = "backup-aaaaaaaaaaa";
    no("DeleteBackup", json!({"BackupId": b}));
    no("RestoreBackup", json!({"BackupId": b}));
    no(
        "ModifyBackupAttributes",
        json!({"BackupId": b, "NeverExpires": true}),
    );
    no(
        "CopyBackupToRegion",
        json!({"BackupId": b, "DestinationRegion": "eu-west-1"}),
    );
    let arn = format!("arn:aws:cloudhsm:us-east-1:123456789012:backup/{b}");
    no("GetResourcePolicy", json!({"ResourceArn": arn}));
    no(
        "PutResourcePolicy",
        json!({"ResourceArn": arn, "Policy": "{}"}),
    );
    no("DeleteResourcePolicy", json!({"ResourceArn": arn}));
}

#[test]
fn of_hsms_by_state_zone_address_and_number() {
    let w = World::new();
    let id = w.new_cluster();
    let hsm = |zone: &str, ip: Option<&str>| {
        let mut input = json!({"ClusterId": id, "AvailabilityZone": zone});
        if let Some(ip) = ip {
            input["IpAddress"] = json!(ip);
        }
        input
    };
    refused(
        &w,
        "CreateHsm",
        hsm("us-east-1c", None),
        "InvalidRequest",
        "no subnet in the Availability Zone",
    );
    refused(
        &w,
        "CreateHsm",
        hsm("us-east-1a", Some("10.1.2.3")),
        "InvalidRequest",
        "10.1.2.3",
    );
    refused(
        &w,
        "CreateHsm",
        hsm("us-east-1a", Some("999.1.2.3")),
        "InvalidRequest",
        "not valid",
    );
    let subnet = w.subnets()[0]["SubnetId"].clone();
    w.admin("fault/exhaust-addresses", json!({"SubnetId": subnet}))
        .expect("exhausts");
    refused(
        &w,
        "CreateHsm",
        hsm("us-east-1a", None),
        "InvalidRequest",
        "no free IP address",
    );
    w.admin("fault/free-addresses", json!({"SubnetId": subnet}))
        .expect("frees");
    for n in 0..6 {
        w.add_hsm(&id, if n % 2 == 0 { "a" } else { "b" });
    }
    refused(
        &w,
        "CreateHsm",
        hsm("us-east-1a", None),
        "InvalidRequest",
        "limit",
    );
    let first = w.cluster(&id)["Hsms"][0]["HsmId"].clone();
    refused(
        &w,
        "DeleteCluster",
        json!({"ClusterId": id}),
        "InvalidRequest",
        "has HSMs",
    );
    refused(
        &w,
        "DeleteHsm",
        json!({"ClusterId": id}),
        "InvalidRequest",
        "Exactly one",
    );
    refused(
        &w,
        "DeleteHsm",
        json!({"ClusterId": id, "HsmId": first, "EniIp": "127.0.0.1"}),
        "InvalidRequest",
        "Exactly one",
    );
    refused(
        &w,
        "DeleteHsm",
        json!({"ClusterId": id, "EniIp": "127.0.0.1"}),
        "ResourceNotFound",
        "no such HSM",
    );
    w.call("DeleteHsm", json!({"ClusterId": id, "HsmId": first}));
    refused(
        &w,
        "DeleteHsm",
        json!({"ClusterId": id, "HsmId": first}),
        "InvalidRequest",
        "already",
    );
}

#[test]
fn of_initialization() {
    let w = World::new();
    let id = w.new_cluster();
    let input = json!({"ClusterId": id, "SignedCert": "x", "TrustAnchor": "x"});
    refused(
        &w,
        "InitializeCluster",
        input.clone(),
        "InvalidRequest",
        "no active HSM",
    );
    w.add_hsm(&id, "a");
    w.until_hsms(&id, 1);
    refused(
        &w,
        "InitializeCluster",
        input.clone(),
        "InvalidRequest",
        "SignedCert",
    );
    assert_eq!(w.cluster(&id)["State"], "UNINITIALIZED");
    w.initialize(&id);
    refused(
        &w,
        "InitializeCluster",
        input,
        "InvalidRequest",
        "INITIALIZED",
    );
}

#[test]
fn of_backups_by_state_and_of_lists() {
    let w = World::new();
    let (id, _) = w.active(&["a"]);
    let backup = w.until_backups(&id, 1)[0]["BackupId"].clone();
    refused(
        &w,
        "RestoreBackup",
        json!({"BackupId": backup}),
        "InvalidRequest",
        "PENDING_DELETION",
    );
    refused(
        &w,
        "CopyBackupToRegion",
        json!({"BackupId": backup, "DestinationRegion": "us-east-1"}),
        "InvalidRequest",
        "another Region",
    );
    w.call("DeleteBackup", json!({"BackupId": backup}));
    refused(
        &w,
        "DeleteBackup",
        json!({"BackupId": backup}),
        "InvalidRequest",
        "READY",
    );
    let s = w.subnets()[0]["SubnetId"].clone();
    refused(
        &w,
        "CreateCluster",
        json!({"HsmType": "hsm2m.medium", "SubnetIds": [s], "SourceBackupId": backup}),
        "InvalidRequest",
        "READY",
    );
    refused(
        &w,
        "DescribeClusters",
        json!({"Filters": {"colour": ["red"]}}),
        "InvalidRequest",
        "colour",
    );
    refused(
        &w,
        "DescribeClusters",
        json!({"NextToken": "garbage"}),
        "InvalidRequest",
        "NextToken",
    );
    refused(
        &w,
        "DescribeBackups",
        json!({"Filters": {"colour": ["red"]}}),
        "InvalidRequest",
        "colour",
    );
    refused(
        &w,
        "PutResourcePolicy",
        json!({"Policy": "{}"}),
        "InvalidRequest",
        "must be given",
    );
    let arn = format!("arn:aws:cloudhsm:us-east-1:123456789012:cluster/{id}");
    refused(
        &w,
        "GetResourcePolicy",
        json!({"ResourceArn": arn}),
        "InvalidRequest",
        "backup",
    );
    refused(
        &w,
        "ModifyCluster",
        json!({"ClusterId": id}),
        "InvalidRequest",
        "must be given",
    );
}
