//! The library by its own function list of 3.2, for what `cryptoki` has no words for.

use std::ffi::c_void;
use std::io::Write;
use std::panic::Location;
use std::ptr::null_mut;

use hsm_net::Node;
use keystead_pkcs11::ck::v3_2::FunctionList32;
use libloading::Library;
use pkcs11_sys::*;

use crate::copy::{Copy, SO_PIN, USER_PIN};
use crate::rig::Rig;

/// Calls a function of the list: every argument is null or lives until the call returns.
macro_rules! p11 {
    ($raw:expr, $name:ident $(, $arg:expr)*) => {
        // SAFETY: see above; where a length lies, refusing to read is what is tested.
        unsafe { ($raw.list.v3_0.$name.unwrap())($($arg),*) }
    };
}
/// The same for the functions that 3.2 adds.
macro_rules! p11_3_2 {
    ($raw:expr, $name:ident $(, $arg:expr)*) => {
        // SAFETY: as for `p11`.
        unsafe { ($raw.list.$name)($($arg),*) }
    };
}
pub(crate) use {p11, p11_3_2};

/// For [`Raw::configured`], as the last line.
pub const STANDARD: &str = "personality = \"standard\"\n";
pub const CLOUDHSM: &str = "personality = \"cloudhsm\"\n";

/// What a cluster does not have, so that its tests stay on an embedded token. All reasons are here.
#[derive(Clone, Copy)]
pub enum EmbeddedOnly {
    InitToken,
    Counter,
    ConflictingRoles,
    Untold,
}

impl EmbeddedOnly {
    fn why(self) -> &'static str {
        match self {
            EmbeddedOnly::InitToken => "an HSM is initialised by its cluster, not by C_InitToken",
            EmbeddedOnly::Counter => "the counters of two HSMs would give the same number",
            EmbeddedOnly::ConflictingRoles => {
                "the setting `conflicting-roles` is for embedded tokens"
            }
            EmbeddedOnly::Untold => "an HSM without FIPS mode has all mechanisms",
        }
    }
}

/// The library, and a session of the logged-in user on a token of its own.
pub struct Raw {
    pub list: &'static FunctionList32,
    pub h: CK_SESSION_HANDLE,
    pub slot: CK_SLOT_ID,
    pub so_pin: &'static str,
    pub pin: &'static str,
    _library: Library,
    /// Of its cluster; none for an embedded token.
    pub nodes: Vec<Node>,
    pub copy: Copy,
}

impl Raw {
    /// An embedded token, or with `KEYSTEAD_TEST_ON=cluster` a cluster of two HSMs under the same personality.
    pub fn new() -> Raw {
        match on_cluster() {
            true => Rig::new("standard").raw(),
            false => Raw::initialized(),
        }
    }

    /// An embedded token whatever the variable says, which is then told past the capture of test output.
    #[track_caller]
    pub fn embedded(why: EmbeddedOnly) -> Raw {
        if on_cluster() {
            let at = Location::caller();
            let _ = writeln!(std::io::stderr(), "{at}: not on a cluster: {}", why.why());
        }
        Raw::initialized()
    }

    fn initialized() -> Raw {
        let mut raw = Raw::loaded(Copy::new());
        assert_eq!(raw.init_token(), CKR_OK);
        raw.h = raw.open();
        raw.login(CKU_SO);
        let (pin, len) = text(raw.pin);
        assert_eq!(p11!(raw, C_InitPIN, raw.h, pin, len), CKR_OK);
        assert_eq!(p11!(raw, C_Logout, raw.h), CKR_OK);
        raw.login(CKU_USER);
        raw
    }

    /// C_InitToken.
    pub fn init_token(&self) -> CK_RV {
        let mut label = [b' '; 32];
        let (so, len) = text(self.so_pin);
        p11!(self, C_InitToken, self.slot, so, len, label.as_mut_ptr())
    }

    /// C_Login as CKU_USER or CKU_SO.
    pub fn login(&self, who: CK_USER_TYPE) {
        let pin = if who == CKU_SO { self.so_pin } else { self.pin };
        let (at, len) = text(pin);
        assert_eq!(p11!(self, C_Login, self.h, who, at, len), CKR_OK);
    }

