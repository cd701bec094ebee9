//! Two services that are small enough to be obvious: a KMS that encrypts by reversing, and a
//! CloudHSM that remembers cluster types.

use aws_json::page::paginate;
use aws_json::{
    Api, Blob, Caller, Exception, NoMembers, Operation, Result, SecretBlob, Service, Timestamp,
    operations, shapes,
};
use kms_server::client::Client;
use kms_server::sigv4::Key;
use kms_server::{Config, Level, Log, Server};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::sync::{Arc, Mutex};

#[derive(Default)]
pub struct Kms {
    keys: Mutex<Vec<String>>,
}

const NOT_FOUND: Exception = Exception::new("NotFoundException", 400);
const INVALID_MARKER: Exception = Exception::new("InvalidMarkerException", 400);
const INTERNAL: Exception = Exception::new("KMSInternalException", 500);

#[derive(Deserialize)]
struct CreateKey {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    key_metadata: Metadata,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    key_id: String,
    arn: String,
    creation_date: Timestamp,
}

impl Operation<Kms> for CreateKey {
    type Output = Created;
    fn run(self, kms: &Kms, caller: &Caller) -> Result<Created> {
        let mut keys = kms.keys.lock().unwrap();
        let key_id = format!("key-{:03}", keys.len());
        keys.push(key_id.clone());
        let arn = caller.arn_of("kms", &format!("key/{key_id}"));
        let creation_date = Timestamp::from_millis(1_499_288_695_918);
        Ok(Created {
            key_metadata: Metadata {
                key_id,
                arn,
                creation_date,
            },
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Encrypt {
    key_id: String,
    plaintext: SecretBlob,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Encrypted {
    ciphertext_blob: Blob,
}

impl Operation<Kms> for Encrypt {
    type Output = Encrypted;
    fn run(self, kms: &Kms, _: &Caller) -> Result<Encrypted> {
        if !kms.keys.lock().unwrap().contains(&self.key_id) {
            let text = format!("Key '{}' does not exist", self.key_id);
            return Err(NOT_FOUND.says(text).caused_by("looked in the toy"));
        }
        Ok(Encrypted {
            ciphertext_blob: Blob(self.plaintext.iter().rev().copied().collect()),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypt {
    ciphertext_blob: Blob,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypted {
    plaintext: SecretBlob,
}

impl Operation<Kms> for Decrypt {
    type Output = Decrypted;
    fn run(self, _: &Kms, _: &Caller) -> Result<Decrypted> {
        let plaintext = self
            .ciphertext_blob
            .iter()
            .rev()
            .copied()
            .collect::<Vec<_>>()
            .into();
        Ok(Decrypted { plaintext })
    }
}

#[derive(Deserialize)]
struct EnableKey {}

impl Operation<Kms> for EnableKey {
    type Output = ();
    fn run(self, _: &Kms, _: &Caller) -> Result<()> {
        Ok(())
    }
}

#[derive(Deserialize)]
struct ConnectCustomKeyStore {}

impl Operation<Kms> for ConnectCustomKeyStore {
    type Output = NoMembers;
    fn run(self, _: &Kms, _: &Caller) -> Result<NoMembers> {
        std::thread::sleep(std::time::Duration::from_millis(300));
        Ok(NoMembers {})
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListKeys {
    limit: Option<usize>,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    keys: Vec<Entry>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    key_id: String,
    key_arn: String,
}

impl Operation<Kms> for ListKeys {
    type Output = Listed;
    fn run(self, kms: &Kms, caller: &Caller) -> Result<Listed> {
        let all = kms.keys.lock().unwrap().clone();
        let limit = self.limit.unwrap_or(100);
        let page = paginate("ListKeys", all, Clone::clone, limit, self.marker.as_deref())
            .map_err(|_| INVALID_MARKER.bare())?;
        let truncated = page.truncated();
        let entry = |key_id: String| {
            let key_arn = caller.arn_of("kms", &format!("key/{key_id}"));
            Entry { key_id, key_arn }
        };
        let keys = page.items.into_iter().map(entry).collect();
        Ok(Listed {
            keys,
            truncated,
            next_marker: page.next,
        })
    }
}

#[derive(Deserialize)]
struct GenerateRandom {}

impl Operation<Kms> for GenerateRandom {
    type Output = ();
    fn run(self, _: &Kms, _: &Caller) -> Result<()> {
        panic!("a bug in an operation")
    }
}

operations! {
    static KMS_OPERATIONS: Kms =
        ConnectCustomKeyStore, CreateKey, Decrypt, EnableKey, Encrypt, GenerateRandom, ListKeys
}

static KMS: Api<Kms> = Api {
    model: &shapes::kms::MODEL,
    operations: KMS_OPERATIONS,
    internal: INTERNAL,
};

#[derive(Default)]
pub struct Hsms {
    types: Mutex<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateCluster {
    hsm_type: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ClusterOutput {
    cluster: Cluster,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Cluster {
    cluster_id: String,
    hsm_type: String,
}

impl Operation<Hsms> for CreateCluster {
    type Output = ClusterOutput;
    fn run(self, hsms: &Hsms, _: &Caller) -> Result<ClusterOutput> {
        if self.hsm_type.starts_with("phsm") {
            let refused = Exception::new("CloudHsmInvalidRequestException", 400);
            return Err(refused.says("No such HSM type."));
        }
        hsms.types.lock().unwrap().push(self.hsm_type.clone());
        let cluster_id = "cluster-abcdefghijk".to_owned();
        Ok(ClusterOutput {
            cluster: Cluster {
                cluster_id,
                hsm_type: self.hsm_type,
            },
        })
    }
}

operations! { static HSM_OPERATIONS: Hsms = CreateCluster }

static CLOUD_HSM: Api<Hsms> = Api {
    model: &shapes::cloudhsmv2::MODEL,
    operations: HSM_OPERATIONS,
    internal: Exception::new("CloudHsmInternalFailureException", 500),
};

pub fn services() -> Vec<Arc<dyn Service>> {
    vec![KMS.bind(Arc::default()), CLOUD_HSM.bind(Arc::default())]
}

/// What a server logged.
#[derive(Clone, Default)]
pub struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A server on a free port, changed as the test likes, and its log.
pub fn start(change: impl FnOnce(&mut Config)) -> (Server, Logged) {
    let logged = Logged::default();
    let mut config = Config::new("127.0.0.1:0".parse().unwrap());
    config.log = Log::to(Level::Debug, Box::new(logged.clone()));
    change(&mut config);
    (Server::start(config, services()).unwrap(), logged)
}

pub fn client(server: &Server, id: &str, secret: &str) -> Client {
    Client::new(&server.url(), Key::new(id, secret), "eu-west-1")
}
