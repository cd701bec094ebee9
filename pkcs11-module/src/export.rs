//! The C ABI. One list gives symbols, function tables, panic guard, log line and CK_RV; the one
//! static of the library is here too.
//!
//! Nothing in here decides anything: a line of the list turns pointers into safe values by `ck` and
//! calls the function of `call` that does the work.
#![allow(non_snake_case, clippy::missing_safety_doc)]

mod gate;
mod list;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod locks;
mod process;
mod shards;

pub use list::*;

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hsm_api::{Error, Result, Rv};
use pkcs11_sys as ck;

use crate::ck::Interface;
use crate::module::Module;

/// The name of the specification's own interfaces.
const PKCS_11: &CStr = c"PKCS 11";

/// Every interface, the newest first: who names no version gets the newest.
static INTERFACES: [Interface; 3] = [
    Interface(ck::CK_INTERFACE {
        pInterfaceName: PKCS_11.as_ptr().cast_mut().cast(),
        pFunctionList: (&raw const LIST_3_2).cast_mut().cast(),
        flags: 0,
    }),
    Interface(ck::CK_INTERFACE {
        pInterfaceName: PKCS_11.as_ptr().cast_mut().cast(),
        pFunctionList: (&raw const LIST_3_0).cast_mut().cast(),
        flags: 0,
    }),
    Interface(ck::CK_INTERFACE {
        pInterfaceName: PKCS_11.as_ptr().cast_mut().cast(),
        pFunctionList: (&raw const LIST_2_40).cast_mut().cast(),
        flags: 0,
    }),
];

/// The interfaces' versions, in the same order.
const VERSIONS: [(u8, u8); 3] = [(3, 2), (3, 0), (2, 40)];

/// Runs a function that needs no module.
fn bare(name: &str, work: impl FnOnce() -> Result<()>) -> ck::CK_RV {
    code(&guard(name, work))
}

/// Runs a function on the module, and logs it.
fn with(name: &str, work: impl FnOnce(&Module) -> Result<()>) -> ck::CK_RV {
    let Some(call) = gate::call() else {
        return Rv::CRYPTOKI_NOT_INITIALIZED.code();
    };
    let start = call.module.log.start();
    let result = guard(name, || work(&call.module));
    call.module.log.call(name, start, &result);
    // The last one out after C_Finalize puts out the light, and that must not panic either.
    let code = code(&result);
    let _ = guard(name, || {
        drop(call);
        Ok(())
    });
    code
}

fn guard(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let why = format!("{name} panicked: this is a defect, please report it");
        Err(Error::new(Rv::GENERAL_ERROR, why))
    })
}

fn code(result: &Result<()>) -> ck::CK_RV {
    match result {
        Ok(()) => ck::CKR_OK,
        Err(e) => e.rv.code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_return_code() {
        let rv = bare("C_Test", || panic!("in the midst of a call"));
        assert_eq!(rv, ck::CKR_GENERAL_ERROR);
        assert_eq!(bare("C_Test", || Ok(())), ck::CKR_OK);
        let why = guard("C_Test", || panic!("again")).unwrap_err().why;
        assert!(why.starts_with("C_Test panicked"), "{why}");
    }
}
