//! An object's attributes as they are kept in memory. A token may hold a hundred thousand objects of which a process uses
//! two: what came from the store stays in the store's encoding, a tenth of the size, until somebody asks for it.

use std::ops::Deref;
use std::sync::OnceLock;

use zeroize::Zeroizing;

use crate::object::{Attrs, Origin};

/// Attributes, unpacked at the first look.
#[derive(Default)]
pub struct Kept {
    packed: Option<Packed>,
    attrs: OnceLock<Attrs>,
}

/// An object as its record holds it, each part an encoded `(Origin, Attrs)`.
pub struct Packed {
    /// What was sealed.
    pub hidden: Zeroizing<Vec<u8>>,
    /// What lies open, empty where everything is sealed.
    pub open: Vec<u8>,
}

impl Packed {
    /// Reads both parts; nothing where they are damaged.
    pub fn unpack(&self) -> Option<(Origin, Attrs)> {
        let (origin, mut attrs): (Origin, Attrs) = postcard::from_bytes(&self.hidden).ok()?;
        if !self.open.is_empty() {
            let (_, open): (Origin, Attrs) = postcard::from_bytes(&self.open).ok()?;
            attrs.join(open);
        }
        Some((origin, attrs))
    }
}

impl Kept {
    /// What has just been unpacked.
    pub fn unpacked(packed: Packed, attrs: Attrs) -> Kept {
        Kept {
            packed: Some(packed),
            attrs: OnceLock::from(attrs),
        }
    }

    /// Forgets what can be unpacked again.
    pub fn fold(&mut self) {
        if self.packed.is_some() {
            self.attrs.take();
        }
    }

    /// A look that leaves nothing unpacked behind: for searches, which look at many.
    pub fn peek<T>(&self, look: impl FnOnce(&Attrs) -> T) -> T {
        match self.attrs.get() {
            Some(attrs) => look(attrs),
            None => look(&self.unpack()),
        }
    }

    fn unpack(&self) -> Attrs {
        let packed = self.packed.as_ref().and_then(Packed::unpack);
        packed
            .map(|(_, attrs)| attrs)
            .expect("it was unpacked when it was read")
    }
}

impl From<Attrs> for Kept {
    fn from(attrs: Attrs) -> Kept {
        Kept {
            packed: None,
            attrs: OnceLock::from(attrs),
        }
    }
}

impl Deref for Kept {
    type Target = Attrs;
    fn deref(&self) -> &Attrs {
        self.attrs.get_or_init(|| self.unpack())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr;
    use hsm_api::Value;

    #[test]
    fn what_is_packed_is_what_is_read() {
        let mut attrs = Attrs::default();
        attrs.set(attr::LABEL, Value::Bytes(b"x".to_vec()));
        attrs.set(attr::VALUE, Value::Bytes(vec![7; 32]));
        let (hidden, open) = attrs.clone().partition(|a| a.ty == attr::VALUE);
        let encode = |attrs| postcard::to_allocvec(&(Origin::default(), attrs)).unwrap();
        let packed = Packed {
            hidden: encode(hidden).into(),
            open: encode(open),
        };
        assert_eq!(packed.unpack().unwrap().1, attrs);
        let mut kept = Kept::unpacked(packed, attrs.clone());
        kept.fold();
        assert!(kept.peek(|seen| *seen == attrs) && kept.attrs.get().is_none());
        assert_eq!(*kept, attrs);
        let damaged = Packed {
            hidden: vec![0xFF; 3].into(),
            open: Vec::new(),
        };
        assert!(damaged.unpack().is_none());
    }
}
