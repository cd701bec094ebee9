//! DSA and Diffie-Hellman in the integers modulo a prime, and their domains (PKCS#11 3.2, "DSA", "Diffie-Hellman",
//! "Domain parameter objects").

use hsm_api::{Error, MechId, Op, Params, Result, Rv, Secret, Value};
use hsm_crypto::{DhGroup, DhKey, DsaDomain, DsaKey, Hash, dh, modular};

use super::stream::HashThen;
use super::{Call, Cut, Mech, Output, Shape, Unit, Wanted, fault};
use crate::attr;
use crate::code::{class, key_type as kt};
use crate::material::Material;
use crate::object::Attrs;

fn bad_domain(fault: hsm_crypto::Error) -> Error {
    let rv = match fault {
        hsm_crypto::Error::BadKey => Rv::DOMAIN_PARAMS_INVALID,
        hsm_crypto::Error::TooLarge => {
            let why = format!(
                "primes of more than {} bits are those of RFC 7919 and RFC 3526 only: to test others would take too long",
                dh::LONGEST_TESTED
            );
            return Error::new(Rv::KEY_SIZE_RANGE, why);
        }
        _ => return fault::template(fault),
    };
    Error::new(
        rv,
        "CKA_PRIME, CKA_SUBPRIME and CKA_BASE are no domain of this key type and of a size that is taken here",
    )
}

fn number(attrs: &Attrs, ty: hsm_api::AttrType) -> &[u8] {
    attrs.bytes(ty).unwrap_or_default()
}

/// The DSA domain that attributes hold; its primes are not tested for what they are.
pub(crate) fn domain(attrs: &Attrs) -> Result<DsaDomain> {
    let [p, q, g] = [attr::PRIME, attr::SUBPRIME, attr::BASE].map(|ty| number(attrs, ty));
    DsaDomain::new(p, q, g).map_err(bad_domain)
}

/// The same for Diffie-Hellman.
pub(crate) fn group(attrs: &Attrs) -> Result<DhGroup> {
    let [p, g] = [attr::PRIME, attr::BASE].map(|ty| number(attrs, ty));
    DhGroup::new(p, g).map_err(bad_domain)
}

/// Whether the domain of a key from outside is what it must be; other keys have none.
pub(crate) fn validate(key: &Material) -> Result<()> {
    match key {
        Material::Dsa(key) => key.domain().validate(),
        Material::Dh(key) => key.group().validate(),
        _ => return Ok(()),
    }
    .map_err(bad_domain)
}

/// What the HSM computes of a domain parameter object; one from outside it also tests.
pub(crate) fn complete_domain(attrs: &mut Attrs, fresh: bool) -> Result<()> {
    let valid = match attrs.key_type() {
        kt::DSA => {
            let domain = domain(attrs)?;
            let bits = modular::bits(domain.q()) as u64;
            attrs.set(attr::SUBPRIME_BITS, Value::Ulong(bits));
            if fresh { Ok(()) } else { domain.validate() }
        }
        _ => {
            let group = group(attrs)?;
            if fresh { Ok(()) } else { group.validate() }
        }
    };
    valid.map_err(bad_domain)?;
    let bits = modular::bits(number(attrs, attr::PRIME)) as u64;
    attrs.set(attr::PRIME_BITS, Value::Ulong(bits));
    Ok(())
}

fn set_domain(attrs: &mut Attrs, p: &[u8], q: Option<&[u8]>, g: &[u8]) {
    attrs.set(attr::PRIME, Value::Bytes(p.to_vec()));
    attrs.set(attr::BASE, Value::Bytes(g.to_vec()));
    if let Some(q) = q {
        attrs.set(attr::SUBPRIME, Value::Bytes(q.to_vec()));
    }
}

/// A big integer: no leading zeros.
fn integer(number: &[u8]) -> Value {
    Value::Bytes(modular::trim(number).to_vec())
}

/// A private key's numbers, into its attributes.
pub(crate) fn fill_dsa(key: &DsaKey, private: &mut Attrs) -> Result<()> {
    let domain = key.domain();
    set_domain(private, domain.p(), Some(domain.q()), domain.g());
    let x = key.x().map_err(fault::template)?;
    private.set(attr::VALUE, integer(x));
    Ok(())
}

/// The same for Diffie-Hellman.
pub(crate) fn fill_dh(key: &DhKey, private: &mut Attrs) -> Result<()> {
    set_domain(private, key.group().p(), None, key.group().g());
    let x = key.x().map_err(fault::template)?;
    private.set(attr::VALUE, integer(x));
    Ok(())
}

