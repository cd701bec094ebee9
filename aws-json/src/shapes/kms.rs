//! Made by `cargo xtask shapes`: names and constraints of the service's inputs.

use crate::shape::make::*;

/// The service's model.
pub static MODEL: Model = Model {
    target_prefix: "TrentService",
    signing_name: "kms",
    message_member: "message",
    operations: &[
        ("CancelKeyDeletion", &CANCEL_KEY_DELETION_REQUEST),
        ("ConnectCustomKeyStore", &CONNECT_CUSTOM_KEY_STORE_REQUEST),
        ("CreateAlias", &CREATE_ALIAS_REQUEST),
        ("CreateCustomKeyStore", &CREATE_CUSTOM_KEY_STORE_REQUEST),
        ("CreateGrant", &CREATE_GRANT_REQUEST),
        ("CreateKey", &CREATE_KEY_REQUEST),
        ("Decrypt", &DECRYPT_REQUEST),
        ("DeleteAlias", &DELETE_ALIAS_REQUEST),
        ("DeleteCustomKeyStore", &DELETE_CUSTOM_KEY_STORE_REQUEST),
        (
            "DeleteImportedKeyMaterial",
            &DELETE_IMPORTED_KEY_MATERIAL_REQUEST,
        ),
        ("DeriveSharedSecret", &DERIVE_SHARED_SECRET_REQUEST),
        (
            "DescribeCustomKeyStores",
            &DESCRIBE_CUSTOM_KEY_STORES_REQUEST,
        ),
        ("DescribeKey", &DESCRIBE_KEY_REQUEST),
        ("DisableKey", &DISABLE_KEY_REQUEST),
        ("DisableKeyRotation", &DISABLE_KEY_ROTATION_REQUEST),
        (
            "DisconnectCustomKeyStore",
            &DISCONNECT_CUSTOM_KEY_STORE_REQUEST,
        ),
        ("EnableKey", &ENABLE_KEY_REQUEST),
        ("EnableKeyRotation", &ENABLE_KEY_ROTATION_REQUEST),
        ("Encrypt", &ENCRYPT_REQUEST),
        ("GenerateDataKey", &GENERATE_DATA_KEY_REQUEST),
        ("GenerateDataKeyPair", &GENERATE_DATA_KEY_PAIR_REQUEST),
        (
            "GenerateDataKeyPairWithoutPlaintext",
            &GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT_REQUEST,
        ),
        (
            "GenerateDataKeyWithoutPlaintext",
            &GENERATE_DATA_KEY_WITHOUT_PLAINTEXT_REQUEST,
        ),
        ("GenerateMac", &GENERATE_MAC_REQUEST),
        ("GenerateRandom", &GENERATE_RANDOM_REQUEST),
        ("GetKeyLastUsage", &GET_KEY_LAST_USAGE_REQUEST),
        ("GetKeyPolicy", &GET_KEY_POLICY_REQUEST),
        ("GetKeyRotationStatus", &GET_KEY_ROTATION_STATUS_REQUEST),
        ("GetParametersForImport", &GET_PARAMETERS_FOR_IMPORT_REQUEST),
        ("GetPublicKey", &GET_PUBLIC_KEY_REQUEST),
        ("ImportKeyMaterial", &IMPORT_KEY_MATERIAL_REQUEST),
        ("ListAliases", &LIST_ALIASES_REQUEST),
        ("ListGrants", &LIST_GRANTS_REQUEST),
        ("ListKeyPolicies", &LIST_KEY_POLICIES_REQUEST),
        ("ListKeyRotations", &LIST_KEY_ROTATIONS_REQUEST),
        ("ListKeys", &LIST_KEYS_REQUEST),
        ("ListResourceTags", &LIST_RESOURCE_TAGS_REQUEST),
        ("ListRetirableGrants", &LIST_RETIRABLE_GRANTS_REQUEST),
        ("PutKeyPolicy", &PUT_KEY_POLICY_REQUEST),
        ("ReEncrypt", &RE_ENCRYPT_REQUEST),
        ("ReplicateKey", &REPLICATE_KEY_REQUEST),
        ("RetireGrant", &RETIRE_GRANT_REQUEST),
        ("RevokeGrant", &REVOKE_GRANT_REQUEST),
        ("RotateKeyOnDemand", &ROTATE_KEY_ON_DEMAND_REQUEST),
        ("ScheduleKeyDeletion", &SCHEDULE_KEY_DELETION_REQUEST),
        ("Sign", &SIGN_REQUEST),
        ("TagResource", &TAG_RESOURCE_REQUEST),
        ("UntagResource", &UNTAG_RESOURCE_REQUEST),
        ("UpdateAlias", &UPDATE_ALIAS_REQUEST),
        ("UpdateCustomKeyStore", &UPDATE_CUSTOM_KEY_STORE_REQUEST),
        ("UpdateKeyDescription", &UPDATE_KEY_DESCRIPTION_REQUEST),
        ("UpdatePrimaryRegion", &UPDATE_PRIMARY_REGION_REQUEST),
        ("Verify", &VERIFY_REQUEST),
        ("VerifyMac", &VERIFY_MAC_REQUEST),
    ],
};

