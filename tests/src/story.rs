//! The states that tests start from, made with the calls and commands that users have.

use crate::boto::Boto;
use crate::openssl::Ca;
use crate::p11::Token;
use crate::poll::until;
use crate::run::Run;
use crate::up::Home;
use serde_json::{Value, json};

/// kmsuser's password as the issue has it.
pub const KMS_PASSWORD: &str = "kmsPswd";
/// The first crypto officer's password after activation.
pub const ADMIN_PASSWORD: &str = "adminPswd1";

/// A cluster under construction.
pub struct Cluster<'a> {
    home: &'a Home,
    boto: &'a Boto,
    /// Its id.
    pub id: String,
    /// Availability zones of its subnets, in the order given.
    pub zones: Vec<String>,
    /// Its certificate authority.
    pub ca: Ca,
}

/// The private subnets of the simulated VPC, as the command lists them: one in each of three zones.
#[track_caller]
pub fn subnets(home: &Home) -> Vec<Value> {
    let list = home.tool("vpc subnets --output json").ok().json();
    list.as_array()
        .unwrap_or_else(|| panic!("an array of subnets, not {list}"))
        .clone()
}

impl<'a> Cluster<'a> {
    /// Created, and nothing more.
    #[track_caller]
    pub fn created(home: &'a Home, boto: &'a Boto) -> Cluster<'a> {
        Cluster::created_in(home, boto, "FIPS")
    }

    #[track_caller]
    fn created_in(home: &'a Home, boto: &'a Boto, mode: &str) -> Cluster<'a> {
        let subnets = subnets(home);
        let ids: Vec<&Value> = subnets.iter().take(2).map(|s| &s["SubnetId"]).collect();
        let cluster = boto.hsm(
            "CreateCluster",
            json!({"HsmType": "hsm2m.medium", "SubnetIds": ids, "Mode": mode}),
        );
        let id = cluster["Cluster"]["ClusterId"]
            .as_str()
            .expect("ClusterId")
            .to_owned();
        let zone = |s: &Value| {
            s["AvailabilityZone"]
                .as_str()
                .expect("AvailabilityZone")
                .to_owned()
        };
        let zones = subnets.iter().take(2).map(zone).collect();
        let ca = Ca::new(&home.path(&format!("ca-{id}")));
        let cluster = Cluster {
            home,
            boto,
            id,
            zones,
            ca,
        };
        cluster.wait("UNINITIALIZED");
        cluster
    }

    /// With its first HSM, its certificate signed, initialised, and not yet activated.
    #[track_caller]
    pub fn initialized(home: &'a Home, boto: &'a Boto) -> Cluster<'a> {
        Cluster::created(home, boto).sign()
    }

    #[track_caller]
    fn sign(self) -> Cluster<'a> {
        let cluster = self;
        let boto = cluster.boto;
        cluster.add_hsm(0);
        let csr = until(30, "ClusterCsr appears after the first HSM", || {
            let now = cluster.describe();
            now["Certificates"]["ClusterCsr"]
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| now.to_string())
        });
        let signed = cluster.ca.sign(&csr);
        boto.hsm(
            "InitializeCluster",
            json!({"ClusterId": cluster.id, "SignedCert": signed, "TrustAnchor": cluster.ca.pem()}),
        );
        cluster.wait("INITIALIZED");
        cluster
    }

    /// ACTIVE with one HSM, and no users but the crypto officer.
    #[track_caller]
    pub fn active(home: &'a Home, boto: &'a Boto) -> Cluster<'a> {
        Cluster::initialized(home, boto).activate()
    }

    #[track_caller]
    fn activate(self) -> Cluster<'a> {
        let cluster = self;
        let commands = format!(
            "loginHSM PRECO admin password\nchangePswd PRECO admin {ADMIN_PASSWORD}\ny\nlogoutHSM\nquit\n"
        );
        cluster.mgmt(&commands).ok();
        cluster.wait("ACTIVE");
        cluster
    }

    /// ACTIVE with two HSMs in different zones, without kmsuser.
    #[track_caller]
    pub fn pair(home: &'a Home, boto: &'a Boto) -> Cluster<'a> {
        let cluster = Cluster::active(home, boto);
        cluster.add_hsm(1);
        cluster
    }

    /// The same without FIPS mode, which refuses much that applications expect of a token.
    #[track_caller]
    pub fn non_fips_pair(home: &'a Home, boto: &'a Boto) -> Cluster<'a> {
        let cluster = Cluster::created_in(home, boto, "NON_FIPS")
            .sign()
            .activate();
        cluster.add_hsm(1);
        cluster
    }

    /// All that a key store asks for: two HSMs and kmsuser on both.
    #[track_caller]
    pub fn ready(home: &'a Home, boto: &'a Boto) -> Cluster<'a> {
        let cluster = Cluster::pair(home, boto);
        cluster
            .officer(&format!("createUser CU kmsuser {KMS_PASSWORD}\ny"))
            .ok();
        cluster
    }

    /// One more HSM in the zone with this number, waited for; its id.
    #[track_caller]
    pub fn add_hsm(&self, zone: usize) -> String {
        let params = json!({"ClusterId": self.id, "AvailabilityZone": self.zones[zone]});
        let hsm = self.boto.hsm("CreateHsm", params);
        let id = hsm["Hsm"]["HsmId"].as_str().expect("HsmId").to_owned();
        self.wait_hsm(&id, Some("ACTIVE"));
        id
    }

    /// Delete an HSM and wait until it is gone.
    #[track_caller]
    pub fn delete_hsm(&self, id: &str) {
        self.boto
            .hsm("DeleteHsm", json!({"ClusterId": self.id, "HsmId": id}));
        self.wait_hsm(id, None);
    }

    #[track_caller]
    fn wait_hsm(&self, id: &str, state: Option<&str>) {
        until(60, &format!("{id} is {state:?}"), || {
            let now = self.describe();
            let hsm = now["Hsms"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|h| h["HsmId"] == id);
            // A deleted HSM may stay listed as DELETED for a while.
            let seen = hsm
                .and_then(|h| h["State"].as_str())
                .filter(|s| *s != "DELETED");
            if seen == state {
                Ok(())
            } else {
                Err(now["Hsms"].to_string())
            }
        });
    }

    /// As DescribeClusters shows it.
    #[track_caller]
    pub fn describe(&self) -> Value {
        let answer = self.boto.hsm(
            "DescribeClusters",
            json!({"Filters": {"clusterIds": [self.id]}}),
        );
        let list = answer["Clusters"].as_array().expect("Clusters");
        assert_eq!(list.len(), 1, "one cluster has that id: {answer}");
        list[0].clone()
    }

    /// Wait for its state.
    #[track_caller]
    pub fn wait(&self, state: &str) {
        until(60, &format!("{} is {state}", self.id), || {
            let now = self.describe();
            if now["State"] == state {
                Ok(())
            } else {
                Err(now["State"].to_string())
            }
        });
    }

    /// The addresses of its HSMs.
    #[track_caller]
    pub fn addresses(&self) -> Vec<String> {
        let now = self.describe();
        let hsms = now["Hsms"].as_array().expect("Hsms");
        hsms.iter()
            .map(|h| h["EniIp"].as_str().expect("EniIp").to_owned())
            .collect()
    }

    /// `keystead mgmt` on this cluster with a script on its standard input.
    pub fn mgmt(&self, script: &str) -> Run {
        self.home
            .tool("mgmt --cluster-id")
            .arg(&self.id)
            .stdin(script)
    }

    /// The same, logged in as the crypto officer.
    pub fn officer(&self, commands: &str) -> Run {
        self.mgmt(&format!(
            "loginHSM CO admin {ADMIN_PASSWORD}\n{commands}\nlogoutHSM\nquit\n"
        ))
    }

    /// What CreateCustomKeyStore is asked for.
    pub fn store_params(&self, name: &str, password: &str) -> Value {
        json!({
            "CustomKeyStoreName": name,
            "CloudHsmClusterId": self.id,
            "KeyStorePassword": password,
            "TrustAnchorCertificate": self.ca.pem(),
        })
    }

    /// A key store on it, not connected.
    #[track_caller]
    pub fn store(&self, name: &str, password: &str) -> Store<'a> {
        let answer = self
            .boto
            .kms("CreateCustomKeyStore", self.store_params(name, password));
        let id = answer["CustomKeyStoreId"]
            .as_str()
            .expect("CustomKeyStoreId")
            .to_owned();
        Store {
            boto: self.boto,
            id,
        }
    }
}

