//! SLH-DSA (FIPS 205), from RustCrypto in both builds.

use crate::prehash::Message;
use crate::{Error, Result, rng};
use slh_dsa::{ParameterSet, Signature, SigningKey, VerifyingKey};
use std::fmt;
use zeroize::Zeroizing;

macro_rules! sets {
    ($($name:ident $public:literal $signature:literal;)*) => {
        /// SLH-DSA's parameter sets, in the order of PKCS#11's numbers for them, which begin at 1.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, non_camel_case_types)]
        pub enum SlhSet { $($name),* }

        impl SlhSet {
            /// Every parameter set.
            pub const ALL: [SlhSet; 12] = [$(SlhSet::$name),*];

            /// Bytes of a public key, a private key, a signature (FIPS 205, table 2).
            pub const fn lens(self) -> (usize, usize, usize) {
                match self { $(SlhSet::$name => ($public, 2 * $public, $signature)),* }
            }
        }

        /// Runs the given expression with the set's type under a name.
        macro_rules! with_set {
            ($set:expr, $ty:ident => $do:expr) => {
                match $set { $(SlhSet::$name => { type $ty = slh_dsa::$name; $do }),* }
            };
        }
    };
}

sets! {
    Sha2_128s 32 7856;
    Shake128s 32 7856;
    Sha2_128f 32 17088;
    Shake128f 32 17088;
    Sha2_192s 48 16224;
    Shake192s 48 16224;
    Sha2_192f 48 35664;
    Shake192f 48 35664;
    Sha2_256s 64 29792;
    Shake256s 64 29792;
    Sha2_256f 64 49856;
    Shake256f 64 49856;
}

/// An SLH-DSA key, public or private. Private operations on a public key are refused as `Unsupported`.
pub struct SlhKey {
    set: SlhSet,
    private: Option<Zeroizing<Vec<u8>>>,
    public: Vec<u8>,
}

impl SlhKey {
    /// Makes a key pair. The sets whose names end in `s` take a second or so.
    ///
    /// # Errors
    /// `Internal` without randomness.
    pub fn generate(set: SlhSet) -> Result<Self> {
        let n = set.lens().0 / 2;
        let mut seeds = Zeroizing::new(vec![0; 3 * n]);
        rng::fill(&mut seeds)?;
        Self::from_seeds(set, &seeds)
    }

    /// From the three seeds that key generation begins with, one behind another (FIPS 205, algorithm 18).
    ///
    /// # Errors
    /// `BadKey` for another length.
    pub fn from_seeds(set: SlhSet, seeds: &[u8]) -> Result<Self> {
        let n = set.lens().0 / 2;
        if seeds.len() != 3 * n {
            return Err(Error::BadKey);
        }
        let (sk, rest) = seeds.split_at(n);
        let (prf, pk) = rest.split_at(n);
        let private = with_set!(set, P => {
            Zeroizing::new(SigningKey::<P>::slh_keygen_internal(sk, prf, pk).to_vec())
        });
        Self::from_private(set, &private)
    }

    /// From a private key, which holds the public one.
    ///
    /// # Errors
    /// `BadKey` for another length.
    pub fn from_private(set: SlhSet, key: &[u8]) -> Result<Self> {
        let (public, private, _) = set.lens();
        if key.len() != private {
            return Err(Error::BadKey);
        }
        Ok(SlhKey {
            set,
            private: Some(Zeroizing::new(key.to_vec())),
            public: key[public..].to_vec(),
        })
    }

    /// From a public key.
    ///
    /// # Errors
    /// `BadKey` for another length.
    pub fn from_public(set: SlhSet, key: &[u8]) -> Result<Self> {
        if key.len() != set.lens().0 {
            return Err(Error::BadKey);
        }
        Ok(SlhKey {
            set,
            private: None,
            public: key.to_vec(),
        })
    }

    /// The parameter set.
    pub fn set(&self) -> SlhSet {
        self.set
    }

    /// Whether it can sign.
    pub fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// The public key.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// The private key.
    ///
    /// # Errors
    /// `Unsupported` for a public key.
    pub fn private(&self) -> Result<&[u8]> {
        self.private
            .as_ref()
            .map(|key| &key[..])
            .ok_or(Error::Unsupported)
    }

    /// Signs; with fresh randomness unless `deterministic`.
    ///
    /// # Errors
    /// `BadLength` if the context is too long or `out` too short, `Unsupported` for a public key.
    pub fn sign(
        &self,
        message: &Message,
        context: &[u8],
        deterministic: bool,
        out: &mut [u8],
    ) -> Result<usize> {
        let (public, _, len) = self.set.lens();
        let out = out.get_mut(..len).ok_or(Error::BadLength)?;
        let framed = message.framed(context)?;
        let mut random = Zeroizing::new(vec![0; public / 2]);
        let random = if deterministic {
            None
        } else {
            rng::fill(&mut random)?;
            Some(&random[..])
        };
        let private = self.private()?;
        with_set!(self.set, P => sign::<P>(private, &framed, random, out))?;
        Ok(len)
    }

