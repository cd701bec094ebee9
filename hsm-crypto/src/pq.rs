//! Post-quantum: ML-DSA (FIPS 204) and ML-KEM (FIPS 203). With AWS-LC only, but for deterministic signatures, which it lacks
//! and RustCrypto has.

use crate::aws_lc::pq as imp;
use crate::{Error, Message, Result, Xof};
use ml_dsa::{ExpandedSigningKey, MlDsa44, MlDsa65, MlDsa87, MlDsaParams};
use std::fmt;
use zeroize::Zeroizing;

/// ML-DSA's parameter sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum MlDsaSet {
    MlDsa44,
    MlDsa65,
    MlDsa87,
}

impl MlDsaSet {
    /// Every parameter set.
    pub const ALL: [MlDsaSet; 3] = [MlDsaSet::MlDsa44, MlDsaSet::MlDsa65, MlDsaSet::MlDsa87];
    /// Bytes of a seed.
    pub const SEED_LEN: usize = 32;

    /// Bytes of a public key, an expanded private key, a signature (FIPS 204, table 2).
    pub const fn lens(self) -> (usize, usize, usize) {
        match self {
            MlDsaSet::MlDsa44 => (1312, 2560, 2420),
            MlDsaSet::MlDsa65 => (1952, 4032, 3309),
            MlDsaSet::MlDsa87 => (2592, 4896, 4627),
        }
    }
}

/// An ML-DSA key, public or private. Private operations on a public key are refused as `Unsupported`.
pub struct MlDsaKey {
    set: MlDsaSet,
    private: bool,
    key: imp::Key,
}

impl MlDsaKey {
    /// Makes a key pair.
    ///
    /// # Errors
    /// `Internal` without randomness.
    pub fn generate(set: MlDsaSet) -> Result<Self> {
        Ok(MlDsaKey {
            set,
            private: true,
            key: imp::Key::dsa_generate(set)?,
        })
    }

    /// From a seed of 32 bytes or an expanded private key.
    ///
    /// # Errors
    /// `BadKey` for another length.
    pub fn from_private(set: MlDsaSet, key: &[u8]) -> Result<Self> {
        if key.len() != MlDsaSet::SEED_LEN && key.len() != set.lens().1 {
            return Err(Error::BadKey);
        }
        Ok(MlDsaKey {
            set,
            private: true,
            key: imp::Key::dsa_private(set, key)?,
        })
    }

    /// From a public key.
    ///
    /// # Errors
    /// `BadKey` for another length.
    pub fn from_public(set: MlDsaSet, key: &[u8]) -> Result<Self> {
        if key.len() != set.lens().0 {
            return Err(Error::BadKey);
        }
        Ok(MlDsaKey {
            set,
            private: false,
            key: imp::Key::dsa_public(set, key)?,
        })
    }

    /// The parameter set.
    pub fn set(&self) -> MlDsaSet {
        self.set
    }

    /// Whether it can sign.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// The public key.
    ///
    /// # Errors
    /// `Internal` if the library fails.
    pub fn public(&self) -> Result<Vec<u8>> {
        self.key.public(self.set.lens().0)
    }

    /// The expanded private key.
    ///
    /// # Errors
    /// `Unsupported` for a public key.
    pub fn expanded(&self) -> Result<Zeroizing<Vec<u8>>> {
        self.need_private()?;
        self.key.expanded(self.set.lens().1)
    }

    /// The seed.
    ///
    /// # Errors
    /// `Unsupported` for a public key and for one that came expanded.
    pub fn seed(&self) -> Result<Zeroizing<Vec<u8>>> {
        self.need_private()?;
        self.key.seed(MlDsaSet::SEED_LEN)
    }

    /// Signs a message under a context of at most 255 bytes, hedged with fresh randomness.
    ///
    /// # Errors
    /// `BadLength` if the context is too long or `out` too short, `Unsupported` for a public key.
    pub fn sign(&self, context: &[u8], message: &[u8], out: &mut [u8]) -> Result<usize> {
        self.need_private()?;
        let len = self.set.lens().2;
        self.key.sign(
            context,
            message,
            out.get_mut(..len).ok_or(Error::BadLength)?,
        )?;
        Ok(len)
    }