/// The crypto user's PIN that [`token_on_cluster`] makes.
pub const CU_PIN: &str = "cu1:password1";

/// A cluster of two without FIPS mode and a crypto user, as the token `label` of the module's standard personality: what embedded
/// tokens do, a program can ask of this one. `pkcs11.toml` in the home names it.
#[track_caller]
pub fn token_on_cluster(home: &Home, boto: &Boto, label: &str) -> Token {
    let cluster = Cluster::non_fips_pair(home, boto);
    let (name, password) = CU_PIN.split_once(':').expect("user:password");
    cluster
        .officer(&format!("createUser CU {name} {password}\ny"))
        .ok();
    let nodes: Vec<String> = cluster
        .addresses()
        .iter()
        .map(|ip| format!("{ip}:2223"))
        .collect();
    let text = format!(
        "[[cluster]]\nlabel = {label:?}\nnodes = {nodes:?}\ntrust-anchor = {:?}\npersonality = \"standard\"\n",
        cluster.ca.path()
    );
    let file = home.write("pkcs11.toml", text);
    Token::configured(home, &file, label, CU_PIN)
}

/// A key store.
pub struct Store<'a> {
    boto: &'a Boto,
    /// Its id.
    pub id: String,
}

impl<'a> Store<'a> {
    /// The key store with this id.
    pub fn new(boto: &'a Boto, id: &str) -> Store<'a> {
        Store {
            boto,
            id: id.to_owned(),
        }
    }

    /// The only key store there is.
    #[track_caller]
    pub fn only(boto: &'a Boto) -> Store<'a> {
        let answer = boto.kms("DescribeCustomKeyStores", json!({}));
        let list = answer["CustomKeyStores"]
            .as_array()
            .expect("CustomKeyStores");
        assert_eq!(list.len(), 1, "one key store: {answer}");
        Store::new(
            boto,
            list[0]["CustomKeyStoreId"]
                .as_str()
                .expect("CustomKeyStoreId"),
        )
    }

    /// The parameters that name it.
    pub fn named(&self) -> Value {
        json!({"CustomKeyStoreId": self.id})
    }

    /// As DescribeCustomKeyStores shows it.
    #[track_caller]
    pub fn describe(&self) -> Value {
        self.boto.kms("DescribeCustomKeyStores", self.named())["CustomKeyStores"][0].clone()
    }

    /// Its ConnectionState.
    #[track_caller]
    pub fn state(&self) -> String {
        self.describe()["ConnectionState"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Wait until it leaves CONNECTING and DISCONNECTING; it must then be `state`.
    #[track_caller]
    pub fn settles(&self, state: &str) -> Value {
        let settled = until(60, &format!("{} settles", self.id), || {
            let now = self.describe();
            let moving = matches!(
                now["ConnectionState"].as_str(),
                Some("CONNECTING" | "DISCONNECTING")
            );
            if moving {
                Err(now.to_string())
            } else {
                Ok(now)
            }
        });
        assert_eq!(settled["ConnectionState"], state, "{settled}");
        let code = &settled["ConnectionErrorCode"];
        assert_eq!(
            code.is_string(),
            state == "FAILED",
            "an error code while FAILED only: {settled}"
        );
        settled
    }

    /// Connect and wait for CONNECTED.
    #[track_caller]
    pub fn connect(&self) {
        self.boto.kms("ConnectCustomKeyStore", self.named());
        self.settles("CONNECTED");
    }

    /// Connect and wait for FAILED with this code.
    #[track_caller]
    pub fn connect_fails(&self, code: &str) {
        self.boto.kms("ConnectCustomKeyStore", self.named());
        let settled = self.settles("FAILED");
        assert_eq!(settled["ConnectionErrorCode"], code, "{settled}");
    }

    /// Disconnect and wait for DISCONNECTED.
    #[track_caller]
    pub fn disconnect(&self) {
        self.boto.kms("DisconnectCustomKeyStore", self.named());
        self.settles("DISCONNECTED");
    }

    /// Tell KMS kmsuser's password.
    #[track_caller]
    pub fn set_password(&self, password: &str) {
        let params = json!({"CustomKeyStoreId": self.id, "KeyStorePassword": password});
        self.boto.kms("UpdateCustomKeyStore", params);
    }

    /// A key in it; its ARN.
    #[track_caller]
    pub fn key(&self) -> String {
        let params = json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": self.id});
        let answer = self.boto.kms("CreateKey", params);
        answer["KeyMetadata"]["Arn"]
            .as_str()
            .expect("Arn")
            .to_owned()
    }
}

/// Bytes as the driver wants them.
pub fn bytes(data: impl AsRef<[u8]>) -> Value {
    use base64::Engine;
    json!({"$b64": base64::engine::general_purpose::STANDARD.encode(data)})
}

/// A blob of an answer as the driver wants it back.
#[track_caller]
pub fn blob(answer: &Value) -> Value {
    json!({"$b64": answer.as_str().unwrap_or_else(|| panic!("a blob, not {answer}"))})
}

/// The bytes of a blob in an answer.
#[track_caller]
pub fn decoded(answer: &Value) -> Vec<u8> {
    use base64::Engine;
    let text = answer
        .as_str()
        .unwrap_or_else(|| panic!("a blob, not {answer}"));
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// Encrypt some bytes under a key; the ciphertext, ready to be sent back.
#[track_caller]
pub fn encrypt(boto: &Boto, key: &str, plain: &[u8]) -> Value {
    let answer = boto.kms("Encrypt", json!({"KeyId": key, "Plaintext": bytes(plain)}));
    assert_eq!(answer["KeyId"], key, "{answer}");
    let sealed = decoded(&answer["CiphertextBlob"]);
    assert!(
        !sealed.windows(plain.len()).any(|w| w == plain),
        "the plaintext stands in the ciphertext"
    );
    blob(&answer["CiphertextBlob"])
}

/// Decrypt a ciphertext without naming a key.
#[track_caller]
pub fn decrypt(boto: &Boto, sealed: &Value) -> Vec<u8> {
    decoded(&boto.kms("Decrypt", json!({"CiphertextBlob": sealed}))["Plaintext"])
}

/// An active cluster with a connected key store is what most tests begin with.
#[track_caller]
pub fn connected<'a>(home: &'a Home, boto: &'a Boto) -> (Cluster<'a>, Store<'a>) {
    let cluster = Cluster::ready(home, boto);
    let store = cluster.store("ExampleKeyStore", KMS_PASSWORD);
    store.connect();
    (cluster, store)
}
