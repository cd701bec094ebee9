//! Objects on their way between HSMs, sealed under the cluster's masking key.
//!
//! Every HSM that has seen the same changes, in whatever order and however often, holds the same
//! state: a destruction beats everything, then the higher version wins, then the higher origin.

use hsm_api::{Change, Error, ObjectId, Result, Rv};

use crate::encode;
use crate::object::{Attrs, Object, Origin};
use crate::store::record::Record;
use crate::store::seal::SealKey;
use crate::table::Newest;

/// A change whose seal was good.
pub(crate) struct Opened {
    pub(crate) id: ObjectId,
    version: u64,
    origin: u64,
    /// `None`: destroyed.
    state: Option<(Origin, Attrs)>,
}

fn aad(id: ObjectId, version: u64, origin: u64, alive: bool) -> Vec<u8> {
    let mut aad = Vec::with_capacity(33);
    aad.extend_from_slice(&id.0.to_be_bytes());
    aad.extend_from_slice(&version.to_be_bytes());
    aad.extend_from_slice(&origin.to_be_bytes());
    aad.push(u8::from(alive));
    aad
}

/// Seals an object's newest state; a tombstone gets its tag.
pub(crate) fn seal(masking: &SealKey, newest: &Newest) -> Result<Change> {
    let object = match newest {
        Newest::Is(object) => object,
        &Newest::Gone(id, version, origin) => {
            return Ok(Change {
                id,
                version,
                origin,
                sealed: None,
                tag: masking.seal(&aad(id, version, origin, false), &[])?,
            });
        }
    };
    let Origin {
        version, origin, ..
    } = object.origin;
    let plain = encode::secret(&(&object.origin, &*object.attrs))?;
    let sealed = masking.seal(&aad(object.id, version, origin, true), &plain)?;
    Ok(Change {
        id: object.id,
        version,
        origin,
        sealed: Some(sealed),
        tag: Vec::new(),
    })
}

/// Checks the seal.
///
/// # Errors
/// WRAPPED_KEY_INVALID where it is not this cluster's.
pub(crate) fn open(masking: &SealKey, change: &Change) -> Result<Opened> {
    let Change {
        id,
        version,
        origin,
        sealed,
        tag,
    } = change;
    let bad = || {
        Error::new(
            Rv::WRAPPED_KEY_INVALID,
            "the change is not sealed under this cluster's masking key",
        )
    };
    let aad = aad(*id, *version, *origin, sealed.is_some());
    let plain = masking
        .open(&aad, sealed.as_ref().unwrap_or(tag))
        .ok_or_else(bad)?;
    let state = match sealed {
        Some(_) => Some(postcard::from_bytes(&plain).map_err(|_| bad())?),
        None => None,
    };
    Ok(Opened {
        id: *id,
        version: *version,
        origin: *origin,
        state,
    })
}

impl Opened {
    /// Whether it replaces what one has.
    pub(crate) fn beats(&self, version: u64, origin: u64, alive: bool) -> bool {
        match (self.state.is_some(), alive) {
            (true, false) => false,
            (false, true) => true,
            _ => (self.version, self.origin) > (version, origin),
        }
    }

    /// As one's own store keeps it.
    pub(crate) fn record(&self, device: &SealKey, token: Option<&SealKey>) -> Result<Record> {
        match &self.state {
            None => Ok(Record::tombstone(self.id, self.version, self.origin)),
            Some((origin, attrs)) => {
                let object = Object::new(self.id, origin.clone(), attrs.clone());
                Record::seal(&object, device, token)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(version: u64, origin: u64, alive: bool) -> Opened {
        let state = alive.then(|| (Origin::default(), Attrs::default()));
        Opened {
            id: ObjectId(1),
            version,
            origin,
            state,
        }
    }

    #[test]
    fn one_state_wins_whatever_the_order() {
        let states = [
            (1, 1, true),
            (2, 1, true),
            (2, 2, true),
            (2, 2, false),
            (5, 1, true),
        ];
        for a in states {
            for b in states {
                let ab = opened(a.0, a.1, a.2).beats(b.0, b.1, b.2);
                let ba = opened(b.0, b.1, b.2).beats(a.0, a.1, a.2);
                assert_eq!(ab != ba, a != b, "{a:?} {b:?}");
            }
        }
        assert!(
            !opened(9, 9, true).beats(1, 1, false),
            "nothing destroyed returns"
        );
    }

    #[test]
    fn a_tombstone_needs_the_masking_key_too() {
        let (ours, theirs) = (SealKey::generate().unwrap(), SealKey::generate().unwrap());
        let tag = ours.seal(&aad(ObjectId(1), 2, 1, false), &[]).unwrap();
        let change = Change {
            id: ObjectId(1),
            version: 2,
            origin: 1,
            sealed: None,
            tag,
        };
        assert!(open(&ours, &change).is_ok());
        assert_eq!(
            open(&theirs, &change).err().map(|e| e.rv),
            Some(Rv::WRAPPED_KEY_INVALID)
        );
        let forged = Change {
            version: 3,
            ..change
        };
        assert!(open(&ours, &forged).is_err());
    }
}