static ACCOUNT_ID_TYPE: Shape = text(range(Some(12), Some(12)), Some(&ACCOUNT_ID_TYPE_PATTERN));
static ACCOUNT_ID_TYPE_PATTERN: Pattern = Pattern::new(r#"[0-9]{12}"#);
static ALGORITHM_SPEC: Shape = values(&[
    "RSAES_PKCS1_V1_5",
    "RSAES_OAEP_SHA_1",
    "RSAES_OAEP_SHA_256",
    "RSA_AES_KEY_WRAP_SHA_1",
    "RSA_AES_KEY_WRAP_SHA_256",
    "SM2PKE",
]);
static ALIAS_NAME_TYPE: Shape = text(range(Some(1), Some(256)), Some(&ALIAS_NAME_TYPE_PATTERN));
static ALIAS_NAME_TYPE_PATTERN: Pattern = Pattern::new(r#"^[a-zA-Z0-9:/_-]+$"#);
static ATTESTATION_DOCUMENT_TYPE: Shape = blob(range(Some(1), Some(262144)));
static BACKING_KEY_ID_TYPE: Shape = text(
    range(Some(64), Some(64)),
    Some(&BACKING_KEY_ID_TYPE_PATTERN),
);
static BACKING_KEY_ID_TYPE_PATTERN: Pattern = Pattern::new(r#"^[a-f0-9]+$"#);
static BOOLEAN_TYPE: Shape = Shape::Boolean;
static CANCEL_KEY_DELETION_REQUEST: Shape = Shape::Structure(&[required("KeyId", &KEY_ID_TYPE)]);
static CIPHERTEXT_TYPE: Shape = blob(range(Some(1), Some(6144)));
static CLOUD_HSM_CLUSTER_ID_TYPE: Shape = text(
    range(Some(19), Some(24)),
    Some(&CLOUD_HSM_CLUSTER_ID_TYPE_PATTERN),
);
static CLOUD_HSM_CLUSTER_ID_TYPE_PATTERN: Pattern = Pattern::new(r#"cluster-[2-7a-zA-Z]{11,16}"#);
static CONNECT_CUSTOM_KEY_STORE_REQUEST: Shape =
    Shape::Structure(&[required("CustomKeyStoreId", &CUSTOM_KEY_STORE_ID_TYPE)]);
static CREATE_ALIAS_REQUEST: Shape = Shape::Structure(&[
    required("AliasName", &ALIAS_NAME_TYPE),
    required("TargetKeyId", &KEY_ID_TYPE),
]);
static CREATE_CUSTOM_KEY_STORE_REQUEST: Shape = Shape::Structure(&[
    required("CustomKeyStoreName", &CUSTOM_KEY_STORE_NAME_TYPE),
    optional("CloudHsmClusterId", &CLOUD_HSM_CLUSTER_ID_TYPE),
    optional("TrustAnchorCertificate", &TRUST_ANCHOR_CERTIFICATE_TYPE),
    optional("KeyStorePassword", &KEY_STORE_PASSWORD_TYPE),
    optional("CustomKeyStoreType", &CUSTOM_KEY_STORE_TYPE),
    optional("XksProxyUriEndpoint", &XKS_PROXY_URI_ENDPOINT_TYPE),
    optional("XksProxyUriPath", &XKS_PROXY_URI_PATH_TYPE),
    optional(
        "XksProxyVpcEndpointServiceName",
        &XKS_PROXY_VPC_ENDPOINT_SERVICE_NAME_TYPE,
    ),
    optional("XksProxyVpcEndpointServiceOwner", &ACCOUNT_ID_TYPE),
    optional(
        "XksProxyAuthenticationCredential",
        &XKS_PROXY_AUTHENTICATION_CREDENTIAL_TYPE,
    ),
    optional("XksProxyConnectivity", &XKS_PROXY_CONNECTIVITY_TYPE),
]);
static CREATE_GRANT_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    required("GranteePrincipal", &PRINCIPAL_ID_TYPE),
    optional("RetiringPrincipal", &PRINCIPAL_ID_TYPE),
    required("Operations", &GRANT_OPERATION_LIST),
    optional("Constraints", &GRANT_CONSTRAINTS),
    optional("GrantTokens", &GRANT_TOKEN_LIST),
    optional("Name", &GRANT_NAME_TYPE),
    optional("DryRun", &NULLABLE_BOOLEAN_TYPE),
]);
static CREATE_KEY_REQUEST: Shape = Shape::Structure(&[
    optional("Policy", &POLICY_TYPE),
    optional("Description", &DESCRIPTION_TYPE),
    optional("KeyUsage", &KEY_USAGE_TYPE),
    optional("CustomerMasterKeySpec", &CUSTOMER_MASTER_KEY_SPEC),
    optional("KeySpec", &KEY_SPEC),
    optional("Origin", &ORIGIN_TYPE),
    optional("CustomKeyStoreId", &CUSTOM_KEY_STORE_ID_TYPE),
    optional("BypassPolicyLockoutSafetyCheck", &BOOLEAN_TYPE),
    optional("Tags", &TAG_LIST),
    optional("MultiRegion", &NULLABLE_BOOLEAN_TYPE),
    optional("XksKeyId", &XKS_KEY_ID_TYPE),
]);
static CUSTOMER_MASTER_KEY_SPEC: Shape = values(&[
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    "SYMMETRIC_DEFAULT",
    "HMAC_224",
    "HMAC_256",
    "HMAC_384",
    "HMAC_512",
    "SM2",
]);
static CUSTOM_KEY_STORE_ID_TYPE: Shape = text(range(Some(1), Some(64)), None);
static CUSTOM_KEY_STORE_NAME_TYPE: Shape = text(range(Some(1), Some(256)), None);
static CUSTOM_KEY_STORE_TYPE: Shape = values(&["AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"]);
static DATA_KEY_PAIR_SPEC: Shape = values(&[
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    "SM2",
    "ECC_NIST_EDWARDS25519",
]);
static DATA_KEY_SPEC: Shape = values(&["AES_256", "AES_128"]);
static DATE_TYPE: Shape = Shape::Timestamp;
static DECRYPT_REQUEST: Shape = Shape::Structure(&[
    optional("CiphertextBlob", &CIPHERTEXT_TYPE),
    optional("EncryptionContext", &ENCRYPTION_CONTEXT_TYPE),
    optional("GrantTokens", &GRANT_TOKEN_LIST),
    optional("KeyId", &KEY_ID_TYPE),
    optional("EncryptionAlgorithm", &ENCRYPTION_ALGORITHM_SPEC),
    optional("Recipient", &RECIPIENT_INFO),
    optional("DryRun", &NULLABLE_BOOLEAN_TYPE),
    optional("DryRunModifiers", &DRY_RUN_MODIFIER_LIST),
]);
static DELETE_ALIAS_REQUEST: Shape = Shape::Structure(&[required("AliasName", &ALIAS_NAME_TYPE)]);
static DELETE_CUSTOM_KEY_STORE_REQUEST: Shape =
    Shape::Structure(&[required("CustomKeyStoreId", &CUSTOM_KEY_STORE_ID_TYPE)]);
static DELETE_IMPORTED_KEY_MATERIAL_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    optional("KeyMaterialId", &BACKING_KEY_ID_TYPE),
]);
static DERIVE_SHARED_SECRET_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    required("KeyAgreementAlgorithm", &KEY_AGREEMENT_ALGORITHM_SPEC),
    required("PublicKey", &PUBLIC_KEY_TYPE),
    optional("GrantTokens", &GRANT_TOKEN_LIST),
    optional("DryRun", &NULLABLE_BOOLEAN_TYPE),
    optional("Recipient", &RECIPIENT_INFO),
]);
static DESCRIBE_CUSTOM_KEY_STORES_REQUEST: Shape = Shape::Structure(&[
    optional("CustomKeyStoreId", &CUSTOM_KEY_STORE_ID_TYPE),
    optional("CustomKeyStoreName", &CUSTOM_KEY_STORE_NAME_TYPE),
    optional("Limit", &LIMIT_TYPE),
    optional("Marker", &MARKER_TYPE),
]);
static DESCRIBE_KEY_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    optional("GrantTokens", &GRANT_TOKEN_LIST),
]);
static DESCRIPTION_TYPE: Shape = text(range(Some(0), Some(8192)), None);
static DISABLE_KEY_REQUEST: Shape = Shape::Structure(&[required("KeyId", &KEY_ID_TYPE)]);
static DISABLE_KEY_ROTATION_REQUEST: Shape = Shape::Structure(&[required("KeyId", &KEY_ID_TYPE)]);
static DISCONNECT_CUSTOM_KEY_STORE_REQUEST: Shape =
    Shape::Structure(&[required("CustomKeyStoreId", &CUSTOM_KEY_STORE_ID_TYPE)]);
