//! `keystead demo`: the whole story on a temporary directory, told step by step. It uses only what
//! users have: signed requests to the two services, the management commands, and the module through
//! PKCS#11. It ends by itself and leaves nothing.

mod ca;
mod hsm_keys;
mod say;
mod up;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::aws::{Aws, Refusal, Service};
use say::{Progress, Teller};
use up::Up;

/// Long enough for a slow machine; steps take far less.
const LIMIT: Duration = Duration::from_secs(60);
const OFFICER_PASSWORD: &str = "Officer4Demo";
const FIRST_PASSWORD: &str = "kmsPswd";
const AUDIT_PASSWORD: &str = "tempPassword";

type Told<T> = Result<(T, Option<String>), String>;

/// Tells the story.
pub fn run() -> Result<(), String> {
    println!(
        "Keystead: KMS keys whose material lives in a cluster of hardware security modules (simulated here).\n\
         Everything below happens in a temporary directory, through the interfaces that you would use."
    );
    let dir = tempfile::Builder::new().prefix("keystead-demo-").tempdir().map_err(|e| format!("temporary directory: {e}"))?;
    let mut teller = Teller::new();
    let result = story(&mut teller, dir.path());
    let at = dir.path().to_owned();
    dir.close().map_err(|error| format!("removing {}: {error}", at.display()))?;
    result?;
    println!("\nThe end: {}. Nothing is left running, and nothing on disk.", teller.end());
    println!("Next: `keystead up`, then point the AWS CLI at it (README, \"With the AWS CLI\").");
    Ok(())
}

fn story(tell: &mut Teller, dir: &Path) -> Result<(), String> {
    let up = tell.step("Start the service with nothing in it", "keystead up --bare", |p| {
        Up::start(dir, p).map(|up| (up, None))
    })?;
    let mut cast = Cast { aws: Aws::new(&up.url), up, cluster: String::new(), store: String::new() };
    tell.chapter("A cluster of two HSMs");
    cast.cluster(tell)?;
    tell.chapter("A custom key store on it");
    cast.key_store(tell)?;
    tell.chapter("Keys that never leave the HSMs");
    let keys = cast.keys(tell)?;
    tell.chapter("What the HSMs hold: log in as kmsuser, as the guide says");
    cast.audit(tell, &keys)?;
    tell.chapter("An HSM dies");
    cast.failure(tell, &keys)?;
    tell.chapter("Disconnect, reconnect, delete");
    cast.disconnect(tell, &keys)?;
    tell.step("Stop the service", "SIGTERM", |_| cast.up.stop().map(|()| ((), None)))
}

/// The service, and what the story has made in it so far.
struct Cast {
    up: Up,
    aws: Aws,
    cluster: String,
    store: String,
}

/// What the key chapter leaves for the later ones.
struct Keys {
    arns: [String; 2],
    ciphertext: String,
    plaintext: String,
}

impl Cast {
    fn kms(&self, operation: &str, body: Value) -> Result<Value, String> {
        self.aws.call(Service::Kms, operation, &body).map_err(|refusal| refusal.to_string())
    }

    fn hsm(&self, operation: &str, body: Value) -> Result<Value, String> {
        self.aws.call(Service::CloudHsm, operation, &body).map_err(|refusal| refusal.to_string())
    }

    /// A call that must be refused with `code`.
    fn refused(&self, operation: &str, body: Value, code: &str) -> Told<()> {
        match self.aws.call(Service::Kms, operation, &body) {
            Err(Refusal { code: got, message }) if got == code => {
                let says = if message.is_empty() { String::new() } else { format!(" ({message})") };
                Ok(((), Some(format!("Refused, as it must be: {code}{says}"))))
            }
            Err(other) => Err(format!("expected {code}, but the answer was {other}")),
            Ok(_) => Err(format!("expected {code}, but it was done")),
        }
    }

    fn cluster_now(&self) -> Result<Value, String> {
        let all = self.hsm("DescribeClusters", json!({ "Filters": { "clusterIds": [self.cluster] } }))?;
        Ok(all["Clusters"][0].clone())
    }

    fn until_cluster(&self, p: &Progress, state: &str) -> Result<Value, String> {
        p.until(LIMIT, || Ok(Some(self.cluster_now()?).filter(|c| c["State"] == state)))
            .map_err(|error| format!("the cluster should become {state}: {error}"))
    }