    /// C_Logout and C_Login, after which an object is to be found again: on a cluster each is a user's, and handles of
    /// what is not public do not outlive the login.
    pub fn becomes(&self, who: CK_USER_TYPE, mut template: Vec<CK_ATTRIBUTE>) -> CK_OBJECT_HANDLE {
        assert_eq!(p11!(self, C_Logout, self.h), CKR_OK);
        self.login(who);
        let found = self.find(&mut template);
        assert_eq!(found.len(), 1);
        found[0]
    }

    /// The same token under another configuration, the user logged in again: lines of the file's head, and the
    /// last ones of the slot's table, its personality among them.
    pub fn configured(mut self, head: &str, last: &str) -> Raw {
        assert_eq!(p11!(self, C_Finalize, null_mut()), CKR_OK);
        let file = self.copy.dir().join("pkcs11.toml");
        let now = std::fs::read_to_string(&file).unwrap();
        let table = now.replace(STANDARD, "");
        std::fs::write(&file, format!("{head}{table}{last}")).unwrap();
        self.initialize();
        self.h = self.open();
        self.login(CKU_USER);
        self
    }

    fn initialize(&self) {
        let mut args = CK_C_INITIALIZE_ARGS {
            flags: CKF_OS_LOCKING_OK,
            pReserved: self.copy.reserved().as_ptr().cast_mut().cast(),
            ..Default::default()
        };
        let args = (&raw mut args).cast();
        assert_eq!(p11!(self, C_Initialize, args), CKR_OK);
    }

    /// Initialised, without a session.
    pub fn loaded(copy: Copy) -> Raw {
        // SAFETY: our own library, whose initialisers do nothing.
        let library = unsafe { Library::new(copy.path()) }.unwrap();
        type Get = unsafe extern "C" fn(
            *mut CK_UTF8CHAR,
            *mut CK_VERSION,
            *mut *mut CK_INTERFACE,
            CK_FLAGS,
        ) -> CK_RV;
        let mut interface = null_mut();
        let mut version = CK_VERSION { major: 3, minor: 2 };
        // SAFETY: the specification's signature; the list is a static of the library, which stays
        // mapped as long as this value, and no longer is it used.
        let list = unsafe {
            let get = library.get::<Get>(b"C_GetInterface").unwrap();
            assert_eq!(get(null_mut(), &mut version, &mut interface, 0), CKR_OK);
            &*(*interface).pFunctionList.cast::<FunctionList32>()
        };
        let mut raw = Raw {
            list,
            h: 0,
            slot: 0,
            so_pin: SO_PIN,
            pin: USER_PIN,
            _library: library,
            nodes: Vec::new(),
            copy,
        };
        raw.initialize();
        let (mut slot, mut count) = (0, 1);
        let rv = p11!(raw, C_GetSlotList, CK_TRUE, &mut slot, &mut count);
        assert_eq!((rv, count), (CKR_OK, 1));
        raw.slot = slot;
        raw
    }

    /// One more read-write session.
    pub fn open(&self) -> CK_SESSION_HANDLE {
        let mut h = 0;
        let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
        let rv = p11!(
            self,
            C_OpenSession,
            self.slot,
            flags,
            null_mut(),
            None,
            &mut h
        );
        assert_eq!(rv, CKR_OK);
        h
    }

    /// An AES-256 key of the session that may do all, extractable.
    pub fn aes(&self) -> CK_OBJECT_HANDLE {
        self.generate(CKM_AES_KEY_GEN, 32)
    }

    /// A secret key of so many bytes that may do all.
    pub fn generate(&self, mech: CK_MECHANISM_TYPE, len: CK_ULONG) -> CK_OBJECT_HANDLE {
        let mut mech = plain(mech);
        let (yes, no) = (CK_TRUE, CK_FALSE);
        let mut template = vec![attr(CKA_VALUE_LEN, &len), attr(CKA_SENSITIVE, &no)];
        for usage in [
            CKA_ENCRYPT,
            CKA_DECRYPT,
            CKA_SIGN,
            CKA_VERIFY,
            CKA_WRAP,
            CKA_UNWRAP,
            CKA_EXTRACTABLE,
        ] {
            template.push(attr(usage, &yes));
        }
        let mut key = 0;
        let (at, n) = (template.as_mut_ptr(), template.len() as CK_ULONG);
        let rv = p11!(self, C_GenerateKey, self.h, &mut mech, at, n, &mut key);
        assert_eq!(rv, CKR_OK);
        key
    }

