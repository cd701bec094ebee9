//! C_DeriveKey of a public key from its private one (PKCS#11 3.2, "Public key from private key").

use hsm_api::{Attr, AttrType, Error, ObjectId, Reply, Result, Rv, SessionId, Template, Value};

use crate::attr::{self, When};
use crate::code::class;
use crate::link::SimLink;
use crate::mech::Mech;
use crate::object::Object;
use crate::policy;
use crate::template::{self, Past};

/// What the public key has where the template says nothing, and the private key's attribute that it is like.
/// ENCAPSULATE is not in the specification's list, which is older than its key encapsulation.
const ALIKE: [(AttrType, AttrType); 11] = [
    (attr::ENCRYPT, attr::DECRYPT),
    (attr::VERIFY, attr::SIGN),
    (attr::VERIFY_RECOVER, attr::SIGN_RECOVER),
    (attr::WRAP, attr::UNWRAP),
    (attr::ENCAPSULATE, attr::DECAPSULATE),
    (attr::DERIVE, attr::DERIVE),
    (attr::ID, attr::ID),
    (attr::START_DATE, attr::START_DATE),
    (attr::END_DATE, attr::END_DATE),
    (attr::SUBJECT, attr::SUBJECT),
    (attr::ALLOWED_MECHANISMS, attr::ALLOWED_MECHANISMS),
];

impl SimLink {
    pub(super) fn derive_public(
        &self,
        session: SessionId,
        mech: &Mech,
        base: &Object,
        id: ObjectId,
        template: &Template,
    ) -> Result<Reply> {
        if base.facts.class != class::PRIVATE {
            return Err(Error::new(
                Rv::KEY_TYPE_INCONSISTENT,
                format!("{} needs a private key", mech.name),
            ));
        }
        let mut template = template::impose(template, base.attrs.get(attr::DERIVE_TEMPLATE))?;
        let mut unless_said = |ty: AttrType, value: Value| {
            if !template.iter().any(|a| a.ty == ty) {
                template.push(Attr { ty, value });
            }
        };
        // The one default that differs from that of other public keys.
        unless_said(attr::DESTROYABLE, Value::Bool(false));
        for (ty, of) in ALIKE {
            if let Some(value) = base.attrs.get(of) {
                unless_said(ty, value.clone());
            }
        }
        let birth = self.birth(When::DERIVE, Some(mech.makes), Some(base.facts.key_type));
        let mut attrs = self.begun(&template, &birth)?;
        policy::may_write(self.who(), attrs.is(attr::PRIVATE))?;
        let publish = mech.publish.ok_or(Rv::MECHANISM_INVALID)?;
        publish(base.material()?, &base.attrs, &mut attrs)?;
        template::complete(id, &mut attrs, &Past::From(&[&base.attrs]))?;
        if let Some(made_by) = base.attrs.get(attr::KEY_GEN_MECHANISM) {
            attrs.set(attr::KEY_GEN_MECHANISM, made_by.clone());
        }
        self.keep(session, vec![(id, attrs)])
    }
}