    /// Verifies a signature.
    ///
    /// # Errors
    /// `BadLength`, `Mismatch`.
    pub fn verify(&self, message: &Message, context: &[u8], signature: &[u8]) -> Result<()> {
        if signature.len() != self.set.lens().2 {
            return Err(Error::BadLength);
        }
        let framed = message.framed(context)?;
        with_set!(self.set, P => verify::<P>(&self.public, &framed, signature))
    }
}

fn sign<P: ParameterSet>(
    key: &[u8],
    framed: &[u8],
    random: Option<&[u8]>,
    out: &mut [u8],
) -> Result<()> {
    let key = SigningKey::<P>::try_from(key).map_err(|_| Error::BadKey)?;
    out.copy_from_slice(&key.slh_sign_internal(&[framed], random).to_vec());
    Ok(())
}

fn verify<P: ParameterSet>(key: &[u8], framed: &[u8], signature: &[u8]) -> Result<()> {
    let key = VerifyingKey::<P>::try_from(key).map_err(|_| Error::BadKey)?;
    let signature = Signature::<P>::try_from(signature).map_err(|_| Error::Mismatch)?;
    key.slh_verify_internal(&[framed], &signature)
        .map_err(|_| Error::Mismatch)
}

impl fmt::Debug for SlhKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = if self.is_private() {
            "private"
        } else {
            "public"
        };
        write!(f, "SlhKey({:?}, {half})", self.set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hash, PreHash, Xof};

    /// The first test of each group of NIST's key generation vectors, for the sets of category 1.
    #[test]
    fn nist_key_generation() {
        for (set, seeds, root) in [
            (
                SlhSet::Sha2_128s,
                "aa9cc7dca491fc86bcb15a709a15e9b3905c800b6e2fb9b54b6b050ee5e4de9afa5464d1c661fed38b2a51ca3eae71ba",
                "cae3d1865215e3d3850e8c1b8292bf42",
            ),
            (
                SlhSet::Shake128s,
                "ecd0a05696c2ec6bfe85b8b1b2022486bfd8732b1a42cea236e9822aa9e724e637d664792198176c12e8121ccf69e684",
                "fcf6ffe2a04243dc3e8ed3ee6e44cdef",
            ),
            (
                SlhSet::Sha2_128f,
                "e2bdaa37c8cffe5e8d5676c23267890c31441758f573285881cdc82ab911dd8472dc8d26df6ef708f4c41af9fd04b65a",
                "8927927229891d47a60d67ecef3d2c17",
            ),
            (
                SlhSet::Shake128f,
                "bbc74306f75dc2daf7372b3c9841a4d6852c17b459f1692b8e9a1a0dace5ba26380c99304a0ddd32f344b95144e1fdef",
                "60bbc2340e08770fb41a80a76cb08e34",
            ),
        ] {
            let seeds = hex::decode(seeds).unwrap();
            let key = SlhKey::from_seeds(set, &seeds).unwrap();
            let root = hex::decode(root).unwrap();
            assert_eq!(key.public(), [&seeds[32..], &root].concat(), "{set:?}");
            assert_eq!(
                key.private().unwrap(),
                [&seeds[..], &root].concat(),
                "{set:?}"
            );
        }
    }

    #[test]
    fn every_fast_set_signs_what_it_verifies() {
        let hashed = PreHash::Xof(Xof::Shake256).digest(b"message");
        let sha = PreHash::Hash(Hash::Sha3_512).digest(b"message");
        let messages = [
            Message::Pure(b"message"),
            Message::Hashed(PreHash::Xof(Xof::Shake256), &hashed),
            Message::Hashed(PreHash::Hash(Hash::Sha3_512), &sha),
        ];
        for set in [SlhSet::Sha2_128f, SlhSet::Shake192f, SlhSet::Sha2_256f] {
            let key = SlhKey::generate(set).unwrap();
            let public = SlhKey::from_public(set, key.public()).unwrap();
            let len = set.lens().2;
            let (mut one, mut two) = (vec![0; len], vec![0; len]);
            for (i, message) in messages.iter().enumerate() {
                assert_eq!(key.sign(message, b"context", true, &mut one), Ok(len));
                key.sign(message, b"context", true, &mut two).unwrap();
                assert_eq!(one, two, "deterministic");
                for (j, other) in messages.iter().enumerate() {
                    let verdict = public.verify(other, b"context", &one);
                    assert_eq!(verdict.is_ok(), i == j, "{set:?}: {i} as {j}");
                }
                assert_eq!(public.verify(message, b"", &one), Err(Error::Mismatch));
            }
            key.sign(&messages[0], b"", false, &mut one).unwrap();
            key.sign(&messages[0], b"", false, &mut two).unwrap();
            assert_ne!(one, two, "hedged");
            let short = public.verify(&messages[0], b"", &one[1..]);
            assert_eq!(short, Err(Error::BadLength));
            let wrong = Message::Hashed(PreHash::Hash(Hash::Sha256), &sha);
            assert_eq!(key.sign(&wrong, b"", true, &mut one), Err(Error::BadLength));
            assert_eq!(
                public.sign(&messages[0], b"", true, &mut one),
                Err(Error::Unsupported)
            );
        }
    }
}