    fn active_hsms(&self) -> Result<Vec<Value>, String> {
        let cluster = self.cluster_now()?;
        let hsms = cluster["Hsms"].as_array().cloned().unwrap_or_default();
        Ok(hsms.into_iter().filter(|hsm| hsm["State"] == "ACTIVE").collect())
    }

    fn create_hsm(&self, p: &Progress, zone: &str) -> Told<Value> {
        let before = self.active_hsms()?.len();
        self.hsm("CreateHsm", json!({ "ClusterId": self.cluster, "AvailabilityZone": zone }))?;
        let hsms = p.until(LIMIT, || Ok(Some(self.active_hsms()?).filter(|hsms| hsms.len() > before)))?;
        let hsm = hsms.into_iter().find(|hsm| hsm["AvailabilityZone"] == zone).ok_or("the new HSM is not listed")?;
        let words = format!("An HSM in zone {zone}: {}, at {}", text(&hsm["HsmId"]), text(&hsm["EniIp"]));
        Ok((hsm, Some(words)))
    }

    fn cluster(&mut self, tell: &mut Teller) -> Result<(), String> {
        let subnets = self.aws.simulation("vpc/subnets", &json!({})).map_err(|r| r.to_string())?;
        let subnets = subnets.as_array().cloned().unwrap_or_default();
        let [first, second, ..] = &subnets[..] else { return Err("fewer than two subnets in the simulated VPC".into()) };
        let zones = [text(&first["AvailabilityZone"]), text(&second["AvailabilityZone"])];
        let ids = json!([first["SubnetId"], second["SubnetId"]]);

        self.cluster = tell.step("Create a cluster", "cloudhsmv2 create-cluster --hsm-type hsm2m.medium --subnet-ids ...", |_| {
            let made = self.hsm("CreateCluster", json!({ "HsmType": "hsm2m.medium", "SubnetIds": ids }))?;
            let id = text(&made["Cluster"]["ClusterId"]);
            Ok((id.clone(), Some(format!("A cluster over two private subnets: {id}"))))
        })?;
        tell.step("Create the first HSM", "cloudhsmv2 create-hsm", |p| {
            self.until_cluster(p, "UNINITIALIZED")?;
            self.create_hsm(p, &zones[0])
        })?;
        let csr = tell.step("Fetch the certificate signing request that the HSM made", "cloudhsmv2 describe-clusters", |p| {
            p.until(LIMIT, || Ok(self.cluster_now()?["Certificates"]["ClusterCsr"].as_str().map(str::to_owned)))
                .map(|csr| (csr, None))
        })?;
        let (anchor, signed) = tell.step("Make a certificate authority (customerCA.crt) and sign the request", "your own CA; openssl in the README", |_| {
            ca::sign(&csr).map(|pems| (pems, None))
        })?;
        std::fs::write(self.up.anchor(), &anchor).map_err(|e| format!("customerCA.crt: {e}"))?;
        tell.step("Initialize the cluster with the signed certificate", "cloudhsmv2 initialize-cluster", |p| {
            self.hsm("InitializeCluster", json!({ "ClusterId": self.cluster, "SignedCert": signed, "TrustAnchor": anchor }))?;
            self.until_cluster(p, "INITIALIZED").map(|_| ((), None))
        })?;
        tell.step("Activate it: the first officer's password", "mgmt: loginHSM PRECO admin password; changePswd PRECO admin ...", |p| {
            self.up.mgmt(&format!("loginHSM PRECO admin password\nchangePswd PRECO admin {OFFICER_PASSWORD}\ny\nlogoutHSM"))?;
            self.until_cluster(p, "ACTIVE").map(|_| ((), None))
        })?;
        tell.step("Create a second HSM in the other zone", "cloudhsmv2 create-hsm", |p| self.create_hsm(p, &zones[1]))?;
        Ok(())
    }

    fn store_now(&self) -> Result<Value, String> {
        let all = self.kms("DescribeCustomKeyStores", json!({ "CustomKeyStoreId": self.store }))?;
        Ok(all["CustomKeyStores"][0].clone())
    }

    fn until_store(&self, p: &Progress, state: &str) -> Result<(), String> {
        p.until(LIMIT, || {
            let store = self.store_now()?;
            match store["ConnectionErrorCode"].as_str() {
                Some(code) if state != "FAILED" => Err(format!("connection failed: {code}")),
                _ => Ok((store["ConnectionState"] == state).then_some(())),
            }
        })
    }

    fn connect(&self, p: &Progress) -> Result<(), String> {
        self.kms("ConnectCustomKeyStore", json!({ "CustomKeyStoreId": self.store }))?;
        self.until_store(p, "CONNECTED")
    }