static DRY_RUN_MODIFIER_LIST: Shape = list(&DRY_RUN_MODIFIER_TYPE, range(None, None));
static DRY_RUN_MODIFIER_TYPE: Shape = values(&["IGNORE_CIPHERTEXT"]);
static ENABLE_KEY_REQUEST: Shape = Shape::Structure(&[required("KeyId", &KEY_ID_TYPE)]);
static ENABLE_KEY_ROTATION_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    optional("RotationPeriodInDays", &ROTATION_PERIOD_IN_DAYS_TYPE),
]);
static ENCRYPTION_ALGORITHM_SPEC: Shape = values(&[
    "SYMMETRIC_DEFAULT",
    "RSAES_OAEP_SHA_1",
    "RSAES_OAEP_SHA_256",
    "SM2PKE",
]);
static ENCRYPTION_CONTEXT_KEY: Shape = text(range(None, None), None);
static ENCRYPTION_CONTEXT_TYPE: Shape = map(
    &ENCRYPTION_CONTEXT_KEY,
    &ENCRYPTION_CONTEXT_VALUE,
    range(None, None),
);
static ENCRYPTION_CONTEXT_VALUE: Shape = text(range(None, None), None);
static ENCRYPT_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    required("Plaintext", &PLAINTEXT_TYPE),
    optional("EncryptionContext", &ENCRYPTION_CONTEXT_TYPE),
    optional("GrantTokens", &GRANT_TOKEN_LIST),
    optional("EncryptionAlgorithm", &ENCRYPTION_ALGORITHM_SPEC),
    optional("DryRun", &NULLABLE_BOOLEAN_TYPE),
]);
static EXPIRATION_MODEL_TYPE: Shape =
    values(&["KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE"]);
