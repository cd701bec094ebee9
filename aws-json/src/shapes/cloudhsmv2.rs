//! Made by `cargo xtask shapes`: names and constraints of the service's inputs.

use crate::shape::make::*;

/// The service's model.
pub static MODEL: Model = Model {
    target_prefix: "BaldrApiService",
    signing_name: "cloudhsm",
    message_member: "Message",
    operations: &[
        ("CopyBackupToRegion", &COPY_BACKUP_TO_REGION_REQUEST),
        ("CreateCluster", &CREATE_CLUSTER_REQUEST),
        ("CreateHsm", &CREATE_HSM_REQUEST),
        ("DeleteBackup", &DELETE_BACKUP_REQUEST),
        ("DeleteCluster", &DELETE_CLUSTER_REQUEST),
        ("DeleteHsm", &DELETE_HSM_REQUEST),
        ("DeleteResourcePolicy", &DELETE_RESOURCE_POLICY_REQUEST),
        ("DescribeBackups", &DESCRIBE_BACKUPS_REQUEST),
        ("DescribeClusters", &DESCRIBE_CLUSTERS_REQUEST),
        ("GetResourcePolicy", &GET_RESOURCE_POLICY_REQUEST),
        ("InitializeCluster", &INITIALIZE_CLUSTER_REQUEST),
        ("ListTags", &LIST_TAGS_REQUEST),
        ("ModifyBackupAttributes", &MODIFY_BACKUP_ATTRIBUTES_REQUEST),
        ("ModifyCluster", &MODIFY_CLUSTER_REQUEST),
        ("PutResourcePolicy", &PUT_RESOURCE_POLICY_REQUEST),
        ("RestoreBackup", &RESTORE_BACKUP_REQUEST),
        ("TagResource", &TAG_RESOURCE_REQUEST),
        ("UntagResource", &UNTAG_RESOURCE_REQUEST),
    ],
};

