//! Multi-part operations that several families share.

use hsm_api::{Params, Result};
use hsm_crypto::{AesStream, CbcMac, Cmac, DesCmac, Digest, GcmEncryptor, Hash, Hmac};
use zeroize::Zeroizing;

use super::mac::wanted;
use super::{Call, Check, Stream, Transform, fault};

/// Hashes what comes, then signs or verifies the digest; or just hands it out.
pub(crate) struct HashThen {
    digest: Digest,
    sign: Transform,
    verify: Check,
}

impl HashThen {
    /// Begins with an empty digest.
    pub(crate) fn open(hash: Hash, sign: Transform, verify: Check) -> Box<dyn Stream> {
        Box::new(HashThen {
            digest: Digest::new(hash),
            sign,
            verify,
        })
    }
}

impl Stream for HashThen {
    fn update(&mut self, data: &[u8], _out: &mut [u8]) -> Result<usize> {
        self.digest.update(data);
        Ok(0)
    }
    fn finish(self: Box<Self>, call: &Call<'_>, out: &mut [u8]) -> Result<usize> {
        (self.sign)(call, &self.digest.finish(), out)
    }
    fn verify(self: Box<Self>, call: &Call<'_>, signature: &[u8]) -> Result<()> {
        (self.verify)(call, &self.digest.finish(), signature)
    }
    fn copy(&self) -> Option<Box<dyn Stream>> {
        Some(Box::new(HashThen {
            digest: self.digest.clone(),
            sign: self.sign,
            verify: self.verify,
        }))
    }
}

impl Stream for Hmac {
    fn update(&mut self, data: &[u8], _out: &mut [u8]) -> Result<usize> {
        Hmac::update(self, data);
        Ok(0)
    }
    fn finish(self: Box<Self>, call: &Call<'_>, out: &mut [u8]) -> Result<usize> {
        let mac = Hmac::finish(*self);
        let len = wanted(call, mac.len());
        out[..len].copy_from_slice(&mac[..len]);
        Ok(len)
    }
    fn verify(self: Box<Self>, call: &Call<'_>, signature: &[u8]) -> Result<()> {
        let own = call.mech.hash.map_or(0, Hash::len);
        super::mac::check_len(signature, wanted(call, own))?;
        Hmac::verify(*self, signature).map_err(fault::signature)
    }
}

/// MACs that are a block long.
macro_rules! block_mac {
    ($($mac:ident $len:literal),*) => {$(
        impl Stream for $mac {
            fn update(&mut self, data: &[u8], _out: &mut [u8]) -> Result<usize> {
                $mac::update(self, data);
                Ok(0)
            }
            fn finish(self: Box<Self>, call: &Call<'_>, out: &mut [u8]) -> Result<usize> {
                let mac = $mac::finish(*self);
                let len = wanted(call, $len);
                out[..len].copy_from_slice(&mac[..len]);
                Ok(len)
            }
            fn verify(self: Box<Self>, call: &Call<'_>, signature: &[u8]) -> Result<()> {
                super::mac::check_len(signature, wanted(call, $len))?;
                $mac::verify(*self, signature).map_err(fault::signature)
            }
        }
    )*};
}

block_mac!(Cmac 16, CbcMac 16, DesCmac 8);

/// ECB, CBC, CTR.
pub(crate) struct Blocks {
    pub(crate) stream: AesStream,
    pub(crate) decrypt: bool,
}

impl Blocks {
    fn fault(&self) -> fn(hsm_crypto::Error) -> hsm_api::Error {
        if self.decrypt {
            fault::cipher
        } else {
            fault::data
        }
    }
}

impl Stream for Blocks {
    fn update(&mut self, data: &[u8], out: &mut [u8]) -> Result<usize> {
        self.stream.update(data, out).map_err(self.fault())
    }
    fn finish(self: Box<Self>, _call: &Call<'_>, out: &mut [u8]) -> Result<usize> {
        let fault = self.fault();
        self.stream.finish(out).map_err(fault)
    }
}