fn no_size(bits: u64, what: &str) -> Error {
    let why = format!("no {what} of {bits} bits are made here");
    Error::new(Rv::ATTRIBUTE_VALUE_INVALID, why)
}

fn generate_dsa_domain(_: &'static Mech, _: &Params<'_>, attrs: &mut Attrs) -> Result<()> {
    let bits = attrs.ulong(attr::PRIME_BITS).unwrap_or(0);
    // "DSA domain parameter objects" says what holds where nobody says.
    let sub_bits = attrs.ulong(attr::SUBPRIME_BITS).unwrap_or(match bits {
        ..=1024 => 160,
        2048 => 224,
        _ => 256,
    });
    let [p, q] = [bits, sub_bits].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let domain = DsaDomain::generate(p, q).map_err(|e| match e {
        hsm_crypto::Error::Unsupported => no_size(bits, "DSA domains with such a subprime"),
        e => fault::template(e),
    })?;
    set_domain(attrs, domain.p(), Some(domain.q()), domain.g());
    Ok(())
}

fn generate_group(_: &'static Mech, _: &Params<'_>, attrs: &mut Attrs) -> Result<()> {
    let bits = attrs.ulong(attr::PRIME_BITS).unwrap_or(0);
    let len = usize::try_from(bits).unwrap_or(usize::MAX);
    let group = DhGroup::generate(len).map_err(|e| match e {
        hsm_crypto::Error::Unsupported => no_size(bits, "Diffie-Hellman groups"),
        e => fault::template(e),
    })?;
    set_domain(attrs, group.p(), None, group.g());
    Ok(())
}

fn generate_dsa(
    _: &'static Mech,
    _: &Params<'_>,
    public: &mut Attrs,
    private: &mut Attrs,
) -> Result<()> {
    let domain = domain(public)?;
    domain.validate().map_err(bad_domain)?;
    let key = DsaKey::generate(domain).map_err(fault::template)?;
    public.set(attr::VALUE, integer(key.y()));
    fill_dsa(&key, private)
}

fn generate_dh(
    _: &'static Mech,
    _: &Params<'_>,
    public: &mut Attrs,
    private: &mut Attrs,
) -> Result<()> {
    let group = group(public)?;
    group.validate().map_err(bad_domain)?;
    let bits = private.ulong(attr::VALUE_BITS);
    let bits = bits.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let key = DhKey::generate(group, bits).map_err(|e| match e {
        hsm_crypto::Error::TooLarge => Error::new(
            Rv::ATTRIBUTE_VALUE_INVALID,
            format!(
                "CKA_VALUE_BITS is from {} up to less than the prime has",
                dh::SHORTEST
            ),
        ),
        e => fault::template(e),
    })?;
    public.set(attr::VALUE, integer(key.y()));
    fill_dh(&key, private)
}

fn sign(call: &Call<'_>, digest: &[u8], out: &mut [u8]) -> Result<usize> {
    call.key.dsa()?.sign(digest, out).map_err(fault::data)
}

fn verify(call: &Call<'_>, digest: &[u8], signature: &[u8]) -> Result<()> {
    let key = call.key.dsa()?;
    key.verify(digest, signature).map_err(fault::signature)
}

/// What CKM_DSA takes: the value of one of FIPS 186-4's hashes.
fn hashed_already(digest: &[u8]) -> Result<()> {
    if matches!(digest.len(), 20 | 28 | 32 | 48 | 64) {
        return Ok(());
    }
    Err(Error::new(
        Rv::DATA_LEN_RANGE,
        "CKM_DSA takes a hash value of 20, 28, 32, 48 or 64 bytes",
    ))
}

fn hash(call: &Call<'_>) -> Result<Hash> {
    call.mech.hash.ok_or_else(|| Rv::MECHANISM_INVALID.into())
}

fn no_peer() -> Error {
    Error::new(
        Rv::MECHANISM_PARAM_INVALID,
        "the other side's public value is none of this key's group",
    )
}

fn derive(call: &Call<'_>, _: &Wanted<'_>) -> Result<Secret> {
    let Params::Data(peer) = call.params else {
        return Err(Rv::MECHANISM_PARAM_INVALID.into());
    };
    let z = call.key.dh()?.agree(peer).map_err(|_| no_peer())?;
    Ok(Secret::new(z.to_vec()))
}