    /// Verifies a signature.
    ///
    /// # Errors
    /// `BadLength`, `Mismatch`.
    pub fn verify(&self, context: &[u8], message: &[u8], signature: &[u8]) -> Result<()> {
        if signature.len() != self.set.lens().2 {
            return Err(Error::BadLength);
        }
        self.key.verify(context, message, signature)
    }

    /// Signs a message or its hash; with fresh randomness unless `deterministic`.
    ///
    /// # Errors
    /// `BadLength` if the context is too long or `out` too short, `Unsupported` for a public key.
    pub fn sign_message(
        &self,
        message: &Message,
        context: &[u8],
        deterministic: bool,
        out: &mut [u8],
    ) -> Result<usize> {
        self.need_private()?;
        let len = self.set.lens().2;
        let out = out.get_mut(..len).ok_or(Error::BadLength)?;
        let mu = self.mu(message, context)?;
        if !deterministic {
            self.key.sign_mu(&mu, out)?;
            return Ok(len);
        }
        let expanded = self.expanded()?;
        match self.set {
            MlDsaSet::MlDsa44 => deterministic_sign::<MlDsa44>(&expanded, &mu, out),
            MlDsaSet::MlDsa65 => deterministic_sign::<MlDsa65>(&expanded, &mu, out),
            MlDsaSet::MlDsa87 => deterministic_sign::<MlDsa87>(&expanded, &mu, out),
        }?;
        Ok(len)
    }

    /// Verifies a signature over a message or its hash.
    ///
    /// # Errors
    /// `BadLength`, `Mismatch`.
    pub fn verify_message(
        &self,
        message: &Message,
        context: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        if signature.len() != self.set.lens().2 {
            return Err(Error::BadLength);
        }
        self.key.verify_mu(&self.mu(message, context)?, signature)
    }

    /// FIPS 204, algorithm 7, line 6: the hash over the public key's hash and the framed message.
    fn mu(&self, message: &Message, context: &[u8]) -> Result<[u8; 64]> {
        let framed = message.framed(context)?;
        let (mut tr, mut mu) = ([0; 64], [0; 64]);
        Xof::Shake256.digest(&[&self.public()?], &mut tr);
        Xof::Shake256.digest(&[&tr, &framed], &mut mu);
        Ok(mu)
    }

    fn need_private(&self) -> Result<()> {
        if self.private {
            Ok(())
        } else {
            Err(Error::Unsupported)
        }
    }
}

/// By the expanded key, which every private key has: one that was imported expanded has no seed.
fn deterministic_sign<P: MlDsaParams>(key: &[u8], mu: &[u8; 64], out: &mut [u8]) -> Result<()> {
    let key = key.try_into().map_err(|_| Error::BadKey)?;
    // Discouraged because it panics at malformed keys: AWS-LC took none when it derived the public key.
    #[allow(deprecated)]
    let key = ExpandedSigningKey::<P>::from_expanded(key);
    let signature = key.sign_mu_deterministic(&(*mu).into());
    out.copy_from_slice(&signature.encode());
    Ok(())
}

impl fmt::Debug for MlDsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "MlDsaKey({:?}, {})",
            self.set,
            if self.private { "private" } else { "public" }
        )
    }
}

/// ML-KEM's parameter sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum KemSet {
    MlKem512,
    MlKem768,
    MlKem1024,
}

impl KemSet {
    /// Every parameter set.
    pub const ALL: [KemSet; 3] = [KemSet::MlKem512, KemSet::MlKem768, KemSet::MlKem1024];
    /// Bytes of a shared secret.
    pub const SECRET_LEN: usize = 32;
    /// Bytes of a seed (d and z).
    pub const SEED_LEN: usize = 64;

    /// Bytes of an encapsulation key, an expanded decapsulation key, a ciphertext (FIPS 203, table 3).
    pub const fn lens(self) -> (usize, usize, usize) {
        match self {
            KemSet::MlKem512 => (800, 1632, 768),
            KemSet::MlKem768 => (1184, 2400, 1088),
            KemSet::MlKem1024 => (1568, 3168, 1568),
        }
    }
}

/// An ML-KEM key: encapsulation or decapsulation. Decapsulation with the former is refused as `Unsupported`.
pub struct MlKemKey {
    set: KemSet,
    private: bool,
    key: imp::Key,
}

