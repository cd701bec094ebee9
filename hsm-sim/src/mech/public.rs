//! The public key of a private one (PKCS#11 3.2, "Public key from private key").

use hsm_api::{Error, MechId, Result, Rv, Value};
use hsm_crypto::modular;

use super::{Mech, fault};
use crate::attr;
use crate::code::{class, key_type as kt};
use crate::der;
use crate::material::Material;
use crate::object::Attrs;

/// Sets what makes a public key of its type in `public`, from the private key and its attributes.
fn publish(key: &Material, private: &Attrs, public: &mut Attrs) -> Result<()> {
    for shared in attr::SHARED {
        if let Some(value) = private.get(shared) {
            public.set(shared, value.clone());
        }
    }
    let (ty, value) = match key {
        Material::Rsa(key) => {
            let e = key.e().map_err(fault::template)?;
            public.set(attr::PUBLIC_EXPONENT, Value::Bytes(e));
            (attr::MODULUS, key.n().map_err(fault::template)?)
        }
        Material::Dsa(key) => (attr::VALUE, modular::trim(key.y()).to_vec()),
        Material::Dh(key) => (attr::VALUE, modular::trim(key.y()).to_vec()),
        Material::Ec(key) => {
            let point = key.point().map_err(fault::template)?;
            (attr::EC_POINT, der::octet_string(&point))
        }
        Material::Ed { key, .. } => (attr::EC_POINT, der::octet_string(key.public())),
        Material::Ed448(key) => (attr::EC_POINT, der::octet_string(key.public())),
        Material::X(key) => (attr::EC_POINT, der::octet_string(key.public())),
        Material::X448(key) => (attr::EC_POINT, der::octet_string(key.public())),
        Material::MlDsa(key) => (attr::VALUE, key.public().map_err(fault::template)?),
        Material::MlKem(key) => (attr::VALUE, key.public().map_err(fault::template)?),
        Material::Slh(key) => (attr::VALUE, key.public().to_vec()),
        Material::Secret(_) | Material::Nothing => {
            return Err(Error::new(
                Rv::KEY_TYPE_INCONSISTENT,
                "only a private key has a public one",
            ));
        }
    };
    public.set(ty, Value::Bytes(value));
    Ok(())
}

static PUB_KEY_FROM_PRIV_KEY: Mech = Mech {
    id: MechId(0x403A),
    name: "CKM_PUB_KEY_FROM_PRIV_KEY",
    keys: &[
        kt::RSA,
        kt::DSA,
        kt::DH,
        kt::EC,
        kt::EC_EDWARDS,
        kt::EC_MONTGOMERY,
        kt::ML_DSA,
        kt::ML_KEM,
        kt::SLH_DSA,
    ],
    makes: class::PUBLIC,
    publish: Some(publish),
    ..Mech::REFUSES
};

pub(super) static ALL: &[&Mech] = &[&PUB_KEY_FROM_PRIV_KEY];