    /// A P-256 pair: public, private.
    pub fn ec(&self) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
        let curve = [6u8, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        let public = vec![attr(CKA_EC_PARAMS, &curve), attr(CKA_VERIFY, &CK_TRUE)];
        let private = vec![attr(CKA_SIGN, &CK_TRUE)];
        let pair = self.pair(plain(CKM_EC_KEY_PAIR_GEN), public, private);
        pair.unwrap().into()
    }

    /// C_CreateObject.
    pub fn create(&self, mut template: Vec<CK_ATTRIBUTE>) -> Result<CK_OBJECT_HANDLE, CK_RV> {
        let (at, n, mut made) = (template.as_mut_ptr(), template.len() as CK_ULONG, 0);
        match p11!(self, C_CreateObject, self.h, at, n, &mut made) {
            CKR_OK => Ok(made),
            rv => Err(rv),
        }
    }

    /// C_GenerateKey.
    pub fn generated(
        &self,
        mut mech: CK_MECHANISM,
        mut template: Vec<CK_ATTRIBUTE>,
    ) -> Result<CK_OBJECT_HANDLE, CK_RV> {
        let (t, n, mut made) = (template.as_mut_ptr(), template.len() as CK_ULONG, 0);
        match p11!(self, C_GenerateKey, self.h, &mut mech, t, n, &mut made) {
            CKR_OK => Ok(made),
            rv => Err(rv),
        }
    }

    /// C_GenerateKeyPair: public, private.
    pub fn pair(
        &self,
        mut mech: CK_MECHANISM,
        mut public: Vec<CK_ATTRIBUTE>,
        mut private: Vec<CK_ATTRIBUTE>,
    ) -> Result<[CK_OBJECT_HANDLE; 2], CK_RV> {
        let (p, n) = (public.as_mut_ptr(), public.len() as CK_ULONG);
        let (q, m) = (private.as_mut_ptr(), private.len() as CK_ULONG);
        let (mut a, mut b) = (0, 0);
        match p11!(
            self,
            C_GenerateKeyPair,
            self.h,
            &mut mech,
            p,
            n,
            q,
            m,
            &mut a,
            &mut b
        ) {
            CKR_OK => Ok([a, b]),
            rv => Err(rv),
        }
    }

    /// C_WrapKey.
    pub fn wrap(
        &self,
        mut mech: CK_MECHANISM,
        by: CK_OBJECT_HANDLE,
        key: CK_OBJECT_HANDLE,
    ) -> Result<Vec<u8>, CK_RV> {
        let (mut out, mut len) = (vec![0u8; 20_000], 20_000);
        let at = out.as_mut_ptr();
        match p11!(self, C_WrapKey, self.h, &mut mech, by, key, at, &mut len) {
            CKR_OK => {
                out.truncate(len as usize);
                Ok(out)
            }
            rv => Err(rv),
        }
    }

    /// C_UnwrapKey.
    pub fn unwrap(
        &self,
        mut mech: CK_MECHANISM,
        by: CK_OBJECT_HANDLE,
        wrapped: &[u8],
        mut template: Vec<CK_ATTRIBUTE>,
    ) -> Result<CK_OBJECT_HANDLE, CK_RV> {
        let (t, n, mut made) = (template.as_mut_ptr(), template.len() as CK_ULONG, 0);
        let (w, len) = (wrapped.as_ptr().cast_mut(), wrapped.len() as CK_ULONG);
        match p11!(
            self,
            C_UnwrapKey,
            self.h,
            &mut mech,
            by,
            w,
            len,
            t,
            n,
            &mut made
        ) {
            CKR_OK => Ok(made),
            rv => Err(rv),
        }
    }

    /// C_SetAttributeValue.
    pub fn set(&self, object: CK_OBJECT_HANDLE, mut attr: CK_ATTRIBUTE) -> CK_RV {
        p11!(self, C_SetAttributeValue, self.h, object, &mut attr, 1)
    }

