//! A whole service behind one trait, which is all that the HTTP layer knows of it.
//!
//! An [`Api`] is the static half (model, table, exceptions for what goes wrong before an
//! operation runs); [`Api::bind`] joins it to the state it works on.

use crate::caller::Caller;
use crate::error::{
    Exception, Result, SERIALIZATION, ServiceError, UNKNOWN_OPERATION, UNSUPPORTED_OPERATION,
};
use crate::operation::Row;
use crate::shape::Model;
use crate::validate::validate;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

/// A service as the HTTP layer sees it.
pub trait Service: Send + Sync {
    /// What stands before the dot in `X-Amz-Target`.
    fn target_prefix(&self) -> &str;

    /// The service's name in a signature's scope.
    fn signing_name(&self) -> &str;

    /// The operation of that name as the model has it: a bounded set of names for metrics.
    fn operation(&self, name: &str) -> Option<&'static str>;

    /// Runs an operation on a JSON body. May block; never panics.
    fn call(&self, operation: &str, body: &[u8], caller: &Caller) -> Response;

    /// The answer for a refusal made before `call`, in this service's envelope.
    fn refuse(&self, error: ServiceError) -> Response;
}

/// What goes back.
#[derive(Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// JSON or nothing. May hold plaintext: wiped when dropped.
    pub body: Zeroizing<Vec<u8>>,
    /// The refusal behind it, for the log.
    pub error: Option<ServiceError>,
}

impl Response {
    /// The envelope of a refusal, its text in `message_member`.
    pub fn refusal(error: ServiceError, message_member: &str) -> Self {
        let mut envelope = Map::new();
        envelope.insert("__type".into(), error.name().into());
        if let Some(message) = &error.message {
            envelope.insert(message_member.into(), message.as_str().into());
        }
        Self {
            status: error.exception.status,
            body: Zeroizing::new(Value::Object(envelope).to_string().into_bytes()),
            error: Some(error),
        }
    }
}

/// The static half of a service.
pub struct Api<S: 'static> {
    /// Names and constraints.
    pub model: &'static Model,
    /// What `operations!` made.
    pub operations: &'static [Row<S>],
    /// The exception for a fault of ours, such as `KMSInternalException`.
    pub internal: Exception,
}

impl<S: Send + Sync + 'static> Api<S> {
    /// Joins the table to a state.
    ///
    /// # Panics
    /// If an operation of the table is not in the model or stands there twice.
    pub fn bind(&'static self, state: Arc<S>) -> Arc<dyn Service> {
        let mut rows = BTreeMap::new();
        for row in self.operations {
            assert!(
                self.model.input(row.name).is_some(),
                "{} is not in the model",
                row.name
            );
            assert!(
                rows.insert(row.name, row).is_none(),
                "{} stands there twice",
                row.name
            );
        }
        Arc::new(Bound {
            api: self,
            rows,
            state,
        })
    }
}

struct Bound<S: 'static> {
    api: &'static Api<S>,
    rows: BTreeMap<&'static str, &'static Row<S>>,
    state: Arc<S>,
}

impl<S: Send + Sync + 'static> Bound<S> {
    fn run(&self, operation: &str, body: &[u8], caller: &Caller) -> Result<Zeroizing<Vec<u8>>> {
        let Some(shape) = self.api.model.input(operation) else {
            return Err(UNKNOWN_OPERATION.bare());
        };
        let Some(row) = self.rows.get(operation) else {
            return Err(UNSUPPORTED_OPERATION.says(format!("{operation} is not implemented.")));
        };
        let mut input = Wiped(parse(body)?);
        drop_nulls(&mut input.0);
        validate(shape, &input.0)?;
        (row.call)(&self.state, input.0.take(), caller)
    }
}

impl<S: Send + Sync + 'static> Service for Bound<S> {
    fn target_prefix(&self) -> &str {
        self.api.model.target_prefix
    }

    fn signing_name(&self) -> &str {
        self.api.model.signing_name
    }

    fn operation(&self, name: &str) -> Option<&'static str> {
        self.api.model.operation(name).map(|(name, _)| name)
    }

    fn call(&self, operation: &str, body: &[u8], caller: &Caller) -> Response {
        // One request that trips over a bug must not take the others with it.
        let run = AssertUnwindSafe(|| self.run(operation, body, caller));
        let result = catch_unwind(run).unwrap_or_else(|_| {
            Err(self
                .api
                .internal
                .says("The request failed inside.")
                .caused_by("panic"))
        });
        match result {
            Ok(body) => Response {
                status: 200,
                body,
                error: None,
            },
            Err(error) => self.refuse(error),
        }
    }

    fn refuse(&self, error: ServiceError) -> Response {
        Response::refusal(error, self.api.model.message_member)
    }
}

/// A request that is wiped when it is refused; one that is accepted moves into the operation.
struct Wiped(Value);

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => (),
    }
}

/// An empty body is an empty object: some clients send none for operations without members.
fn parse(body: &[u8]) -> Result<Value> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(Map::new()));
    }
    serde_json::from_slice(body).map_err(|e| {
        let (line, column) = (e.line(), e.column());
        SERIALIZATION.says(format!(
            "The body is not JSON: line {line}, column {column}."
        ))
    })
}