fn encapsulate(call: &Call<'_>, out: &mut [u8]) -> Result<(usize, Secret)> {
    let key = call.key.dh()?;
    let own = DhKey::generate(key.group().clone(), None).map_err(fault::data)?;
    let z = own.agree(key.y()).map_err(fault::data)?;
    let len = own.y().len();
    let out = out.get_mut(..len).ok_or(Rv::BUFFER_TOO_SMALL)?;
    out.copy_from_slice(own.y());
    Ok((len, Secret::new(z.to_vec())))
}

fn decapsulate(call: &Call<'_>, ciphertext: &[u8]) -> Result<Secret> {
    let key = call.key.dh()?;
    if ciphertext.len() != key.y().len() {
        return Err(fault::cipher(hsm_crypto::Error::BadLength));
    }
    let z = key.agree(ciphertext);
    let z = z.map_err(|_| fault::cipher(hsm_crypto::Error::Mismatch))?;
    Ok(Secret::new(z.to_vec()))
}

const DSA: Mech = Mech {
    keys: &[kt::DSA],
    sizes: (1024, 3072),
    unit: Unit::Bits,
    output: Output::Signature,
    never_fips: true,
    ..Mech::REFUSES
};

const DH: Mech = Mech {
    keys: &[kt::DH],
    sizes: (1024, 8192),
    unit: Unit::Bits,
    never_fips: true,
    ..Mech::REFUSES
};

static DSA_KEY_PAIR_GEN: Mech = Mech {
    id: MechId(0x10),
    name: "CKM_DSA_KEY_PAIR_GEN",
    output: Output::Nothing,
    generate_pair: Some(generate_dsa),
    ..DSA
};

static DSA_PARAMETER_GEN: Mech = Mech {
    id: MechId(0x2000),
    name: "CKM_DSA_PARAMETER_GEN",
    output: Output::Nothing,
    generate: Some(generate_dsa_domain),
    makes: class::DOMAIN,
    ..DSA
};

static DSA_RAW: Mech = Mech {
    id: MechId(0x11),
    name: "CKM_DSA",
    sign: Some(|call, digest, out| hashed_already(digest).and_then(|()| sign(call, digest, out))),
    verify: Some(|call, digest, signature| {
        hashed_already(digest).and_then(|()| verify(call, digest, signature))
    }),
    ..DSA
};

static DH_KEY_PAIR_GEN: Mech = Mech {
    id: MechId(0x20),
    name: "CKM_DH_PKCS_KEY_PAIR_GEN",
    generate_pair: Some(generate_dh),
    ..DH
};

static DH_DERIVE: Mech = Mech {
    id: MechId(0x21),
    name: "CKM_DH_PKCS_DERIVE",
    params: Shape::Peer,
    derive: Some(derive),
    cut: Cut::Leading,
    encapsulate: Some(encapsulate),
    decapsulate: Some(decapsulate),
    ..DH
};

static DH_PARAMETER_GEN: Mech = Mech {
    id: MechId(0x2001),
    name: "CKM_DH_PKCS_PARAMETER_GEN",
    generate: Some(generate_group),
    makes: class::DOMAIN,
    ..DH
};

const fn hashed(code: u64, name: &'static str, of: Hash) -> Mech {
    Mech {
        id: MechId(code),
        name,
        hash: Some(of),
        sign: Some(|call, data, out| sign(call, &hash(call)?.digest(data), out)),
        verify: Some(|call, data, sig| verify(call, &hash(call)?.digest(data), sig)),
        stream: Some(|call, _: Op| Ok(HashThen::open(hash(call)?, sign, verify))),
        ..DSA
    }
}

macro_rules! rows {
    ($($id:ident $code:literal $hash:ident;)*) => {
        $(static $id: Mech = hashed($code, concat!("CKM_", stringify!($id)), Hash::$hash);)*
        pub(super) static ALL: &[&Mech] = &[
            &DSA_KEY_PAIR_GEN, &DSA_PARAMETER_GEN, &DSA_RAW,
            &DH_KEY_PAIR_GEN, &DH_DERIVE, &DH_PARAMETER_GEN, $(&$id),*
        ];
    };
}

rows! {
    DSA_SHA1 0x12 Sha1;
    DSA_SHA224 0x13 Sha224;
    DSA_SHA256 0x14 Sha256;
    DSA_SHA384 0x15 Sha384;
    DSA_SHA512 0x16 Sha512;
    DSA_SHA3_224 0x18 Sha3_224;
    DSA_SHA3_256 0x19 Sha3_256;
    DSA_SHA3_384 0x1A Sha3_384;
    DSA_SHA3_512 0x1B Sha3_512;
}
