//! The demo's look into the HSMs: the module on the cluster, through PKCS#11, as any application loads it.

use std::fmt;

use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use serde_json::Value;

use super::up::Up;

/// One key as PKCS#11 shows it.
pub struct HsmKey {
    /// CKA_LABEL.
    pub label: String,
    sensitive: bool,
    extractable: bool,
}

impl HsmKey {
    /// SENSITIVE and not EXTRACTABLE.
    pub fn locked_in(&self) -> bool {
        self.sensitive && !self.extractable
    }
}

impl fmt::Display for HsmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sensitive = if self.sensitive {
            "SENSITIVE"
        } else {
            "not SENSITIVE"
        };
        let extractable = if self.extractable {
            "EXTRACTABLE"
        } else {
            "not EXTRACTABLE"
        };
        write!(f, "label {}  {sensitive}, {extractable}", self.label)
    }
}

/// The keys that kmsuser owns.
pub fn list(up: &Up, cluster: &Value, password: &str) -> Result<Vec<HsmKey>, String> {
    with_session(up, cluster, |session| {
        session
            .login(UserType::User, Some(&pin(password)))
            .map_err(|error| error.to_string())?;
        let keys = session
            .find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY)])
            .map_err(|e| e.to_string())?;
        let wanted = [
            AttributeType::Label,
            AttributeType::Sensitive,
            AttributeType::Extractable,
        ];
        keys.into_iter()
            .map(|key| {
                let mut found = HsmKey {
                    label: String::new(),
                    sensitive: false,
                    extractable: true,
                };
                for attribute in session
                    .get_attributes(key, &wanted)
                    .map_err(|error| error.to_string())?
                {
                    match attribute {
                        Attribute::Label(label) => {
                            found.label = String::from_utf8_lossy(&label).into_owned()
                        }
                        Attribute::Sensitive(yes) => found.sensitive = yes,
                        Attribute::Extractable(yes) => found.extractable = yes,
                        _ => {}
                    }
                }
                Ok(found)
            })
            .collect()
    })
}

/// Tries a password that must not log in; the module's reason.
pub fn login_refused(up: &Up, cluster: &Value, password: &str) -> Result<String, String> {
    with_session(up, cluster, |session| {
        match session.login(UserType::User, Some(&pin(password))) {
            Ok(()) => Err("it still logs in".into()),
            Err(cryptoki::error::Error::Pkcs11(rv, _)) => Ok(kms_core::p11::ckr(&rv)),
            Err(other) => Err(other.to_string()),
        }
    })
}

fn pin(password: &str) -> AuthPin {
    AuthPin::new(format!("kmsuser:{password}").into())
}

/// Opens the module on the cluster's HSMs, with a configuration file as a user would write it.
fn with_session<T>(
    up: &Up,
    cluster: &Value,
    act: impl FnOnce(&Session) -> Result<T, String>,
) -> Result<T, String> {
    let nodes: Vec<String> = cluster["Hsms"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|hsm| hsm["State"] == "ACTIVE")
        .filter_map(|hsm| hsm["EniIp"].as_str())
        .map(|ip| format!("\"{ip}:2223\""))
        .collect();
    let config = up.dir().join("pkcs11.toml");
    let text = format!(
        "[[cluster]]\nlabel = \"demo\"\nnodes = [{}]\ntrust-anchor = \"customerCA.crt\"\n",
        nodes.join(", ")
    );
    std::fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;
    let pkcs11 = kms_core::p11::open(
        &crate::module::beside_us()?,
        Some(&format!("config={}", config.display())),
    )?;
    let said = |error: cryptoki::error::Error| error.to_string();
    let result = (|| {
        let slot = *pkcs11
            .get_slots_with_token()
            .map_err(said)?
            .first()
            .ok_or("the module shows no token")?;
        act(&pkcs11.open_rw_session(slot).map_err(said)?)
    })();
    pkcs11.finalize().map_err(said)?;
    result
}
