//! boto3 as a long-lived child: a real client, signing and parsing as it does everywhere, at the cost of one start.

use crate::aws::{ACCESS_KEY, REGION};
use crate::tools;
use crate::up::Up;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A refusal by the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The exception's name.
    pub code: String,
    /// Its message.
    pub message: String,
    /// The HTTP status.
    pub status: u64,
}

/// The child and both its pipes.
pub struct Boto {
    child: Child,
    pipes: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Boto {
    /// A client of this service.
    #[track_caller]
    pub fn new(up: &Up) -> Boto {
        let script = tools::root().join("tests/py/driver.py");
        let mut child = Command::new(tools::python())
            .arg(script)
            .args([up.url.as_str(), REGION, ACCESS_KEY])
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env_remove("AWS_PROFILE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start python");
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Boto {
            child,
            pipes: RefCell::new((stdin, stdout)),
        }
    }

    #[track_caller]
    fn ask(
        &self,
        service: &str,
        operation: &str,
        params: Value,
        validate: bool,
    ) -> Result<Value, Refusal> {
        let request = json!({"service": service, "operation": operation, "params": params, "validate": validate});
        let mut pipes = self.pipes.borrow_mut();
        writeln!(pipes.0, "{request}").expect("write to python");
        let mut line = String::new();
        pipes.1.read_line(&mut line).expect("read from python");
        let mut answer: Value = serde_json::from_str(&line)
            .unwrap_or_else(|e| panic!("the driver ended: {e}: {line:?}"));
        if let Some(fault) = answer.get("fault") {
            panic!("{service} {operation} {params}: {fault}");
        }
        if let Some(error) = answer.get("error") {
            let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
            let status = error["status"].as_u64().unwrap_or_default();
            return Err(Refusal {
                code: text("code"),
                message: text("message"),
                status,
            });
        }
        Ok(answer["ok"].take())
    }

    /// Call KMS.
    #[track_caller]
    pub fn try_kms(&self, operation: &str, params: Value) -> Result<Value, Refusal> {
        self.ask("kms", operation, params, true)
    }

    /// Call CloudHSM v2.
    #[track_caller]
    pub fn try_hsm(&self, operation: &str, params: Value) -> Result<Value, Refusal> {
        self.ask("cloudhsmv2", operation, params, true)
    }

    /// Call KMS; it must succeed.
    #[track_caller]
    pub fn kms(&self, operation: &str, params: Value) -> Value {
        let shown = params.to_string();
        match self.try_kms(operation, params) {
            Ok(answer) => answer,
            Err(refusal) => panic!("{operation} {shown}: {refusal:?}"),
        }
    }

    /// Call CloudHSM v2; it must succeed.
    #[track_caller]
    pub fn hsm(&self, operation: &str, params: Value) -> Value {
        let shown = params.to_string();
        match self.try_hsm(operation, params) {
            Ok(answer) => answer,
            Err(refusal) => panic!("{operation} {shown}: {refusal:?}"),
        }
    }

    /// Call KMS; it must refuse with this exception, as a client error (HTTP 400, as the real service answers them).
    #[track_caller]
    pub fn kms_refuses(&self, exception: &str, operation: &str, params: Value) -> Refusal {
        self.refuses("kms", exception, operation, params, true)
    }

    /// The same for CloudHSM v2.
    #[track_caller]
    pub fn hsm_refuses(&self, exception: &str, operation: &str, params: Value) -> Refusal {
        self.refuses("cloudhsmv2", exception, operation, params, true)
    }

    /// The same for KMS, without boto3's own checks: the service has to find the fault.
    #[track_caller]
    pub fn kms_refuses_unchecked(
        &self,
        exception: &str,
        operation: &str,
        params: Value,
    ) -> Refusal {
        self.refuses("kms", exception, operation, params, false)
    }

    #[track_caller]
    fn refuses(
        &self,
        service: &str,
        exception: &str,
        operation: &str,
        params: Value,
        check: bool,
    ) -> Refusal {
        let shown = params.to_string();
        match self.ask(service, operation, params, check) {
            Ok(answer) => {
                panic!("{operation} {shown} should refuse with {exception}, but answered {answer}")
            }
            Err(refusal) => {
                assert_eq!(refusal.code, exception, "{operation} {shown}: {refusal:?}");
                assert_eq!(refusal.status, 400, "{operation} {shown}: {refusal:?}");
                refusal
            }
        }
    }
}

impl Drop for Boto {
    fn drop(&mut self) {
        // Already ended is fine.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
