//! How long results are: the answers to length queries, and what the engine asks `out` to hold.

use hsm_api::{KeyFacts, Mechanism, Op, Params};

use super::{Mech, Output, find};
use crate::code::key_type;

/// Where in an operation a length is asked for. `fed` counts the input bytes of the updates before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Step {
    Whole,
    Update { fed: u64 },
    Finish { fed: u64 },
}

/// How long the output of a step is at most: the answer to a length query, and what the engine asks
/// `out` to hold. Exact for signatures, MACs, digests and every encryption; decryptions that take
/// padding off give less. `key` is `None` for digests; for Wrap, `len` is the length of the key's
/// encoding. A verification has no output.
pub fn max_output(
    op: Op,
    mechanism: &Mechanism<'_>,
    key: Option<&KeyFacts>,
    len: usize,
    step: Step,
) -> usize {
    find(mechanism.id).map_or(0, |mech| {
        mech.max_output(op, &mechanism.params, key, len, step)
    })
}

impl Mech {
    /// [`max_output`], where the row is at hand.
    pub fn max_output(
        &self,
        op: Op,
        params: &Params<'_>,
        key: Option<&KeyFacts>,
        len: usize,
        step: Step,
    ) -> usize {
        let bits = key.map_or(0, |k| k.bits as usize);
        let decrypt = match op {
            Op::Verify => return 0,
            Op::Sign | Op::Digest | Op::SignRecover | Op::VerifyRecover => {
                // What is signed or hashed comes out at the end only.
                return match (step, self.output) {
                    (Step::Update { .. }, _) => 0,
                    (_, Output::Fixed(n)) => n,
                    (_, Output::Otp) => super::otp::MOST,
                    (_, Output::Tag) => usize::try_from(tag_len(params)).unwrap_or(0),
                    (_, Output::OfSet) => {
                        key.map_or(0, |k| crate::material::signature_len(k.key_type, k.bits))
                    }
                    (_, Output::Modulus) => bits.div_ceil(8),
                    (_, Output::Signature) if key.is_some_and(|k| k.key_type == key_type::DSA) => {
                        2 * key.map_or(0, |k| k.sub_bits as usize).div_ceil(8)
                    }
                    (_, Output::Signature) if key.is_some_and(|k| k.key_type != key_type::EC) => {
                        2 * (bits + 1).div_ceil(8)
                    }
                    (_, Output::Signature) => 2 * bits.div_ceil(8),
                    (_, Output::MacLen) => match params {
                        Params::MacLen(n) => usize::try_from(*n).unwrap_or(0),
                        _ => 0,
                    },
                    _ => 0,
                };
            }
            Op::Encrypt => false,
            Op::Decrypt => true,
        };
        let total = |at: u64| written(self.output, params, decrypt, bits, at);
        let len = len as u64;
        let bytes = match step {
            Step::Whole => ended(self.output, params, decrypt, bits, len),
            Step::Update { fed } => total(fed + len) - total(fed),
            Step::Finish { fed } => {
                ended(self.output, params, decrypt, bits, fed).saturating_sub(total(fed))
            }
        };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

/// By how much a result may be shorter than [`max_output`], because padding comes off.
pub fn slack(op: Op, mechanism: &Mechanism<'_>) -> usize {
    match (op, find(mechanism.id).map(|mech| mech.output)) {
        (Op::VerifyRecover, _) => usize::MAX,
        (Op::Decrypt, Some(Output::Padded)) => 16,
        (Op::Decrypt, Some(Output::Padded8 | Output::KeyWrapPadded | Output::KeyWrapPkcs5)) => 8,
        (Op::Decrypt, Some(Output::Modulus | Output::RsaAes)) => usize::MAX,
        _ => 0,
    }
}

/// How long a ciphertext is that a key of this kind encapsulates; none where it cannot.
pub fn encapsulated(key: &KeyFacts) -> Option<usize> {
    match key.key_type {
        key_type::ML_KEM => super::pq::kem_set(key.bits.into())
            .ok()
            .map(|set| set.lens().2),
        key_type::DH => Some(key.bits.div_ceil(8) as usize),
        _ => None,
    }
}

/// Bytes that a stream has put out when `fed` bytes went in and it is not ended.
fn written(output: Output, params: &Params<'_>, decrypt: bool, _bits: usize, fed: u64) -> u64 {
    match output {
        Output::Same => fed,
        Output::Block => fed / 16 * 16,
        // The last block may be padding: it waits.
        Output::Padded if decrypt => fed.saturating_sub(1) / 16 * 16,
        Output::Padded => fed / 16 * 16,
        // Nothing leaves a GCM decryption before its tag is known to be right.
        Output::Gcm if decrypt => 0,
        Output::Gcm if fed > 0 => fed + made_iv(params),
        _ => 0,
    }
}

/// Bytes that an operation has put out when `fed` bytes went in and it is ended.
fn ended(output: Output, params: &Params<'_>, decrypt: bool, bits: usize, fed: u64) -> u64 {
    match (output, decrypt) {
        (Output::Same | Output::Block | Output::Block8 | Output::Late, _) => fed,
        (Output::Padded8, false) => (fed / 8 + 1) * 8,
        (Output::Padded8, true) => fed,
        (Output::Sealed, false) => fed + tag_len(params),
        (Output::Sealed, true) => fed.saturating_sub(tag_len(params)),
        (Output::RsaAes, false) => bits.div_ceil(8) as u64 + fed.div_ceil(8) * 8 + 8,
        (Output::RsaAes, true) => fed.saturating_sub(bits.div_ceil(8) as u64 + 8),
        (Output::Padded, false) => (fed / 16 + 1) * 16,
        (Output::Padded, true) => fed,
        (Output::Gcm, false) => fed + made_iv(params) + tag_len(params),
        (Output::Gcm, true) => fed.saturating_sub(made_iv(params) + tag_len(params)),
        (Output::Modulus, _) => bits.div_ceil(8) as u64,
        (Output::KeyWrap, false) => fed + 8,
        (Output::KeyWrapPadded, false) => fed.div_ceil(8) * 8 + 8,
        (Output::KeyWrapPkcs5, false) => (fed / 8 + 1) * 8 + 8,
        (Output::KeyWrap | Output::KeyWrapPadded | Output::KeyWrapPkcs5, true) => {
            fed.saturating_sub(8)
        }
        _ => 0,
    }
}

/// Bytes of an IV that the HSM makes and writes before the ciphertext.
fn made_iv(params: &Params<'_>) -> u64 {
    match params {
        Params::Gcm { iv, .. } if iv.is_empty() => 12,
        _ => 0,
    }
}

fn tag_len(params: &Params<'_>) -> u64 {
    match params {
        Params::Gcm { tag_bits, .. } => u64::from(*tag_bits / 8),
        Params::Ccm { mac_len, .. } => u64::from(*mac_len),
        Params::ChaCha20Poly1305 { .. } => 16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use hsm_api::MechId;

    use super::super::tests::gcm;
    use super::*;

    #[test]
    fn steps_add_up_to_the_whole() {
        let cbc_pad = Mechanism {
            id: MechId(0x1085),
            params: Params::Iv(vec![0; 16].into()),
        };
        for mech in [gcm(&[1; 12]), gcm(&[]), cbc_pad] {
            for op in [Op::Encrypt, Op::Decrypt] {
                for (a, b) in [(0, 64), (1, 63), (16, 48), (31, 33)] {
                    let first = max_output(op, &mech, None, a, Step::Update { fed: 0 });
                    let next = max_output(op, &mech, None, b, Step::Update { fed: a as u64 });
                    let last = max_output(op, &mech, None, 0, Step::Finish { fed: 64 });
                    let whole = max_output(op, &mech, None, 64, Step::Whole);
                    assert_eq!(first + next + last, whole, "{:x} {op:?} {a}+{b}", mech.id.0);
                }
            }
        }
    }
}