    /// C_CopyObject.
    pub fn copied(
        &self,
        object: CK_OBJECT_HANDLE,
        mut attr: CK_ATTRIBUTE,
    ) -> Result<CK_OBJECT_HANDLE, CK_RV> {
        let mut made = 0;
        match p11!(self, C_CopyObject, self.h, object, &mut attr, 1, &mut made) {
            CKR_OK => Ok(made),
            rv => Err(rv),
        }
    }

    /// What C_FindObjects finds.
    pub fn find(&self, template: &mut [CK_ATTRIBUTE]) -> Vec<CK_OBJECT_HANDLE> {
        let (t, n) = (template.as_mut_ptr(), template.len() as CK_ULONG);
        assert_eq!(p11!(self, C_FindObjectsInit, self.h, t, n), CKR_OK);
        let (mut found, mut count) = ([0; 500], 0);
        let at = found.as_mut_ptr();
        assert_eq!(
            p11!(self, C_FindObjects, self.h, at, 500, &mut count),
            CKR_OK
        );
        assert_eq!(p11!(self, C_FindObjectsFinal, self.h), CKR_OK);
        found[..count as usize].to_vec()
    }

    /// C_GetMechanismList.
    pub fn mechanisms(&self) -> Vec<CK_MECHANISM_TYPE> {
        let (mut listed, mut count) = (vec![0; 500], 500);
        let at = listed.as_mut_ptr();
        let rv = p11!(self, C_GetMechanismList, self.slot, at, &mut count);
        assert_eq!(rv, CKR_OK);
        listed.truncate(count as usize);
        listed
    }

    /// Attribute bytes.
    pub fn get(&self, object: CK_OBJECT_HANDLE, ty: CK_ATTRIBUTE_TYPE) -> Result<Vec<u8>, CK_RV> {
        let mut bytes = vec![0u8; 4096];
        let mut asked = CK_ATTRIBUTE {
            type_: ty,
            pValue: bytes.as_mut_ptr().cast(),
            ulValueLen: bytes.len() as CK_ULONG,
        };
        match p11!(self, C_GetAttributeValue, self.h, object, &mut asked, 1) {
            CKR_OK => {
                bytes.truncate(asked.ulValueLen as usize);
                Ok(bytes)
            }
            rv => Err(rv),
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        p11!(self, C_Finalize, null_mut());
    }
}

/// Whether the tests run on clusters.
pub fn on_cluster() -> bool {
    match std::env::var("KEYSTEAD_TEST_ON").as_deref() {
        Ok("cluster") => true,
        Ok(other) => panic!("KEYSTEAD_TEST_ON is {other:?}, and only \"cluster\" is known"),
        Err(_) => false,
    }
}

/// A text as C takes it.
pub fn text(text: &str) -> (CK_BYTE_PTR, CK_ULONG) {
    (text.as_ptr().cast_mut(), text.len() as CK_ULONG)
}

/// A mechanism without parameters.
pub fn plain(mechanism: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    CK_MECHANISM {
        mechanism,
        ..Default::default()
    }
}

/// A mechanism with a parameter that lives as long as the mechanism is used.
pub fn with<T>(mechanism: CK_MECHANISM_TYPE, parameter: &mut T) -> CK_MECHANISM {
    CK_MECHANISM {
        mechanism,
        pParameter: (&raw mut *parameter).cast(),
        ulParameterLen: size_of::<T>() as CK_ULONG,
    }
}

/// An attribute whose value lives as long as the template is used.
pub fn attr<T>(type_: CK_ATTRIBUTE_TYPE, value: &T) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE {
        type_,
        pValue: (&raw const *value).cast_mut().cast::<c_void>(),
        ulValueLen: size_of::<T>() as CK_ULONG,
    }
}

/// An attribute whose bytes live as long as the template is used.
pub fn bytes(type_: CK_ATTRIBUTE_TYPE, value: &[u8]) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE {
        type_,
        pValue: value.as_ptr().cast_mut().cast::<c_void>(),
        ulValueLen: value.len() as CK_ULONG,
    }
}