static GENERATE_DATA_KEY_PAIR_REQUEST: Shape = Shape::Structure(&[
    optional("EncryptionContext", &ENCRYPTION_CONTEXT_TYPE),
    required("KeyId", &KEY_ID_TYPE),
    required("KeyPairSpec", &DATA_KEY_PAIR_SPEC),
    optional("GrantTokens", &GRANT_TOKEN_LIST),
    optional("Recipient", &RECIPIENT_INFO),
    optional("DryRun", &NULLABLE_BOOLEAN_TYPE),
]);
static GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT_REQUEST: Shape = Shape::Structure(&[
    optional("EncryptionContext", &ENCRYPTION_CONTEXT_TYPE),
    required("KeyId", &KEY_ID_TYPE),
    required("KeyPairSpec", &DATA_KEY_PAIR_SPEC),
    optional("GrantTokens", &GRANT_TOKEN_LIST),
    optional("DryRun", &NULLABLE_BOOLEAN_TYPE),
]);
static GENERATE_DATA_KEY_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    optional("EncryptionContext", &ENCRYPTION_CONTEXT_TYPE),
    optional("NumberOfBytes", &NUMBER_OF_BYTES_TYPE),
    optional("KeySpec", &DATA_KEY_SPEC),
    optional("GrantTokens", &GRANT_TOKEN_LIST),
    optional("Recipient", &RECIPIENT_INFO),
    optional("DryRun", &NULLABLE_BOOLEAN_TYPE),
]);
static GENERATE_DATA_KEY_WITHOUT_PLAINTEXT_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    optional("EncryptionContext", &ENCRYPTION_CONTEXT_TYPE),
    optional("KeySpec", &DATA_KEY_SPEC),
    optional("NumberOfBytes", &NUMBER_OF_BYTES_TYPE),
    optional("GrantTokens", &GRANT_TOKEN_LIST),
    optional("DryRun", &NULLABLE_BOOLEAN_TYPE),
]);
static GENERATE_MAC_REQUEST: Shape = Shape::Structure(&[
    required("Message", &PLAINTEXT_TYPE),
    required("KeyId", &KEY_ID_TYPE),
    required("MacAlgorithm", &MAC_ALGORITHM_SPEC),
    optional("GrantTokens", &GRANT_TOKEN_LIST),
    optional("DryRun", &NULLABLE_BOOLEAN_TYPE),
]);
static GENERATE_RANDOM_REQUEST: Shape = Shape::Structure(&[
    optional("NumberOfBytes", &NUMBER_OF_BYTES_TYPE),
    optional("CustomKeyStoreId", &CUSTOM_KEY_STORE_ID_TYPE),
    optional("Recipient", &RECIPIENT_INFO),
]);
static GET_KEY_LAST_USAGE_REQUEST: Shape = Shape::Structure(&[required("KeyId", &KEY_ID_TYPE)]);
static GET_KEY_POLICY_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    optional("PolicyName", &POLICY_NAME_TYPE),
]);
static GET_KEY_ROTATION_STATUS_REQUEST: Shape =
    Shape::Structure(&[required("KeyId", &KEY_ID_TYPE)]);
