//! General-purpose functions.

use hsm_api::{Result, Rv};
use pkcs11_sys as ck;

use crate::ck::{Place, padded};
use crate::module::Module;

/// The version of this library, as CK_INFO has it.
pub fn library_version() -> ck::CK_VERSION {
    let part = |text: &str| text.parse().unwrap_or(0);
    ck::CK_VERSION {
        major: part(env!("CARGO_PKG_VERSION_MAJOR")),
        minor: part(env!("CARGO_PKG_VERSION_MINOR")),
    }
}

/// The manufacturer in all information structures.
pub const MANUFACTURER: &str = "Keystead";

/// C_GetInfo.
pub fn info(to: Place<'_, ck::CK_INFO>) -> Result<()> {
    to.set(ck::CK_INFO {
        cryptokiVersion: ck::CK_VERSION { major: 3, minor: 2 },
        manufacturerID: padded(MANUFACTURER),
        flags: 0,
        libraryDescription: padded("Keystead PKCS#11 module"),
        libraryVersion: library_version(),
    });
    Ok(())
}

/// C_WaitForSlotEvent: our slots have no events. Who was willing to wait has waited for C_Finalize.
pub fn no_event(m: &Module) -> Result<()> {
    Err(if m.is_shut() {
        Rv::CRYPTOKI_NOT_INITIALIZED.into()
    } else {
        Rv::NO_EVENT.into()
    })
}
