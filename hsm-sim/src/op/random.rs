//! Random numbers. A seed (C_SeedRandom) is mixed in and replaces nothing: the numbers are the random
//! source's own, encrypted under a key that all seeds have gone into. However bad the seeds are, the
//! result is no worse than the source.

use hsm_api::{Error, Reply, Result, Rv};
use hsm_crypto::{AesKey, Digest, Hash};
use zeroize::Zeroizing;

use crate::link::SimLink;

/// The key that the seeds have made, and 32 bytes that go into the next one.
pub(crate) type Pool = Option<Zeroizing<[u8; 64]>>;

fn mix(pool: &Pool, seed: &[u8]) -> Zeroizing<[u8; 64]> {
    let mut digest = Digest::new(Hash::Sha512);
    if let Some(pool) = pool {
        digest.update(&pool[..]);
    }
    digest.update(seed);
    let mut mixed = Zeroizing::new([0; 64]);
    mixed.copy_from_slice(&digest.finish());
    mixed
}

impl SimLink {
    pub(crate) fn seed(&self, seed: &[u8]) -> Result<Reply> {
        let mut pool = self.seeds.lock();
        *pool = Some(mix(&pool, seed));
        Ok(Reply::Done)
    }

    pub(crate) fn random(&self, out: &mut [u8]) -> Result<Reply> {
        let fill = |to: &mut [u8]| {
            hsm_crypto::rng::fill(to).map_err(|e| Error::new(Rv::RANDOM_NO_RNG, e.to_string()))
        };
        fill(out)?;
        let mut pool = self.seeds.lock();
        if pool.is_some() {
            let mut counter = [0; 16];
            fill(&mut counter)?;
            let next = mix(&pool, &counter);
            let fault = |e: hsm_crypto::Error| Error::new(Rv::RANDOM_NO_RNG, e.to_string());
            let key = AesKey::new(&next[..32]).map_err(fault)?;
            let own = Zeroizing::new(out.to_vec());
            key.ctr(&mut counter, 128, &own, out).map_err(fault)?;
            *pool = Some(next);
        }
        Ok(Reply::Written(out.len()))
    }
}