static GET_PARAMETERS_FOR_IMPORT_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    required("WrappingAlgorithm", &ALGORITHM_SPEC),
    required("WrappingKeySpec", &WRAPPING_KEY_SPEC),
]);
static GET_PUBLIC_KEY_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    optional("GrantTokens", &GRANT_TOKEN_LIST),
]);
static GRANT_CONSTRAINTS: Shape = Shape::Structure(&[
    optional("EncryptionContextSubset", &ENCRYPTION_CONTEXT_TYPE),
    optional("EncryptionContextEquals", &ENCRYPTION_CONTEXT_TYPE),
]);
static GRANT_ID_TYPE: Shape = text(range(Some(1), Some(128)), None);
static GRANT_NAME_TYPE: Shape = text(range(Some(1), Some(256)), Some(&GRANT_NAME_TYPE_PATTERN));
static GRANT_NAME_TYPE_PATTERN: Pattern = Pattern::new(r#"^[a-zA-Z0-9:/_-]+$"#);
static GRANT_OPERATION: Shape = values(&[
    "Decrypt",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
    "Sign",
    "Verify",
    "GetPublicKey",
    "CreateGrant",
    "RetireGrant",
    "DescribeKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateMac",
    "VerifyMac",
    "DeriveSharedSecret",
]);
static GRANT_OPERATION_LIST: Shape = list(&GRANT_OPERATION, range(None, None));
static GRANT_TOKEN_LIST: Shape = list(&GRANT_TOKEN_TYPE, range(Some(0), Some(10)));
static GRANT_TOKEN_TYPE: Shape = text(range(Some(1), Some(8192)), None);
static IMPORT_KEY_MATERIAL_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    required("ImportToken", &CIPHERTEXT_TYPE),
    required("EncryptedKeyMaterial", &CIPHERTEXT_TYPE),
    optional("ValidTo", &DATE_TYPE),
    optional("ExpirationModel", &EXPIRATION_MODEL_TYPE),
    optional("ImportType", &IMPORT_TYPE),
    optional("KeyMaterialDescription", &KEY_MATERIAL_DESCRIPTION_TYPE),
    optional("KeyMaterialId", &BACKING_KEY_ID_TYPE),
]);
static IMPORT_TYPE: Shape = values(&["NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL"]);
static INCLUDE_KEY_MATERIAL: Shape = values(&["ALL_KEY_MATERIAL", "ROTATIONS_ONLY"]);
static KEY_AGREEMENT_ALGORITHM_SPEC: Shape = values(&["ECDH"]);
static KEY_ENCRYPTION_MECHANISM: Shape = values(&["RSAES_OAEP_SHA_256"]);
static KEY_ID_TYPE: Shape = text(range(Some(1), Some(2048)), None);
static KEY_MATERIAL_DESCRIPTION_TYPE: Shape = text(
    range(Some(0), Some(256)),
    Some(&KEY_MATERIAL_DESCRIPTION_TYPE_PATTERN),
);
static KEY_MATERIAL_DESCRIPTION_TYPE_PATTERN: Pattern = Pattern::new(r#"^[a-zA-Z0-9:/_\s.-]+$"#);
static KEY_SPEC: Shape = values(&[
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    "SYMMETRIC_DEFAULT",
    "HMAC_224",
    "HMAC_256",
    "HMAC_384",
    "HMAC_512",
    "SM2",
    "ML_DSA_44",
    "ML_DSA_65",
    "ML_DSA_87",
    "ECC_NIST_EDWARDS25519",
]);
static KEY_STORE_PASSWORD_TYPE: Shape = secret_text(range(Some(7), Some(32)), None);
static KEY_USAGE_TYPE: Shape = values(&[
    "SIGN_VERIFY",
    "ENCRYPT_DECRYPT",
    "GENERATE_VERIFY_MAC",
    "KEY_AGREEMENT",
]);
static LIMIT_TYPE: Shape = Shape::Integer(range(Some(1), Some(1000)));
static LIST_ALIASES_REQUEST: Shape = Shape::Structure(&[
    optional("KeyId", &KEY_ID_TYPE),
    optional("Limit", &LIMIT_TYPE),
    optional("Marker", &MARKER_TYPE),
]);
static LIST_GRANTS_REQUEST: Shape = Shape::Structure(&[
    optional("Limit", &LIMIT_TYPE),
    optional("Marker", &MARKER_TYPE),
    required("KeyId", &KEY_ID_TYPE),
    optional("GrantId", &GRANT_ID_TYPE),
    optional("GranteePrincipal", &PRINCIPAL_ID_TYPE),
]);
static LIST_KEYS_REQUEST: Shape = Shape::Structure(&[
    optional("Limit", &LIMIT_TYPE),
    optional("Marker", &MARKER_TYPE),
]);
static LIST_KEY_POLICIES_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    optional("Limit", &LIMIT_TYPE),
    optional("Marker", &MARKER_TYPE),
]);
static LIST_KEY_ROTATIONS_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    optional("IncludeKeyMaterial", &INCLUDE_KEY_MATERIAL),
    optional("Limit", &LIMIT_TYPE),
    optional("Marker", &MARKER_TYPE),
]);
static LIST_RESOURCE_TAGS_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    optional("Limit", &LIMIT_TYPE),
    optional("Marker", &MARKER_TYPE),
]);
static LIST_RETIRABLE_GRANTS_REQUEST: Shape = Shape::Structure(&[
    optional("Limit", &LIMIT_TYPE),
    optional("Marker", &MARKER_TYPE),
    required("RetiringPrincipal", &PRINCIPAL_ID_TYPE),
]);
static MAC_ALGORITHM_SPEC: Shape = values(&[
    "HMAC_SHA_224",
    "HMAC_SHA_256",
    "HMAC_SHA_384",
    "HMAC_SHA_512",
]);
static MARKER_TYPE: Shape = text(range(Some(1), Some(1024)), Some(&MARKER_TYPE_PATTERN));
static MARKER_TYPE_PATTERN: Pattern = Pattern::new(r#"[\u0020-\u00FF]*"#);
static MESSAGE_TYPE: Shape = values(&["RAW", "DIGEST", "EXTERNAL_MU"]);
static NULLABLE_BOOLEAN_TYPE: Shape = Shape::Boolean;
static NUMBER_OF_BYTES_TYPE: Shape = Shape::Integer(range(Some(1), Some(1024)));
static ORIGIN_TYPE: Shape = values(&["AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"]);
static PENDING_WINDOW_IN_DAYS_TYPE: Shape = Shape::Integer(range(Some(1), Some(365)));
static PLAINTEXT_TYPE: Shape = secret_blob(range(Some(1), Some(4096)));
static POLICY_NAME_TYPE: Shape = text(range(Some(1), Some(128)), Some(&POLICY_NAME_TYPE_PATTERN));
static POLICY_NAME_TYPE_PATTERN: Pattern = Pattern::new(r#"[\w]+"#);
static POLICY_TYPE: Shape = text(range(Some(1), Some(131072)), Some(&POLICY_TYPE_PATTERN));
static POLICY_TYPE_PATTERN: Pattern = Pattern::new(r#"[\u0009\u000A\u000D\u0020-\u00FF]+"#);
static PRINCIPAL_ID_TYPE: Shape = text(range(Some(1), Some(256)), Some(&PRINCIPAL_ID_TYPE_PATTERN));
static PRINCIPAL_ID_TYPE_PATTERN: Pattern = Pattern::new(r#"^[\w+=,.@:/-]+$"#);
static PUBLIC_KEY_TYPE: Shape = blob(range(Some(1), Some(8192)));
static PUT_KEY_POLICY_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    optional("PolicyName", &POLICY_NAME_TYPE),
    required("Policy", &POLICY_TYPE),
    optional("BypassPolicyLockoutSafetyCheck", &BOOLEAN_TYPE),
]);
static RECIPIENT_INFO: Shape = Shape::Structure(&[
    optional("KeyEncryptionAlgorithm", &KEY_ENCRYPTION_MECHANISM),
    optional("AttestationDocument", &ATTESTATION_DOCUMENT_TYPE),
]);
static REGION_TYPE: Shape = text(range(Some(1), Some(32)), Some(&REGION_TYPE_PATTERN));
static REGION_TYPE_PATTERN: Pattern = Pattern::new(r#"^([a-z]+-){2,3}\d+$"#);
static REPLICATE_KEY_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    required("ReplicaRegion", &REGION_TYPE),
    optional("Policy", &POLICY_TYPE),
    optional("BypassPolicyLockoutSafetyCheck", &BOOLEAN_TYPE),
    optional("Description", &DESCRIPTION_TYPE),
    optional("Tags", &TAG_LIST),
]);
static RETIRE_GRANT_REQUEST: Shape = Shape::Structure(&[
    optional("GrantToken", &GRANT_TOKEN_TYPE),
    optional("KeyId", &KEY_ID_TYPE),
    optional("GrantId", &GRANT_ID_TYPE),
    optional("DryRun", &NULLABLE_BOOLEAN_TYPE),
]);
static REVOKE_GRANT_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    required("GrantId", &GRANT_ID_TYPE),
    optional("DryRun", &NULLABLE_BOOLEAN_TYPE),
]);
static RE_ENCRYPT_REQUEST: Shape = Shape::Structure(&[
    optional("CiphertextBlob", &CIPHERTEXT_TYPE),
    optional("SourceEncryptionContext", &ENCRYPTION_CONTEXT_TYPE),
    optional("SourceKeyId", &KEY_ID_TYPE),
    required("DestinationKeyId", &KEY_ID_TYPE),
    optional("DestinationEncryptionContext", &ENCRYPTION_CONTEXT_TYPE),
    optional("SourceEncryptionAlgorithm", &ENCRYPTION_ALGORITHM_SPEC),
    optional("DestinationEncryptionAlgorithm", &ENCRYPTION_ALGORITHM_SPEC),
    optional("GrantTokens", &GRANT_TOKEN_LIST),
    optional("DryRun", &NULLABLE_BOOLEAN_TYPE),
    optional("DryRunModifiers", &DRY_RUN_MODIFIER_LIST),
]);
static ROTATE_KEY_ON_DEMAND_REQUEST: Shape = Shape::Structure(&[required("KeyId", &KEY_ID_TYPE)]);
static ROTATION_PERIOD_IN_DAYS_TYPE: Shape = Shape::Integer(range(Some(90), Some(2560)));
static SCHEDULE_KEY_DELETION_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    optional("PendingWindowInDays", &PENDING_WINDOW_IN_DAYS_TYPE),
]);
static SIGNING_ALGORITHM_SPEC: Shape = values(&[
    "RSASSA_PSS_SHA_256",
    "RSASSA_PSS_SHA_384",
    "RSASSA_PSS_SHA_512",
    "RSASSA_PKCS1_V1_5_SHA_256",
    "RSASSA_PKCS1_V1_5_SHA_384",
    "RSASSA_PKCS1_V1_5_SHA_512",
    "ECDSA_SHA_256",
    "ECDSA_SHA_384",
    "ECDSA_SHA_512",
    "SM2DSA",
    "ML_DSA_SHAKE_256",
    "ED25519_SHA_512",
    "ED25519_PH_SHA_512",
]);
static SIGN_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    required("Message", &PLAINTEXT_TYPE),
    optional("MessageType", &MESSAGE_TYPE),
    optional("GrantTokens", &GRANT_TOKEN_LIST),
    required("SigningAlgorithm", &SIGNING_ALGORITHM_SPEC),
    optional("DryRun", &NULLABLE_BOOLEAN_TYPE),
]);
static TAG: Shape = Shape::Structure(&[
    required("TagKey", &TAG_KEY_TYPE),
    required("TagValue", &TAG_VALUE_TYPE),
]);
static TAG_KEY_LIST: Shape = list(&TAG_KEY_TYPE, range(None, None));
static TAG_KEY_TYPE: Shape = text(range(Some(1), Some(128)), None);
static TAG_LIST: Shape = list(&TAG, range(None, None));
static TAG_RESOURCE_REQUEST: Shape =
    Shape::Structure(&[required("KeyId", &KEY_ID_TYPE), required("Tags", &TAG_LIST)]);
