//! A copy of the library in a directory of its own: the dynamic linker takes another file for another
//! library, so its one static is another one too.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use libloading::Library;
use pkcs11_sys::{CK_FUNCTION_LIST, CK_FUNCTION_LIST_PTR, CK_RV};

pub const SO_PIN: &str = "12345678";
pub const USER_PIN: &str = "1234";

/// The directory goes with the value; the library stays mapped.
pub struct Copy {
    dir: tempfile::TempDir,
    reserved: CString,
}

impl Copy {
    /// With embedded tokens and nothing else.
    pub fn new() -> Copy {
        Copy::with("[[token]]\ndirectory = \"tokens\"\n")
    }

    pub fn with(config: &str) -> Copy {
        let dir = tempfile::tempdir().unwrap();
        let built = std::env::current_exe().unwrap();
        let built = built.parent().unwrap().join("libkeystead_pkcs11.so");
        std::fs::copy(built, dir.path().join("module.so")).unwrap();
        let path = dir.path().join("pkcs11.toml");
        std::fs::write(&path, config).unwrap();
        let reserved = CString::new(format!("config={}", path.display())).unwrap();
        Copy { dir, reserved }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("module.so")
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// pReserved, which lives as long as this value.
    pub fn reserved(&self) -> &CString {
        &self.reserved
    }

    pub fn start(&self) -> Pkcs11 {
        let p11 = Pkcs11::new(self.path()).unwrap();
        let reserved = NonNull::new(self.reserved.as_ptr().cast_mut().cast()).unwrap();
        // SAFETY: a C string that outlives the call.
        let args = unsafe {
            CInitializeArgs::new_with_reserved(CInitializeFlags::OS_LOCKING_OK, reserved)
        };
        p11.initialize(args).unwrap();
        p11
    }

    /// Started, with an initialised token and its user's PIN set.
    pub fn token(&self) -> (Pkcs11, Slot) {
        let p11 = self.start();
        let slot = p11.get_all_slots().unwrap()[0];
        p11.init_token(slot, &AuthPin::new(SO_PIN.into()), "t")
            .unwrap();
        let so = p11.open_rw_session(slot).unwrap();
        so.login(UserType::So, Some(&AuthPin::new(SO_PIN.into())))
            .unwrap();
        so.init_pin(&AuthPin::new(USER_PIN.into())).unwrap();
        drop(so);
        (p11, slot)
    }

    /// The function list, and the library that must outlive its use.
    pub fn functions(&self) -> (Library, CK_FUNCTION_LIST) {
        // SAFETY: our own library, whose initialisers do nothing.
        let library = unsafe { Library::new(self.path()) }.unwrap();
        let mut list: CK_FUNCTION_LIST_PTR = std::ptr::null_mut();
        // SAFETY: the specification's signature.
        unsafe {
            let get = library
                .get::<unsafe extern "C" fn(*mut CK_FUNCTION_LIST_PTR) -> CK_RV>(
                    b"C_GetFunctionList",
                )
                .unwrap();
            assert_eq!(get(&mut list), 0);
        }
        // SAFETY: C_GetFunctionList gave it.
        let list = unsafe { *list };
        (library, list)
    }
}

/// A session of the logged-in user.
pub fn user(p11: &Pkcs11, slot: Slot) -> Session {
    let session = p11.open_rw_session(slot).unwrap();
    session
        .login(UserType::User, Some(&AuthPin::new(USER_PIN.into())))
        .unwrap();
    session
}

/// The code of a refusal.
pub fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> RvError {
    match result {
        Err(Error::Pkcs11(rv, _)) => rv,
        other => panic!("expected a refusal, got {other:?}"),
    }
}