    fn disconnect_store(&self, p: &Progress) -> Result<(), String> {
        self.kms("DisconnectCustomKeyStore", json!({ "CustomKeyStoreId": self.store }))?;
        self.until_store(p, "DISCONNECTED")
    }

    fn key_store(&mut self, tell: &mut Teller) -> Result<(), String> {
        tell.step("Create the crypto user that KMS will log in as", "mgmt: createUser CU kmsuser kmsPswd", |_| {
            self.up.mgmt(&format!("loginHSM CO admin {OFFICER_PASSWORD}\ncreateUser CU kmsuser {FIRST_PASSWORD}\ny\nlogoutHSM"))?;
            Ok(((), None))
        })?;
        let anchor = std::fs::read_to_string(self.up.anchor()).map_err(|e| format!("customerCA.crt: {e}"))?;
        let values = json!({
            "CustomKeyStoreName": "ExampleKeyStore", "CloudHsmClusterId": self.cluster,
            "KeyStorePassword": FIRST_PASSWORD, "TrustAnchorCertificate": anchor,
        });
        self.store = tell.step("Create the key store", "kms create-custom-key-store", |_| {
            let id = text(&self.kms("CreateCustomKeyStore", values.clone())?["CustomKeyStoreId"]);
            Ok((id.clone(), Some(format!("A custom key store for the cluster: {id}"))))
        })?;
        tell.step("Create it once more with the same values", "kms create-custom-key-store", |_| {
            let id = text(&self.kms("CreateCustomKeyStore", values.clone())?["CustomKeyStoreId"]);
            if id != self.store {
                return Err(format!("another id came back: {id}"));
            }
            Ok(((), Some("Once more with the same values: the same id comes back".into())))
        })?;
        tell.step("Connect: KMS logs in as kmsuser and changes its password to one that only it knows", "kms connect-custom-key-store", |p| {
            self.connect(p).map(|()| ((), None))
        })?;
        tell.step("Try the old password", "PKCS#11 C_Login kmsuser:kmsPswd", |_| {
            let why = hsm_keys::login_refused(&self.up, &self.cluster_now()?, FIRST_PASSWORD)?;
            Ok(((), Some(format!("The old password no longer logs in: {why}"))))
        })
    }

    fn keys(&self, tell: &mut Teller) -> Result<Keys, String> {
        let mut arns = [String::new(), String::new()];
        for (n, arn) in arns.iter_mut().enumerate() {
            *arn = tell.step("Create a KMS key in the key store", "kms create-key --origin AWS_CLOUDHSM", |_| {
                let made = self.kms("CreateKey", json!({ "Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": self.store, "Description": format!("demo key {}", n + 1) }))?;
                let arn = text(&made["KeyMetadata"]["Arn"]);
                Ok((arn.clone(), Some(format!("An AES-256 key, made inside the HSMs: {arn}"))))
            })?;
        }
        let [first, second] = &arns;
        let plaintext = "a2V5c3RlYWQ6IHRoZSBtYWluIGpvYg==".to_owned();
        let context = json!({ "purpose": "demo" });
        let ciphertext = tell.step("Encrypt under the first", "kms encrypt --encryption-context purpose=demo", |_| {
            let made = self.kms("Encrypt", json!({ "KeyId": first, "Plaintext": plaintext, "EncryptionContext": context }))?;
            Ok((text(&made["CiphertextBlob"]), None))
        })?;
        tell.step("Decrypt", "kms decrypt", |_| self.decrypts(&ciphertext, &context, &plaintext, first))?;
        tell.step("Re-encrypt under the second without seeing the plaintext", "kms re-encrypt", |_| {
            let made = self.kms("ReEncrypt", json!({ "CiphertextBlob": ciphertext, "SourceEncryptionContext": context, "DestinationKeyId": second }))?;
            self.decrypts(&text(&made["CiphertextBlob"]), &json!({}), &plaintext, second)?;
            Ok(((), None))
        })?;
        tell.step("Generate a data key", "kms generate-data-key --key-spec AES_256", |_| {
            let made = self.kms("GenerateDataKey", json!({ "KeyId": first, "KeySpec": "AES_256" }))?;
            self.decrypts(&text(&made["CiphertextBlob"]), &json!({}), &text(&made["Plaintext"]), first)?;
            Ok(((), None))
        })?;
        tell.step("Decrypt with another encryption context", "kms decrypt --encryption-context purpose=other", |_| {
            self.refused("Decrypt", json!({ "CiphertextBlob": ciphertext, "EncryptionContext": { "purpose": "other" } }), "InvalidCiphertextException")
        })?;
        Ok(Keys { arns, ciphertext, plaintext })
    }

