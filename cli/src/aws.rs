//! A small client of KMS and CloudHSM v2: signed JSON requests, as any SDK sends them.

use serde_json::{Value, json};

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
    agent: ureq::Agent,
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
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

/// The region that this tool signs for.
pub const REGION: &str = "us-east-1";
const ACCESS_KEY: &str = "123456789012";
const SECRET_KEY: &str = "keystead";

impl Aws {
    /// A client of the endpoint at `url`.
    pub fn new(url: &str) -> Self {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        Aws { url: url.trim_end_matches('/').to_owned(), agent }
    }

    /// One operation.
    pub fn call(&self, service: Service, operation: &str, body: &Value) -> Result<Value, Refusal> {
        let (prefix, name) = match service {
            Service::Kms => ("TrentService", "kms"),
            Service::CloudHsm => ("BaldrApiService", "cloudhsm"),
        };
        let target = format!("{prefix}.{operation}");
        let body = body.to_string();
        let host = self.url.trim_start_matches("http://");
        let mut request = self.agent.post(&self.url).header("x-amz-target", &target);
        for (header, value) in signature(host, &target, name, body.as_bytes()) {
            request = request.header(header, value);
        }
        self.finish(request.content_type("application/x-amz-json-1.1").send(&body))
    }

    /// One request to the simulation's own paths (VPC, faults), which AWS has no call for.
    pub fn simulation(&self, verb: &str, body: &Value) -> Result<Value, Refusal> {
        let url = format!("{}/_keystead/{verb}", self.url);
        self.finish(self.agent.post(&url).content_type("application/json").send(body.to_string()))
    }

    fn finish(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, Refusal> {
        let unreachable = |error: ureq::Error| Refusal {
            code: "Unreachable".into(),
            message: format!("{} does not answer: {error}", self.url),
        };
        let mut answer = answer.map_err(unreachable)?;
        let ok = answer.status().is_success();
        let text = answer.body_mut().read_to_string().map_err(unreachable)?;
        let value: Value = if text.is_empty() { json!({}) } else {
            serde_json::from_str(&text).map_err(|error| Refusal {
                code: "Unreachable".into(),
                message: format!("{} answered with something that is no JSON ({error})", self.url),
            })?
        };
        if ok {
            return Ok(value);
        }
        let text = |names: [&str; 2]| {
            names.iter().find_map(|name| value[*name].as_str()).unwrap_or_default().to_owned()
        };
        Err(Refusal { code: text(["__type", "code"]), message: text(["message", "Message"]) })
    }
}

/// The headers that sign a request.
fn signature(host: &str, target: &str, service: &str, body: &[u8]) -> Vec<(&'static str, String)> {
    kms_server::sigv4::sign_post(host, target, service, REGION, ACCESS_KEY, SECRET_KEY, body)
}
