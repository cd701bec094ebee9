//! Loads a PKCS#11 module: the one place of this crate that needs `unsafe`.
//!
//! Two things have no safe form: opening an unknown library to say what is wrong with it before `cryptoki` calls into it, and handing
//! our own module its configuration through C_Initialize's `pReserved`. An environment variable would do the second only before
//! the first thread starts, and for one configuration.

use std::error::Error as _;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use super::ckr;

/// Opens the library and initialises it, or says what is wrong in words that name the file.
pub fn open(path: &Path, config: Option<&str>) -> Result<Pkcs11, String> {
    let path = probe(path)?;
    let ctx = Pkcs11::new(&path)
        .map_err(|e| format!("{} cannot be used as a PKCS#11 module: {e}", path.display()))?;
    match initialize(&ctx, config) {
        Ok(()) => {}
        // Another value of ours in this process (a service reopened by a test) has done it.
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(Error::Pkcs11(code, _)) => {
            return Err(format!(
                "C_Initialize of {} answered {}: the module cannot start; look at its configuration (Keystead's says what is \
                 wrong on standard error, with file and line)",
                path.display(),
                ckr(&code)
            ));
        }
        Err(e) => return Err(format!("C_Initialize of {} failed: {e}", path.display())),
    }
    // A module must stay mapped: unloading one that keeps thread-local or locked memory ends hosts.
    std::mem::forget(ctx.clone());
    Ok(ctx)
}

/// The module's real path, if it is a library that can be loaded and exports C_GetFunctionList.
///
/// # Errors
/// What is wrong with the file, in words that name it.
pub fn probe(path: &Path) -> Result<PathBuf, String> {
    let shown = path.display();
    let path = path
        .canonicalize()
        .map_err(|e| format!("PKCS#11 module {shown} cannot be read: {e}"))?;
    if !path.is_file() {
        return Err(format!("PKCS#11 module {shown} is not a file"));
    }
    // SAFETY: running the constructors of the library that the operator named is what loading a module means.
    #[allow(unsafe_code)]
    let library = unsafe { libloading::Library::new(&path) }.map_err(|e| {
        // What dlopen says is the cause of libloading's error, which says no more than that dlopen failed.
        let reason = e
            .source()
            .map_or_else(|| e.to_string(), ToString::to_string);
        format!("PKCS#11 module {shown} is not a loadable library: {reason}")
    })?;
    // SAFETY: the symbol is only looked up, never called, through this type.
    #[allow(unsafe_code)]
    let found = unsafe { library.get::<unsafe extern "C" fn()>(b"C_GetFunctionList\0") }.is_ok();
    if !found {
        return Err(format!(
            "{shown} is no PKCS#11 module: it does not export C_GetFunctionList"
        ));
    }
    // Kept until the process ends, so that cryptoki's own load cannot run the constructors twice.
    std::mem::forget(library);
    Ok(path)
}

fn initialize(ctx: &Pkcs11, config: Option<&str>) -> cryptoki::error::Result<()> {
    let flags = CInitializeFlags::OS_LOCKING_OK;
    let Some(config) = config else {
        return ctx.initialize(CInitializeArgs::new(flags));
    };
    let text = CString::new(config).map_err(Error::NulError)?;
    let pointer = NonNull::new(text.as_ptr().cast_mut().cast()).ok_or(Error::InvalidValue)?;
    // SAFETY: `text` is a NUL-terminated string that outlives the call, which is the form that modules take here.
    #[allow(unsafe_code)]
    let args = unsafe { CInitializeArgs::new_with_reserved(flags, pointer) };
    ctx.initialize(args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_module_is_refused_by_name() {
        let missing = open(Path::new("/nonexistent/libx.so"), None).unwrap_err();
        assert!(
            missing.contains("/nonexistent/libx.so cannot be read"),
            "{missing}"
        );
        let text = std::env::current_exe().unwrap().with_extension("notalib");
        std::fs::write(&text, "hello").unwrap();
        let refused = open(&text, None).unwrap_err();
        std::fs::remove_file(&text).unwrap();
        assert!(
            refused.contains("is not a loadable library: ") && !refused.ends_with("dlopen failed"),
            "dlopen's own reason: {refused}"
        );
        let directory = open(Path::new("/"), None).unwrap_err();
        assert!(directory.contains("is not a file"), "{directory}");
    }
}