static TAG_VALUE_TYPE: Shape = text(range(Some(0), Some(256)), None);
static TRUST_ANCHOR_CERTIFICATE_TYPE: Shape = text(range(Some(1), Some(5000)), None);
static UNTAG_RESOURCE_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    required("TagKeys", &TAG_KEY_LIST),
]);
static UPDATE_ALIAS_REQUEST: Shape = Shape::Structure(&[
    required("AliasName", &ALIAS_NAME_TYPE),
    required("TargetKeyId", &KEY_ID_TYPE),
]);
static UPDATE_CUSTOM_KEY_STORE_REQUEST: Shape = Shape::Structure(&[
    required("CustomKeyStoreId", &CUSTOM_KEY_STORE_ID_TYPE),
    optional("NewCustomKeyStoreName", &CUSTOM_KEY_STORE_NAME_TYPE),
    optional("KeyStorePassword", &KEY_STORE_PASSWORD_TYPE),
    optional("CloudHsmClusterId", &CLOUD_HSM_CLUSTER_ID_TYPE),
    optional("XksProxyUriEndpoint", &XKS_PROXY_URI_ENDPOINT_TYPE),
    optional("XksProxyUriPath", &XKS_PROXY_URI_PATH_TYPE),
    optional(
        "XksProxyVpcEndpointServiceName",
        &XKS_PROXY_VPC_ENDPOINT_SERVICE_NAME_TYPE,
    ),
    optional("XksProxyVpcEndpointServiceOwner", &ACCOUNT_ID_TYPE),
    optional(
        "XksProxyAuthenticationCredential",
        &XKS_PROXY_AUTHENTICATION_CREDENTIAL_TYPE,
    ),
    optional("XksProxyConnectivity", &XKS_PROXY_CONNECTIVITY_TYPE),
]);
static UPDATE_KEY_DESCRIPTION_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    required("Description", &DESCRIPTION_TYPE),
]);
static UPDATE_PRIMARY_REGION_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    required("PrimaryRegion", &REGION_TYPE),
]);
static VERIFY_MAC_REQUEST: Shape = Shape::Structure(&[
    required("Message", &PLAINTEXT_TYPE),
    required("KeyId", &KEY_ID_TYPE),
    required("MacAlgorithm", &MAC_ALGORITHM_SPEC),
    required("Mac", &CIPHERTEXT_TYPE),
    optional("GrantTokens", &GRANT_TOKEN_LIST),
    optional("DryRun", &NULLABLE_BOOLEAN_TYPE),
]);
static VERIFY_REQUEST: Shape = Shape::Structure(&[
    required("KeyId", &KEY_ID_TYPE),
    required("Message", &PLAINTEXT_TYPE),
    optional("MessageType", &MESSAGE_TYPE),
    required("Signature", &CIPHERTEXT_TYPE),
    required("SigningAlgorithm", &SIGNING_ALGORITHM_SPEC),
    optional("GrantTokens", &GRANT_TOKEN_LIST),
    optional("DryRun", &NULLABLE_BOOLEAN_TYPE),
]);
static WRAPPING_KEY_SPEC: Shape = values(&["RSA_2048", "RSA_3072", "RSA_4096", "SM2"]);
static XKS_KEY_ID_TYPE: Shape = text(range(Some(1), Some(128)), Some(&XKS_KEY_ID_TYPE_PATTERN));
static XKS_KEY_ID_TYPE_PATTERN: Pattern = Pattern::new(r#"^[a-zA-Z0-9-_.]+$"#);
static XKS_PROXY_AUTHENTICATION_ACCESS_KEY_ID_TYPE: Shape = secret_text(
    range(Some(20), Some(30)),
    Some(&XKS_PROXY_AUTHENTICATION_ACCESS_KEY_ID_TYPE_PATTERN),
);
static XKS_PROXY_AUTHENTICATION_ACCESS_KEY_ID_TYPE_PATTERN: Pattern =
    Pattern::new(r#"^[A-Z2-7]+$"#);
static XKS_PROXY_AUTHENTICATION_CREDENTIAL_TYPE: Shape = Shape::Structure(&[
    required("AccessKeyId", &XKS_PROXY_AUTHENTICATION_ACCESS_KEY_ID_TYPE),
    required(
        "RawSecretAccessKey",
        &XKS_PROXY_AUTHENTICATION_RAW_SECRET_ACCESS_KEY_TYPE,
    ),
]);
static XKS_PROXY_AUTHENTICATION_RAW_SECRET_ACCESS_KEY_TYPE: Shape = secret_text(
    range(Some(43), Some(64)),
    Some(&XKS_PROXY_AUTHENTICATION_RAW_SECRET_ACCESS_KEY_TYPE_PATTERN),
);
static XKS_PROXY_AUTHENTICATION_RAW_SECRET_ACCESS_KEY_TYPE_PATTERN: Pattern =
    Pattern::new(r#"^[a-zA-Z0-9\/+=]+$"#);
static XKS_PROXY_CONNECTIVITY_TYPE: Shape = values(&["PUBLIC_ENDPOINT", "VPC_ENDPOINT_SERVICE"]);
static XKS_PROXY_URI_ENDPOINT_TYPE: Shape = text(
    range(Some(10), Some(128)),
    Some(&XKS_PROXY_URI_ENDPOINT_TYPE_PATTERN),
);
static XKS_PROXY_URI_ENDPOINT_TYPE_PATTERN: Pattern = Pattern::new(r#"^https://[a-zA-Z0-9.-]+$"#);
static XKS_PROXY_URI_PATH_TYPE: Shape = text(
    range(Some(10), Some(128)),
    Some(&XKS_PROXY_URI_PATH_TYPE_PATTERN),
);
static XKS_PROXY_URI_PATH_TYPE_PATTERN: Pattern =
    Pattern::new(r#"^(/[a-zA-Z0-9\/_-]+/kms/xks/v\d{1,2})$|^(/kms/xks/v\d{1,2})$"#);
static XKS_PROXY_VPC_ENDPOINT_SERVICE_NAME_TYPE: Shape = text(
    range(Some(20), Some(64)),
    Some(&XKS_PROXY_VPC_ENDPOINT_SERVICE_NAME_TYPE_PATTERN),
);
static XKS_PROXY_VPC_ENDPOINT_SERVICE_NAME_TYPE_PATTERN: Pattern =
    Pattern::new(r#"^(com|eu)\.amazonaws\.vpce\.([a-z]+-){2,3}\d+\.vpce-svc-[0-9a-z]+$"#);