static BACKUPS_MAX_SIZE: Shape = Shape::Integer(range(Some(1), Some(50)));
static BACKUP_ARN: Shape = text(range(None, None), Some(&BACKUP_ARN_PATTERN));
static BACKUP_ARN_PATTERN: Pattern = Pattern::new(
    r#"^(arn:aws(-(us-gov))?:cloudhsm:([a-z]{2}(-(gov|isob|iso))?-(east|west|north|south|central){1,2}-[0-9]{1}):[0-9]{12}:backup/)?backup-[2-7a-zA-Z]{11,16}"#,
);
static BACKUP_ID: Shape = text(range(None, None), Some(&BACKUP_ID_PATTERN));
static BACKUP_ID_PATTERN: Pattern = Pattern::new(r#"backup-[2-7a-zA-Z]{11,16}"#);
static BACKUP_RETENTION_POLICY: Shape = Shape::Structure(&[
    optional("Type", &BACKUP_RETENTION_TYPE),
    optional("Value", &BACKUP_RETENTION_VALUE),
]);
static BACKUP_RETENTION_TYPE: Shape = values(&["DAYS"]);
static BACKUP_RETENTION_VALUE: Shape = text(
    range(Some(1), Some(3)),
    Some(&BACKUP_RETENTION_VALUE_PATTERN),
);
static BACKUP_RETENTION_VALUE_PATTERN: Pattern = Pattern::new(r#"[0-9]+"#);
static BOOLEAN: Shape = Shape::Boolean;
static CERT: Shape = text(range(None, Some(20000)), Some(&CERT_PATTERN));
static CERT_PATTERN: Pattern = Pattern::new(r#"[a-zA-Z0-9+-/=\s]*"#);
static CLOUD_HSM_ARN: Shape = text(range(None, None), Some(&CLOUD_HSM_ARN_PATTERN));
static CLOUD_HSM_ARN_PATTERN: Pattern = Pattern::new(
    r#"arn:aws(-(us-gov))?:cloudhsm:([a-z]{2}(-(gov|isob|iso))?-(east|west|north|south|central){1,2}-[0-9]{1}):[0-9]{12}:(backup/backup|cluster/cluster|hsm/hsm)-[2-7a-zA-Z]{11,16}"#,
);
static CLUSTERS_MAX_SIZE: Shape = Shape::Integer(range(Some(1), Some(25)));
static CLUSTER_ID: Shape = text(range(None, None), Some(&CLUSTER_ID_PATTERN));
static CLUSTER_ID_PATTERN: Pattern = Pattern::new(r#"cluster-[2-7a-zA-Z]{11,16}"#);
static CLUSTER_MODE: Shape = values(&["FIPS", "NON_FIPS"]);
static COPY_BACKUP_TO_REGION_REQUEST: Shape = Shape::Structure(&[
    required("DestinationRegion", &REGION),
    required("BackupId", &BACKUP_ID),
    optional("TagList", &TAG_LIST),
]);
static CREATE_CLUSTER_REQUEST: Shape = Shape::Structure(&[
    optional("BackupRetentionPolicy", &BACKUP_RETENTION_POLICY),
    required("HsmType", &HSM_TYPE),
    optional("SourceBackupId", &BACKUP_ARN),
    required("SubnetIds", &SUBNET_IDS),
    optional("NetworkType", &NETWORK_TYPE),
    optional("TagList", &TAG_LIST),
    optional("Mode", &CLUSTER_MODE),
]);
static CREATE_HSM_REQUEST: Shape = Shape::Structure(&[
    required("ClusterId", &CLUSTER_ID),
    required("AvailabilityZone", &EXTERNAL_AZ),
    optional("IpAddress", &IP_ADDRESS),
]);
static DELETE_BACKUP_REQUEST: Shape = Shape::Structure(&[required("BackupId", &BACKUP_ID)]);
static DELETE_CLUSTER_REQUEST: Shape = Shape::Structure(&[required("ClusterId", &CLUSTER_ID)]);
static DELETE_HSM_REQUEST: Shape = Shape::Structure(&[
    required("ClusterId", &CLUSTER_ID),
    optional("HsmId", &HSM_ID),
    optional("EniId", &ENI_ID),
    optional("EniIp", &IP_ADDRESS),
]);
static DELETE_RESOURCE_POLICY_REQUEST: Shape =
    Shape::Structure(&[optional("ResourceArn", &CLOUD_HSM_ARN)]);
static DESCRIBE_BACKUPS_REQUEST: Shape = Shape::Structure(&[
    optional("NextToken", &NEXT_TOKEN),
    optional("MaxResults", &BACKUPS_MAX_SIZE),
    optional("Filters", &FILTERS),
    optional("Shared", &BOOLEAN),
    optional("SortAscending", &BOOLEAN),
]);
static DESCRIBE_CLUSTERS_REQUEST: Shape = Shape::Structure(&[
    optional("Filters", &FILTERS),
    optional("NextToken", &NEXT_TOKEN),
    optional("MaxResults", &CLUSTERS_MAX_SIZE),
]);
static ENI_ID: Shape = text(range(None, None), Some(&ENI_ID_PATTERN));
static ENI_ID_PATTERN: Pattern = Pattern::new(r#"eni-[0-9a-fA-F]{8,17}"#);
static EXTERNAL_AZ: Shape = text(range(None, None), Some(&EXTERNAL_AZ_PATTERN));
static EXTERNAL_AZ_PATTERN: Pattern =
    Pattern::new(r#"[a-z]{2}(-(gov))?-(east|west|north|south|central){1,2}-\d[a-z]"#);
static FIELD: Shape = text(range(None, None), Some(&FIELD_PATTERN));
static FIELD_PATTERN: Pattern = Pattern::new(r#"[a-zA-Z0-9_-]+"#);
static FILTERS: Shape = map(&FIELD, &STRINGS, range(None, Some(30)));
static GET_RESOURCE_POLICY_REQUEST: Shape =
    Shape::Structure(&[optional("ResourceArn", &CLOUD_HSM_ARN)]);
static HSM_ID: Shape = text(range(None, None), Some(&HSM_ID_PATTERN));
static HSM_ID_PATTERN: Pattern = Pattern::new(r#"hsm-[2-7a-zA-Z]{11,16}"#);
static HSM_TYPE: Shape = text(range(None, Some(32)), Some(&HSM_TYPE_PATTERN));
static HSM_TYPE_PATTERN: Pattern = Pattern::new(r#"((p|)hsm[0-9][a-z.]*\.[a-zA-Z]+)"#);
static INITIALIZE_CLUSTER_REQUEST: Shape = Shape::Structure(&[
    required("ClusterId", &CLUSTER_ID),
    required("SignedCert", &CERT),
    required("TrustAnchor", &CERT),
]);
static IP_ADDRESS: Shape = text(range(None, None), Some(&IP_ADDRESS_PATTERN));
static IP_ADDRESS_PATTERN: Pattern = Pattern::new(r#"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}"#);
static LIST_TAGS_REQUEST: Shape = Shape::Structure(&[
    required("ResourceId", &RESOURCE_ID),
    optional("NextToken", &NEXT_TOKEN),
    optional("MaxResults", &MAX_SIZE),
]);
static MAX_SIZE: Shape = Shape::Integer(range(Some(1), Some(100)));
static MODIFY_BACKUP_ATTRIBUTES_REQUEST: Shape = Shape::Structure(&[
    required("BackupId", &BACKUP_ID),
    required("NeverExpires", &BOOLEAN),
]);
static MODIFY_CLUSTER_REQUEST: Shape = Shape::Structure(&[
    optional("HsmType", &HSM_TYPE),
    optional("BackupRetentionPolicy", &BACKUP_RETENTION_POLICY),
    required("ClusterId", &CLUSTER_ID),
]);
static NETWORK_TYPE: Shape = values(&["IPV4", "DUALSTACK"]);
static NEXT_TOKEN: Shape = text(range(None, Some(256)), Some(&NEXT_TOKEN_PATTERN));
static NEXT_TOKEN_PATTERN: Pattern = Pattern::new(r#".*"#);
static PUT_RESOURCE_POLICY_REQUEST: Shape = Shape::Structure(&[
    optional("ResourceArn", &CLOUD_HSM_ARN),
    optional("Policy", &RESOURCE_POLICY),
]);
static REGION: Shape = text(range(None, None), Some(&REGION_PATTERN));
static REGION_PATTERN: Pattern =
    Pattern::new(r#"[a-z]{2}(-(gov))?-(east|west|north|south|central){1,2}-\d"#);
static RESOURCE_ID: Shape = text(range(None, None), Some(&RESOURCE_ID_PATTERN));
static RESOURCE_ID_PATTERN: Pattern = Pattern::new(r#"(?:cluster|backup)-[2-7a-zA-Z]{11,16}"#);
static RESOURCE_POLICY: Shape = text(range(Some(1), Some(20000)), None);
static RESTORE_BACKUP_REQUEST: Shape = Shape::Structure(&[required("BackupId", &BACKUP_ID)]);
static STRING: Shape = text(range(None, None), None);
static STRINGS: Shape = list(&STRING, range(None, None));
static SUBNET_ID: Shape = text(range(None, None), Some(&SUBNET_ID_PATTERN));
static SUBNET_IDS: Shape = list(&SUBNET_ID, range(Some(1), Some(10)));
static SUBNET_ID_PATTERN: Pattern = Pattern::new(r#"subnet-[0-9a-fA-F]{8,17}"#);
static TAG: Shape = Shape::Structure(&[required("Key", &TAG_KEY), required("Value", &TAG_VALUE)]);
static TAG_KEY: Shape = text(range(Some(1), Some(128)), Some(&TAG_KEY_PATTERN));
static TAG_KEY_LIST: Shape = list(&TAG_KEY, range(Some(1), Some(50)));
static TAG_KEY_PATTERN: Pattern = Pattern::new(r#"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$"#);
static TAG_LIST: Shape = list(&TAG, range(Some(1), Some(50)));
static TAG_RESOURCE_REQUEST: Shape = Shape::Structure(&[
    required("ResourceId", &RESOURCE_ID),
    required("TagList", &TAG_LIST),
]);
static TAG_VALUE: Shape = text(range(Some(0), Some(256)), Some(&TAG_VALUE_PATTERN));
static TAG_VALUE_PATTERN: Pattern = Pattern::new(r#"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$"#);
static UNTAG_RESOURCE_REQUEST: Shape = Shape::Structure(&[
    required("ResourceId", &RESOURCE_ID),
    required("TagKeyList", &TAG_KEY_LIST),
]);