/// Members that are `null` count as absent, at any depth.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NoMembers, Operation, SecretBlob, shapes};
    use serde::{Deserialize, Serialize};

    /// A KMS whose keys are their own names.
    struct Toy;

    const NOT_FOUND: Exception = Exception::new("NotFoundException", 400);

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Encrypt {
        key_id: String,
        plaintext: SecretBlob,
        #[serde(default)]
        grant_tokens: Vec<String>,
    }

    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Encrypted {
        key_id: String,
        ciphertext_blob: SecretBlob,
    }

    impl Operation<Toy> for Encrypt {
        type Output = Encrypted;
        fn run(self, _: &Toy, caller: &Caller) -> Result<Encrypted> {
            if self.key_id == "missing" || !self.grant_tokens.is_empty() {
                return Err(NOT_FOUND
                    .says("Key 'missing' does not exist")
                    .caused_by("a secret"));
            }
            let key_id = caller.arn_of("kms", &format!("key/{}", self.key_id));
            Ok(Encrypted {
                key_id,
                ciphertext_blob: self.plaintext,
            })
        }
    }

    #[derive(Deserialize)]
    struct EnableKey {}

    impl Operation<Toy> for EnableKey {
        type Output = ();
        fn run(self, _: &Toy, _: &Caller) -> Result<()> {
            Ok(())
        }
    }

    #[derive(Deserialize)]
    struct ConnectCustomKeyStore {}

    impl Operation<Toy> for ConnectCustomKeyStore {
        type Output = NoMembers;
        fn run(self, _: &Toy, _: &Caller) -> Result<NoMembers> {
            Ok(NoMembers {})
        }
    }

    #[derive(Deserialize)]
    struct ListKeys {}

    impl Operation<Toy> for ListKeys {
        type Output = ();
        fn run(self, _: &Toy, _: &Caller) -> Result<()> {
            panic!("a bug")
        }
    }

    crate::operations! { static OPERATIONS: Toy = Encrypt, EnableKey, ConnectCustomKeyStore, ListKeys }

    static API: Api<Toy> = Api {
        model: &shapes::kms::MODEL,
        operations: OPERATIONS,
        internal: Exception::new("KMSInternalException", 500),
    };

    fn call(operation: &str, body: &str) -> (u16, String) {
        let caller = Caller::new("AKIDEXAMPLE", "us-east-1", None, "r");
        let response = API
            .bind(Arc::new(Toy))
            .call(operation, body.as_bytes(), &caller);
        (
            response.status,
            String::from_utf8(response.body.to_vec()).unwrap(),
        )
    }

    #[test]
    fn outputs_are_members_or_nothing() {
        assert_eq!(
            call(
                "Encrypt",
                r#"{"KeyId":"k","Plaintext":"AQI=","GrantTokens":null,"X":1}"#
            ),
            (
                200,
                r#"{"KeyId":"arn:aws:kms:us-east-1:123456789012:key/k","CiphertextBlob":"AQI="}"#
                    .to_owned()
            )
        );
        assert_eq!(call("EnableKey", r#"{"KeyId":"k"}"#), (200, String::new()));
        let connect = call("ConnectCustomKeyStore", r#"{"CustomKeyStoreId":"cks-1"}"#);
        assert_eq!(connect, (200, "{}".to_owned()));
    }

    #[test]
    fn refusals_have_an_envelope() {
        for (operation, body, status, answer) in [
            (
                "Encrypt",
                r#"{"KeyId":"missing","Plaintext":"AQI="}"#,
                400,
                r#"{"__type":"NotFoundException","message":"Key 'missing' does not exist"}"#,
            ),
            (
                "EnableKey",
                r#"{"KeyId":null}"#,
                400,
                r#"{"__type":"ValidationException","message":"1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null"}"#,
            ),
            (
                "EnableKey",
                "",
                400,
                r#"{"__type":"ValidationException","message":"1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null"}"#,
            ),
            (
                "EnableKey",
                r#"{"KeyId""#,
                400,
                r#"{"__type":"SerializationException","message":"The body is not JSON: line 1, column 8."}"#,
            ),
            (
                "Decrypt",
                "{}",
                400,
                r#"{"__type":"UnsupportedOperationException","message":"Decrypt is not implemented."}"#,
            ),
            (
                "Dance",
                "{}",
                400,
                r#"{"__type":"UnknownOperationException"}"#,
            ),
            (
                "ListKeys",
                "{}",
                500,
                r#"{"__type":"KMSInternalException","message":"The request failed inside."}"#,
            ),
        ] {
            assert_eq!(
                call(operation, body),
                (status, answer.to_owned()),
                "{operation} {body}"
            );
        }
    }

    #[test]
    fn each_service_names_its_message_member() {
        let error = NOT_FOUND.says("x");
        let body = Response::refusal(error, shapes::cloudhsmv2::MODEL.message_member).body;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({ "__type": "NotFoundException", "Message": "x" })
        );
    }

    #[test]
    fn deep_and_foreign_json_is_refused() {
        let deep = "[".repeat(100_000);
        for body in [deep.as_str(), "\u{0}", "{'KeyId':1}", "nul", "{}{}"] {
            let (status, answer) = call("EnableKey", body);
            assert_eq!(status, 400);
            assert!(answer.contains("SerializationException"), "{answer}");
        }
    }
}
