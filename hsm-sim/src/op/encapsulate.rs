//! Shared secrets by key encapsulation: C_EncapsulateKey, C_DecapsulateKey.

use hsm_api::{
    Error, KeyRef, Mechanism, ObjectId, Reply, Result, Rv, Secret, SessionId, Template, Value,
};

use crate::attr;
use crate::link::SimLink;
use crate::mech::{self, Call, Func, Mech};
use crate::object::{Attrs, Object};
use crate::template::{self, Past};

impl SimLink {
    pub(crate) fn encapsulate(
        &self,
        session: SessionId,
        mechanism: &Mechanism<'_>,
        public: &KeyRef,
        id: ObjectId,
        template: &Template,
        out: &mut [u8],
    ) -> Result<Reply> {
        let key = self.key(public)?;
        let mech = mech::check(Func::Encapsulate, mechanism, Some(&key.facts))?;
        self.offers(mech)?;
        let begun = self.begin_shared(mech, template, &key, attr::ENCAPSULATE_TEMPLATE)?;
        let call = Call {
            mech,
            key: key.material()?,
            params: &mechanism.params,
        };
        let encapsulate = mech.encapsulate.ok_or(Rv::MECHANISM_INVALID)?;
        let (len, secret) = encapsulate(&call, out)?;
        match self.keep_shared(session, mech, (id, begun), &secret)? {
            Reply::Made { changes, .. } => Ok(Reply::Made {
                changes,
                written: len,
            }),
            other => Ok(other),
        }
    }

    pub(crate) fn decapsulate(
        &self,
        session: SessionId,
        mechanism: &Mechanism<'_>,
        private: &KeyRef,
        ciphertext: &[u8],
        (id, template): (ObjectId, &Template),
    ) -> Result<Reply> {
        if let Some(reply) = self.repeated(&[id])? {
            return Ok(reply);
        }
        let key = self.key(private)?;
        let mech = mech::check(Func::Decapsulate, mechanism, Some(&key.facts))?;
        self.offers(mech)?;
        self.authenticate(session, &key)?;
        let begun = self.begin_shared(mech, template, &key, attr::DECAPSULATE_TEMPLATE)?;
        let call = Call {
            mech,
            key: key.material()?,
            params: &mechanism.params,
        };
        let decapsulate = mech.decapsulate.ok_or(Rv::MECHANISM_INVALID)?;
        let secret = decapsulate(&call, ciphertext)?;
        self.keep_shared(session, mech, (id, begun), &secret)
    }

    fn begin_shared(
        &self,
        mech: &Mech,
        template: &Template,
        key: &Object,
        rule: hsm_api::AttrType,
    ) -> Result<(Attrs, Option<usize>)> {
        self.begin_derived(mech, template, key.attrs.get(rule))
    }

    /// The other side knows the secret: the key was not always in this HSM's keeping.
    fn keep_shared(
        &self,
        session: SessionId,
        mech: &Mech,
        (id, (mut attrs, want)): (ObjectId, (Attrs, Option<usize>)),
        secret: &Secret,
    ) -> Result<Reply> {
        let value = super::make::cut(mech, attrs.key_type(), want, secret.expose())?;
        attrs.set(attr::VALUE, Value::Bytes(value.to_vec()));
        template::complete(id, &mut attrs, &Past::Foreign).map_err(|e| match e.rv {
            Rv::ATTRIBUTE_VALUE_INVALID => Error::new(Rv::KEY_SIZE_RANGE, e.why),
            _ => e,
        })?;
        self.keep(session, vec![(id, attrs)])
    }
}