    fn decrypts(&self, ciphertext: &str, context: &Value, plaintext: &str, key: &str) -> Told<()> {
        let opened = self.kms("Decrypt", json!({ "CiphertextBlob": ciphertext, "EncryptionContext": context }))?;
        if opened["Plaintext"] != plaintext || opened["KeyId"] != key {
            return Err("Decrypt answered with another plaintext or key".into());
        }
        Ok(((), None))
    }

    fn audit(&self, tell: &mut Teller, keys: &Keys) -> Result<(), String> {
        tell.step("Disconnect, and give kmsuser a password for the audit", "kms disconnect-custom-key-store; mgmt: changePswd CU kmsuser ...", |p| {
            self.disconnect_store(p)?;
            self.up.mgmt(&format!("loginHSM CO admin {OFFICER_PASSWORD}\nchangePswd CU kmsuser {AUDIT_PASSWORD}\ny\nlogoutHSM"))?;
            Ok(((), None))
        })?;
        let found = tell.step("List the keys in the HSMs", "PKCS#11 C_FindObjects, C_GetAttributeValue", |_| {
            let found = hsm_keys::list(&self.up, &self.cluster_now()?, AUDIT_PASSWORD)?;
            let words = format!("The keys in the HSMs, by PKCS#11: {}", found.len());
            Ok((found, Some(words)))
        })?;
        for key in &found {
            tell.detail(&key.to_string());
        }
        if found.len() != 2 || !keys.arns.iter().all(|arn| found.iter().any(|key| key.label == *arn && key.locked_in())) {
            return Err("the HSMs should hold exactly the two keys, labelled with their ARNs, SENSITIVE and not EXTRACTABLE".into());
        }
        tell.step("Tell KMS that password, and connect: it changes it again", "kms update-custom-key-store; connect-custom-key-store", |p| {
            self.kms("UpdateCustomKeyStore", json!({ "CustomKeyStoreId": self.store, "KeyStorePassword": AUDIT_PASSWORD }))?;
            self.connect(p).map(|()| ((), None))
        })
    }

    fn failure(&self, tell: &mut Teller, keys: &Keys) -> Result<(), String> {
        tell.step("Kill one HSM", "keystead fault kill (signal 9)", |p| {
            let hsms = self.active_hsms()?;
            let victim = text(&hsms.first().ok_or("no active HSM")?["HsmId"]);
            self.aws.simulation("fault/kill", &json!({ "HsmId": victim })).map_err(|r| r.to_string())?;
            p.until(LIMIT, || Ok((self.active_hsms()?.len() < hsms.len()).then_some(())))?;
            Ok(((), Some(format!("{victim} is dead: killed with signal 9"))))
        })?;
        tell.step("Decrypt still works on the other HSM", "kms decrypt", |_| {
            self.decrypts(&keys.ciphertext, &json!({ "purpose": "demo" }), &keys.plaintext, &keys.arns[0])
        })
    }

    fn disconnect(&self, tell: &mut Teller, keys: &Keys) -> Result<(), String> {
        let key = &keys.arns[0];
        tell.step("Disconnect the key store", "kms disconnect-custom-key-store", |p| {
            self.disconnect_store(p)?;
            let state = text(&self.kms("DescribeKey", json!({ "KeyId": key }))?["KeyMetadata"]["KeyState"]);
            if state != "Unavailable" {
                return Err(format!("the key is {state}, and should be Unavailable"));
            }
            Ok(((), Some("Disconnected: the keys are Unavailable".into())))
        })?;
        tell.step("Encrypt now", "kms encrypt", |_| {
            self.refused("Encrypt", json!({ "KeyId": key, "Plaintext": keys.plaintext }), "KMSInvalidStateException")
        })?;
        tell.step("Delete the key store while it has keys", "kms delete-custom-key-store", |_| {
            self.refused("DeleteCustomKeyStore", json!({ "CustomKeyStoreId": self.store }), "CustomKeyStoreHasCMKsException")
        })?;
        tell.step("Reconnect; the password changes once more", "kms connect-custom-key-store", |p| {
            self.connect(p).map(|()| ((), None))
        })?;
        tell.step("Decrypt what was encrypted before", "kms decrypt", |_| {
            self.decrypts(&keys.ciphertext, &json!({ "purpose": "demo" }), &keys.plaintext, key)
        })
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
