//! Random number generation functions.

use hsm_api::{Request, Result, Rv};

use crate::ck::In;
use crate::ck::output::Whole;
use crate::module::Module;
use crate::personality::Difference;

/// C_SeedRandom.
pub fn seed(m: &Module, h: u64, seed: In<'_>) -> Result<()> {
    let session = m.session(h)?;
    let _state = session.enter()?;
    session.slot.allows(Difference::SeedRandom)?;
    session.done(&Request::Seed {
        data: seed.hidden(),
    })
}

/// C_GenerateRandom.
pub fn generate(m: &Module, h: u64, mut out: Whole<'_>) -> Result<()> {
    let session = m.session(h)?;
    let _state = session.enter()?;
    let bytes = out.bytes();
    if session.written(&Request::Random, bytes)? != bytes.len() {
        return Err(Rv::GENERAL_ERROR.into());
    }
    Ok(())
}
