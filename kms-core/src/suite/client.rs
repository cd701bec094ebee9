//! Calls the service as the HTTP layer does, in one line each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_json::{Caller, Service};
use serde_json::{Value, json};

use super::TestCluster;
use crate::kms::{Kms, Settings};

/// A refusal: exception name and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The exception.
    pub name: String,
    /// Its text.
    pub message: Option<String>,
}

/// A service and somebody who calls it.
pub struct Client {
    kms: Arc<Kms>,
    service: Arc<dyn Service>,
    caller: Caller,
}

impl Client {
    /// Opens a service.
    ///
    /// # Panics
    /// If it does not open.
    pub fn open(settings: Settings) -> Client {
        let kms = Kms::open(settings).unwrap_or_else(|e| panic!("open: {e}: {:?}", e.cause));
        let service = kms.service();
        let caller = Caller::new("111122223333", "us-west-2", None, "request");
        Client {
            kms,
            service,
            caller,
        }
    }

    /// The service itself.
    pub fn kms(&self) -> &Arc<Kms> {
        &self.kms
    }

    /// Calls an operation.
    ///
    /// # Errors
    /// The service's refusal.
    pub fn call(&self, operation: &str, input: Value) -> Result<Value, Refusal> {
        let answer = self
            .service
            .call(operation, input.to_string().as_bytes(), &self.caller);
        match answer.error {
            Some(error) => Err(Refusal {
                name: error.name().to_owned(),
                message: error.message,
            }),
            None if answer.body.is_empty() => Ok(Value::Null),
            None => Ok(serde_json::from_slice(&answer.body).expect("answers are JSON")),
        }
    }

    /// Calls an operation that must succeed.
    ///
    /// # Panics
    /// If it is refused.
    pub fn ok(&self, operation: &str, input: Value) -> Value {
        self.call(operation, input)
            .unwrap_or_else(|refusal| panic!("{operation} was refused: {refusal:?}"))
    }

    /// Calls an operation that must be refused; gives the exception and its text.
    ///
    /// # Panics
    /// If it succeeds.
    pub fn no(&self, operation: &str, input: Value) -> (String, Option<String>) {
        match self.call(operation, input) {
            Err(refusal) => (refusal.name, refusal.message),
            Ok(answer) => panic!("{operation} should have been refused: {answer}"),
        }
    }

    /// Creates a key store on a cluster.
    pub fn create_store(&self, cluster: &TestCluster, password: &str) -> String {
        let created = self.ok("CreateCustomKeyStore", store_input(cluster, password));
        text(&created, "CustomKeyStoreId")
    }

    /// The store as it is described now.
    pub fn store(&self, id: &str) -> Value {
        self.ok("DescribeCustomKeyStores", json!({"CustomKeyStoreId": id}))["CustomKeyStores"][0]
            .clone()
    }

    /// Waits for an end state of a connect or disconnect.
    ///
    /// # Panics
    /// If another end state, or none within a minute, is reached.
    pub fn wait(&self, id: &str, state: &str) -> Value {
        let begun = Instant::now();
        loop {
            let store = self.store(id);
            let now = text(&store, "ConnectionState");
            if now == state {
                return store;
            }
            assert!(now.ends_with("ING"), "{id} became {store} and not {state}");
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{id} stays {now}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Connects a store and waits.
    pub fn connect(&self, id: &str) {
        self.ok("ConnectCustomKeyStore", json!({"CustomKeyStoreId": id}));
        self.wait(id, "CONNECTED");
    }

    /// Disconnects a store and waits.
    pub fn disconnect(&self, id: &str) {
        self.ok("DisconnectCustomKeyStore", json!({"CustomKeyStoreId": id}));
        self.wait(id, "DISCONNECTED");
    }

    /// A key in a store; gives its ARN.
    pub fn key_in(&self, store: &str) -> String {
        let input = json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store});
        text(&self.ok("CreateKey", input)["KeyMetadata"], "Arn")
    }

    /// Encrypts a text; gives the blob.
    pub fn encrypt(&self, key: &str, plain: &str) -> String {
        let input = json!({"KeyId": key, "Plaintext": base64(plain)});
        text(&self.ok("Encrypt", input), "CiphertextBlob")
    }

    /// Decrypts a blob to base64.
    pub fn decrypt(&self, blob: &str) -> String {
        text(
            &self.ok("Decrypt", json!({"CiphertextBlob": blob})),
            "Plaintext",
        )
    }
}

/// The input of CreateCustomKeyStore.
pub fn store_input(cluster: &TestCluster, password: &str) -> Value {
    json!({
        "CustomKeyStoreName": format!("store of {}", cluster.id),
        "CloudHsmClusterId": cluster.id,
        "TrustAnchorCertificate": cluster.trust_anchor,
        "KeyStorePassword": password,
    })
}

/// A member that is a string.
pub fn text(value: &Value, member: &str) -> String {
    value[member]
        .as_str()
        .unwrap_or_else(|| panic!("{member} is missing in {value}"))
        .to_owned()
}

/// Standard base64.
pub fn base64(plain: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(plain)
}
