//! A small client of KMS and CloudHSM v2: signed JSON requests, as any SDK sends them.

use aws_json::Caller;
use kms_server::client::{CallError, Client};
use kms_server::sigv4::Key;
use serde_json::Value;

/// The two services of one endpoint.
#[derive(Clone, Copy)]
pub enum Service {
    /// `TrentService`, signed as `kms`.
    Kms,
    /// `BaldrApiService`, signed as `cloudhsm`.
    CloudHsm,
}

/// An endpoint with credentials.
pub struct Aws {
    url: String,
    client: Client,
    account: String,
}

/// An answer that is an error: the service's exception, or that none came.
#[derive(Debug)]
pub struct Refusal {
    /// The exception's name, or `Unreachable`.
    pub code: String,
    /// Its message.
    pub message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.code)?;
        if self.message.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.message)
        }
    }
}

/// The region that this tool's own calls are for: AWS_REGION or AWS_DEFAULT_REGION, as for the AWS CLI, else us-east-1.
pub fn region() -> String {
    let named = ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok());
    named
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "us-east-1".to_owned())
}

/// The account that this tool's own calls are for, by the rule that the service has for everybody: an AWS_ACCESS_KEY_ID of
/// twelve digits is the account.
fn account() -> String {
    let named = std::env::var("AWS_ACCESS_KEY_ID").unwrap_or_default();
    Caller::new(&named, "", None, "").account
}

/// Any secret does where the service does not look at signatures.
const SECRET_KEY: &str = "keystead";

impl Aws {
    /// A client of the endpoint at `url`.
    pub fn new(url: &str) -> Self {
        Aws {
            url: url.to_owned(),
            client: Client::new(url, Key::new(&account(), SECRET_KEY), &region()),
            account: account(),
        }
    }

    /// The same, with a key that the service knows.
    pub fn signing(url: &str, key: Key) -> Self {
        Aws {
            url: url.to_owned(),
            account: Caller::new(&key.id, "", None, "").account,
            client: Client::new(url, key, &region()),
        }
    }

    /// The same, whose requests the server knows for those of its own process by this word.
    pub fn own(self, word: &str) -> Self {
        let client = self.client.with_own(word);
        Aws { client, ..self }
    }

    /// Whose clusters it sees.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// One operation.
    pub fn call(&self, service: Service, operation: &str, body: &Value) -> Result<Value, Refusal> {
        let model = match service {
            Service::Kms => kms_core::API.model,
            Service::CloudHsm => cloudhsm_core::API.model,
        };
        self.client
            .call(model, operation, body)
            .map_err(|error| self.refusal(error))
    }

    /// One request to the simulation's own paths (VPC, faults), which AWS has no call for, for the account that `call` is for.
    pub fn simulation(&self, verb: &str, body: &Value) -> Result<Value, Refusal> {
        let mut body = body.clone();
        body["Account"] = self.account.as_str().into();
        self.client
            .post(&format!("/_keystead/{verb}"), &body)
            .map_err(|error| self.refusal(error))
    }

    fn refusal(&self, error: CallError) -> Refusal {
        match error {
            CallError::Refused {
                exception, message, ..
            } => Refusal {
                code: exception,
                message: message.unwrap_or_default(),
            },
            CallError::Broken(error) => Refusal {
                code: "Unreachable".into(),
                message: format!(
                    "{} does not answer: {error}; is `keystead up` still running there?",
                    self.url
                ),
            },
        }
    }
}