impl MlKemKey {
    /// Makes a key pair.
    ///
    /// # Errors
    /// `Internal` without randomness.
    pub fn generate(set: KemSet) -> Result<Self> {
        Ok(MlKemKey {
            set,
            private: true,
            key: imp::Key::kem_generate(set)?,
        })
    }

    /// From a seed of 64 bytes or an expanded decapsulation key, whose halves are checked against each other.
    ///
    /// # Errors
    /// `BadKey`.
    pub fn from_private(set: KemSet, key: &[u8]) -> Result<Self> {
        if let Ok(seed) = key.try_into() {
            return Ok(MlKemKey {
                set,
                private: true,
                key: imp::Key::kem_seed(set, seed)?,
            });
        }
        let (public_len, len, _) = set.lens();
        if key.len() != len {
            return Err(Error::BadKey);
        }
        // The expanded key is: the secret polynomials, the encapsulation key, its hash, z.
        let public = &key[public_len - 32..][..public_len];
        Ok(MlKemKey {
            set,
            private: true,
            key: imp::Key::kem_private(set, public, key)?,
        })
    }

    /// From an encapsulation key.
    ///
    /// # Errors
    /// `BadKey` for another length.
    pub fn from_public(set: KemSet, key: &[u8]) -> Result<Self> {
        if key.len() != set.lens().0 {
            return Err(Error::BadKey);
        }
        // FIPS 203, 7.2: coefficients of 12 bits below the modulus, the 32 bytes of a seed behind them.
        const MODULUS: u16 = 3329;
        let (coefficients, _seed) = key.split_at(key.len() - 32);
        let reduced = coefficients.as_chunks::<3>().0.iter().all(|[a, b, c]| {
            let first = u16::from(*a) | u16::from(b & 0xF) << 8;
            let second = u16::from(b >> 4) | u16::from(*c) << 4;
            first < MODULUS && second < MODULUS
        });
        if !reduced {
            return Err(Error::BadKey);
        }
        Ok(MlKemKey {
            set,
            private: false,
            key: imp::Key::kem_public(set, key)?,
        })
    }

    /// The parameter set.
    pub fn set(&self) -> KemSet {
        self.set
    }

    /// Whether it can decapsulate.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// The encapsulation key.
    ///
    /// # Errors
    /// `Internal` if the library fails.
    pub fn public(&self) -> Result<Vec<u8>> {
        self.key.public(self.set.lens().0)
    }

    /// The expanded decapsulation key.
    ///
    /// # Errors
    /// `Unsupported` for an encapsulation key.
    pub fn expanded(&self) -> Result<Zeroizing<Vec<u8>>> {
        self.need_private()?;
        self.key.expanded(self.set.lens().1)
    }

    /// The seed.
    ///
    /// # Errors
    /// `Unsupported` for an encapsulation key and for a key that came expanded.
    pub fn seed(&self) -> Result<Zeroizing<Vec<u8>>> {
        self.need_private()?;
        self.key.seed(KemSet::SEED_LEN)
    }

    /// Makes a shared secret and writes the ciphertext that carries it into `cipher`; returns the ciphertext's length.
    ///
    /// # Errors
    /// `BadLength` if `cipher` is too short.
    pub fn encapsulate(&self, cipher: &mut [u8]) -> Result<(usize, Zeroizing<[u8; 32]>)> {
        let len = self.set.lens().2;
        let mut secret = Zeroizing::new([0; 32]);
        self.key
            .encapsulate(cipher.get_mut(..len).ok_or(Error::BadLength)?, &mut secret)?;
        Ok((len, secret))
    }

    /// The shared secret of a ciphertext. A ciphertext of the right length always gives one (implicit rejection).
    ///
    /// # Errors
    /// `BadLength`, `Unsupported` for an encapsulation key.
    pub fn decapsulate(&self, cipher: &[u8]) -> Result<Zeroizing<[u8; 32]>> {
        self.need_private()?;
        if cipher.len() != self.set.lens().2 {
            return Err(Error::BadLength);
        }
        let mut secret = Zeroizing::new([0; 32]);
        self.key.decapsulate(cipher, &mut secret)?;
        Ok(secret)
    }

    fn need_private(&self) -> Result<()> {
        if self.private {
            Ok(())
        } else {
            Err(Error::Unsupported)
        }
    }
}

impl fmt::Debug for MlKemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "MlKemKey({:?}, {})",
            self.set,
            if self.private { "private" } else { "public" }
        )
    }
}