/// A GCM encryption. Where the HSM makes the IV, it goes out before the first ciphertext.
pub(crate) struct GcmSeal {
    pub(crate) state: GcmEncryptor,
    pub(crate) iv: Option<[u8; 12]>,
}

impl GcmSeal {
    fn put_iv<'o>(&mut self, out: &'o mut [u8]) -> (usize, &'o mut [u8]) {
        match self.iv.take() {
            Some(iv) => {
                let (head, rest) = out.split_at_mut(iv.len());
                head.copy_from_slice(&iv);
                (iv.len(), rest)
            }
            None => (0, out),
        }
    }
}

impl Stream for GcmSeal {
    fn update(&mut self, data: &[u8], out: &mut [u8]) -> Result<usize> {
        if data.is_empty() {
            return Ok(0);
        }
        let (head, out) = self.put_iv(out);
        Ok(head + self.state.update(data, out).map_err(fault::data)?)
    }
    fn finish(mut self: Box<Self>, call: &Call<'_>, out: &mut [u8]) -> Result<usize> {
        let (head, out) = self.put_iv(out);
        let tag = self.state.finish().map_err(fault::data)?;
        let Params::Gcm { tag_bits, .. } = call.params else {
            return Ok(head);
        };
        let len = *tag_bits as usize / 8;
        out[..len].copy_from_slice(&tag[..len]);
        Ok(head + len)
    }
}

/// Keeps the input until the end, for what may put nothing out before it has seen everything
/// (GCM decryption: no plaintext before its tag is known to be right).
pub(crate) struct Gather {
    input: Zeroizing<Vec<u8>>,
    then: Transform,
}

/// No more is kept for one operation: a client must not fill the HSM's memory.
const GATHERED: usize = 64 << 20;

impl Gather {
    /// Begins with nothing; `then` gets it all.
    pub(crate) fn then(then: Transform) -> Self {
        Gather {
            input: Zeroizing::default(),
            then,
        }
    }
}

impl Stream for Gather {
    fn update(&mut self, data: &[u8], _out: &mut [u8]) -> Result<usize> {
        if self.input.len() + data.len() > GATHERED {
            return Err(hsm_api::Error::new(
                hsm_api::Rv::DATA_LEN_RANGE,
                "the mechanism keeps all of its input, and this is too much",
            ));
        }
        // Grown by hand: a vector that moves leaves its old bytes behind.
        if self.input.len() + data.len() > self.input.capacity() {
            let room = (self.input.len() + data.len())
                .next_power_of_two()
                .max(1024);
            let mut grown = Zeroizing::new(Vec::with_capacity(room));
            grown.extend_from_slice(&self.input);
            self.input = grown;
        }
        self.input.extend_from_slice(data);
        Ok(0)
    }
    fn finish(self: Box<Self>, call: &Call<'_>, out: &mut [u8]) -> Result<usize> {
        (self.then)(call, &self.input, out)
    }
}

/// The same for signatures: what came is signed, or verified, at the end.
pub(crate) struct GatherVerify {
    gather: Gather,
    verify: Check,
}

impl GatherVerify {
    /// Begins with nothing.
    pub(crate) fn new(gather: Gather, verify: Check) -> Self {
        GatherVerify { gather, verify }
    }
}

impl Stream for GatherVerify {
    fn update(&mut self, data: &[u8], out: &mut [u8]) -> Result<usize> {
        self.gather.update(data, out)
    }
    fn finish(self: Box<Self>, call: &Call<'_>, out: &mut [u8]) -> Result<usize> {
        Box::new(self.gather).finish(call, out)
    }
    fn verify(self: Box<Self>, call: &Call<'_>, signature: &[u8]) -> Result<()> {
        (self.verify)(call, &self.gather.input, signature)
    }
}
