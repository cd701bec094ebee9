//! What a test sees of a token, past the service: it uses the login that the service holds, which PKCS#11 shares within a process.

use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;

use super::{Fault, Module, fault};
use crate::quirks::PinForm;

/// A secret key in a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SeenKey {
    pub label: String,
    pub token: bool,
    pub private: bool,
    pub sensitive: bool,
    pub extractable: bool,
    pub encrypt: bool,
    pub decrypt: bool,
    pub sign: bool,
    pub wrap: bool,
}

const ASKED: [AttributeType; 9] = [
    AttributeType::Label,
    AttributeType::Token,
    AttributeType::Private,
    AttributeType::Sensitive,
    AttributeType::Extractable,
    AttributeType::Encrypt,
    AttributeType::Decrypt,
    AttributeType::Sign,
    AttributeType::Wrap,
];

impl Module {
    fn look<T>(
        &self,
        token: &str,
        work: impl FnOnce(&Session) -> cryptoki::error::Result<T>,
    ) -> Result<T, Fault> {
        let fail = |e| fault(e, self.quirks);
        let session = self
            .ctx
            .open_rw_session(self.must_slot(token)?)
            .map_err(fail)?;
        work(&session).map_err(fail)
    }

    /// The secret keys of the token with this label.
    ///
    /// # Errors
    /// What the module answered.
    pub fn seen_keys(&self, token: &str) -> Result<Vec<SeenKey>, Fault> {
        self.look(token, |session| {
            let found = session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY)])?;
            found.into_iter().map(|key| seen(session, key)).collect()
        })
    }

    /// Destroys every secret key of the token, as somebody else than the service would.
    ///
    /// # Errors
    /// What the module answered.
    pub fn destroy_keys(&self, token: &str) -> Result<(), Fault> {
        self.look(token, |session| {
            let found = session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY)])?;
            found
                .into_iter()
                .try_for_each(|key| session.destroy_object(key))
        })
    }

    /// One login with a password, logged out at once. `false` if it is wrong.
    ///
    /// # Errors
    /// What the module answered otherwise.
    pub fn logs_in(&self, token: &str, pin: &PinForm, password: &str) -> Result<bool, Fault> {
        let pin = AuthPin::from(pin.login_pin(password).to_string());
        let tried = self.look(token, |session| session.login(UserType::User, Some(&pin)));
        match tried {
            Ok(()) => Ok(true),
            Err(wrong) if wrong.kind == super::FaultKind::WrongPassword => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Sets the user's PIN as the security officer. The token must have no user logged in.
    ///
    /// # Errors
    /// What the module answered.
    pub fn reset_pin(&self, token: &str, so_pin: &str, pin: &str) -> Result<(), Fault> {
        self.look(token, |session| {
            session.login(UserType::So, Some(&AuthPin::from(so_pin.to_owned())))?;
            session.init_pin(&AuthPin::from(pin.to_owned()))?;
            session.logout()
        })
    }
}

fn seen(session: &Session, key: ObjectHandle) -> cryptoki::error::Result<SeenKey> {
    let mut seen = SeenKey::default();
    for attribute in session.get_attributes(key, &ASKED)? {
        match attribute {
            Attribute::Label(label) => seen.label = String::from_utf8_lossy(&label).into_owned(),
            Attribute::Token(yes) => seen.token = yes,
            Attribute::Private(yes) => seen.private = yes,
            Attribute::Sensitive(yes) => seen.sensitive = yes,
            Attribute::Extractable(yes) => seen.extractable = yes,
            Attribute::Encrypt(yes) => seen.encrypt = yes,
            Attribute::Decrypt(yes) => seen.decrypt = yes,
            Attribute::Sign(yes) => seen.sign = yes,
            Attribute::Wrap(yes) => seen.wrap = yes,
            _ => {}
        }
    }
    Ok(seen)
}
