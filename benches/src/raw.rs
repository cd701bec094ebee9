//! A PKCS#11 module by its C function list: nothing is allocated between a caller's buffers and the module.
//!
//! All of this crate's `unsafe` is here. Every pointer handed over is null or that of a Rust value borrowed for the call.
#![allow(unsafe_code)]

use std::path::Path;
use std::ptr::{null, null_mut};

use libloading::Library;
use pkcs11_sys::*;

/// A refusal: the function and its CK_RV.
#[derive(Debug)]
pub struct Refusal(pub &'static str, pub CK_RV);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} answered {:#x}", self.0, self.1)
    }
}

impl std::error::Error for Refusal {}

/// What a call leaves.
pub type Answer<T = ()> = Result<T, Refusal>;

/// The head of the list of 3.2: `pkcs11-sys` ends with 3.1.
#[cfg_attr(not(windows), repr(C))]
#[cfg_attr(windows, repr(C, packed))]
struct List32 {
    v3_0: CK_FUNCTION_LIST_3_0,
    encapsulate: Encapsulate,
    decapsulate: Decapsulate,
}

type Encapsulate = unsafe extern "C" fn(
    CK_SESSION_HANDLE,
    CK_MECHANISM_PTR,
    CK_OBJECT_HANDLE,
    CK_ATTRIBUTE_PTR,
    CK_ULONG,
    CK_BYTE_PTR,
    CK_ULONG_PTR,
    CK_OBJECT_HANDLE_PTR,
) -> CK_RV;

type Decapsulate = unsafe extern "C" fn(
    CK_SESSION_HANDLE,
    CK_MECHANISM_PTR,
    CK_OBJECT_HANDLE,
    CK_ATTRIBUTE_PTR,
    CK_ULONG,
    CK_BYTE_PTR,
    CK_ULONG,
    CK_OBJECT_HANDLE_PTR,
) -> CK_RV;

/// A loaded and initialised module. It is never unloaded, for its sessions are plain numbers.
#[derive(Clone, Copy)]
pub struct Module {
    list: &'static CK_FUNCTION_LIST,
    newest: Option<&'static List32>,
}

/// One session of a module.
#[derive(Clone, Copy)]
pub struct Session {
    /// The module.
    pub module: Module,
    handle: CK_SESSION_HANDLE,
}

/// An attribute of a template.
pub enum Value<'a> {
    /// A CK_ULONG.
    Number(CK_ULONG),
    /// A CK_BBOOL.
    Flag(bool),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// A template: type and value.
pub type Template<'a> = [(CK_ATTRIBUTE_TYPE, Value<'a>)];

macro_rules! call {
    ($list:expr, $name:ident $(, $arg:expr)*) => {{
        let function = $list.$name.ok_or(Refusal(stringify!($name), CKR_FUNCTION_NOT_SUPPORTED))?;
        // SAFETY: the list is the module's own, and the pointers are as this file's head says.
        match unsafe { function($($arg),*) } {
            CKR_OK => Ok(()),
            rv => Err(Refusal(stringify!($name), rv)),
        }
    }};
}

impl Module {
    /// Loads a module and initialises it; `reserved` goes into C_Initialize's pReserved.
    pub fn load(path: &Path, reserved: Option<&std::ffi::CStr>) -> Result<Module, String> {
        // SAFETY: a PKCS#11 module, whose initialisers do what any library's do.
        let library =
            unsafe { Library::new(path) }.map_err(|e| format!("{}: {e}", path.display()))?;
        let library: &'static Library = Box::leak(Box::new(library));
        let mut at = null_mut();
        // SAFETY: the specification's signature; the list lives as long as the library, which stays.
        let list = unsafe {
            let get = library
                .get::<unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV>(
                    b"C_GetFunctionList",
                )
                .map_err(|e| e.to_string())?;
            match get(&mut at) {
                CKR_OK => &*at,
                rv => return Err(Refusal("C_GetFunctionList", rv).to_string()),
            }
        };
        let module = Module {
            list,
            newest: newest(library),
        };
        module.initialize(reserved).map_err(|e| e.to_string())?;
        Ok(module)
    }

    /// C_Initialize.
    pub fn initialize(&self, reserved: Option<&std::ffi::CStr>) -> Answer {
        let mut args = CK_C_INITIALIZE_ARGS {
            flags: CKF_OS_LOCKING_OK,
            pReserved: reserved.map_or(null_mut(), |r| r.as_ptr().cast_mut().cast()),
            ..Default::default()
        };
        call!(self.list, C_Initialize, (&raw mut args).cast())
    }

    /// C_Finalize.
    pub fn finalize(&self) -> Answer {
        call!(self.list, C_Finalize, null_mut())
    }

    /// The slots with a token.
    pub fn slots(&self) -> Answer<Vec<CK_SLOT_ID>> {
        let mut count = 0;
        call!(self.list, C_GetSlotList, CK_TRUE, null_mut(), &mut count)?;
        let mut slots = vec![0; count as usize];
        call!(
            self.list,
            C_GetSlotList,
            CK_TRUE,
            slots.as_mut_ptr(),
            &mut count
        )?;
        slots.truncate(count as usize);
        Ok(slots)
    }

    /// Whether a slot's token is initialised.
    pub fn initialized(&self, slot: CK_SLOT_ID) -> Answer<bool> {
        let mut info = CK_TOKEN_INFO::default();
        call!(self.list, C_GetTokenInfo, slot, &mut info)?;
        Ok(info.flags & CKF_TOKEN_INITIALIZED != 0)
    }

    /// C_InitToken.
    pub fn init_token(&self, slot: CK_SLOT_ID, pin: &str) -> Answer {
        let mut label = [b' '; 32];
        label[..5].copy_from_slice(b"bench");
        let (pin, len) = (pin.as_ptr().cast_mut(), pin.len() as CK_ULONG);
        call!(self.list, C_InitToken, slot, pin, len, label.as_mut_ptr())
    }

    /// A read-write session.
    pub fn open(self, slot: CK_SLOT_ID) -> Answer<Session> {
        let mut handle = 0;
        let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
        call!(
            self.list,
            C_OpenSession,
            slot,
            flags,
            null_mut(),
            None,
            &mut handle
        )?;
        Ok(Session {
            module: self,
            handle,
        })
    }
}

/// The module's list of 3.2, if it has one.
fn newest(library: &'static Library) -> Option<&'static List32> {
    type Get = unsafe extern "C" fn(
        *mut CK_UTF8CHAR,
        *mut CK_VERSION,
        *mut *mut CK_INTERFACE,
        CK_FLAGS,
    ) -> CK_RV;
    let mut interface = null_mut();
    let mut version = CK_VERSION { major: 3, minor: 2 };
    // SAFETY: as in `load`; a list that says 3.2 begins as `List32` does.
    unsafe {
        let get = library.get::<Get>(b"C_GetInterface").ok()?;
        (get(null_mut(), &mut version, &mut interface, 0) == CKR_OK)
            .then(|| &*(*interface).pFunctionList.cast::<List32>())
    }
}

/// A mechanism with its parameter, which must outlive it.
pub fn mechanism<T>(code: CK_MECHANISM_TYPE, parameter: Option<&T>) -> CK_MECHANISM {
    CK_MECHANISM {
        mechanism: code,
        pParameter: parameter.map_or(null_mut(), |p| std::ptr::from_ref(p).cast_mut().cast()),
        ulParameterLen: if parameter.is_some() {
            size_of::<T>() as CK_ULONG
        } else {
            0
        },
    }
}

/// A mechanism without a parameter.
pub fn plain(code: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    mechanism::<u8>(code, None)
}

/// GCM's parameters; `iv` is written to where the module makes it.
pub fn gcm(iv: &mut [u8; 12]) -> CK_GCM_PARAMS {
    CK_GCM_PARAMS {
        pIv: iv.as_mut_ptr(),
        ulIvLen: 12,
        ulIvBits: 96,
        pAAD: null_mut(),
        ulAADLen: 0,
        ulTagBits: 128,
    }
}

/// ECDH's parameters without a key derivation function.
pub fn ecdh(point: &[u8]) -> CK_ECDH1_DERIVE_PARAMS {
    CK_ECDH1_DERIVE_PARAMS {
        kdf: CKD_NULL,
        ulSharedDataLen: 0,
        pSharedData: null_mut(),
        ulPublicDataLen: point.len() as CK_ULONG,
        pPublicData: point.as_ptr().cast_mut(),
    }
}

/// OAEP's parameters: SHA-1, the one that every peer takes.
pub fn oaep() -> CK_RSA_PKCS_OAEP_PARAMS {
    CK_RSA_PKCS_OAEP_PARAMS {
        hashAlg: CKM_SHA_1,
        mgf: CKG_MGF1_SHA1,
        source: CKZ_DATA_SPECIFIED,
        pSourceData: null_mut(),
        ulSourceDataLen: 0,
    }
}

static TRUE: CK_BBOOL = CK_TRUE;
static FALSE: CK_BBOOL = CK_FALSE;

fn attributes(template: &Template<'_>) -> Vec<CK_ATTRIBUTE> {
    let attribute = |(code, value): &(CK_ATTRIBUTE_TYPE, Value<'_>)| {
        let (at, len): (*const u8, usize) = match value {
            Value::Number(n) => (std::ptr::from_ref(n).cast(), size_of::<CK_ULONG>()),
            Value::Flag(true) => ((&raw const TRUE).cast(), 1),
            Value::Flag(false) => ((&raw const FALSE).cast(), 1),
            Value::Bytes([]) => (null(), 0),
            Value::Bytes(b) => (b.as_ptr(), b.len()),
        };
        CK_ATTRIBUTE {
            type_: *code,
            pValue: at.cast_mut().cast(),
            ulValueLen: len as CK_ULONG,
        }
    };
    template.iter().map(attribute).collect()
}

macro_rules! one_shot {
    ($(#[$doc:meta])* $name:ident, $init:ident, $act:ident) => {
        $(#[$doc])*
        pub fn $name(&self, mechanism: &CK_MECHANISM, key: CK_OBJECT_HANDLE, data: &[u8], out: &mut [u8]) -> Answer<usize> {
            let mut len = out.len() as CK_ULONG;
            call!(self.module.list, $init, self.handle, std::ptr::from_ref(mechanism).cast_mut(), key)?;
            call!(self.module.list, $act, self.handle, data.as_ptr().cast_mut(), data.len() as CK_ULONG, out.as_mut_ptr(), &mut len)?;
            Ok(len as usize)
        }
    };
}

impl Session {
    one_shot!(/** C_EncryptInit, C_Encrypt. */ encrypt, C_EncryptInit, C_Encrypt);
    one_shot!(/** C_DecryptInit, C_Decrypt. */ decrypt, C_DecryptInit, C_Decrypt);
    one_shot!(/** C_SignInit, C_Sign. */ sign, C_SignInit, C_Sign);

    /// C_VerifyInit, C_Verify.
    pub fn verify(
        &self,
        mechanism: &CK_MECHANISM,
        key: CK_OBJECT_HANDLE,
        data: &[u8],
        signature: &[u8],
    ) -> Answer {
        let (list, mechanism) = (self.module.list, std::ptr::from_ref(mechanism).cast_mut());
        call!(list, C_VerifyInit, self.handle, mechanism, key)?;
        let (at, len) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        call!(
            list,
            C_Verify,
            self.handle,
            at,
            len,
            signature.as_ptr().cast_mut(),
            signature.len() as CK_ULONG
        )
    }

    /// C_DigestInit, C_Digest.
    pub fn digest(&self, mechanism: &CK_MECHANISM, data: &[u8], out: &mut [u8]) -> Answer<usize> {
        let mut len = out.len() as CK_ULONG;
        let list = self.module.list;
        call!(
            list,
            C_DigestInit,
            self.handle,
            std::ptr::from_ref(mechanism).cast_mut()
        )?;
        let (at, size) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        call!(
            list,
            C_Digest,
            self.handle,
            at,
            size,
            out.as_mut_ptr(),
            &mut len
        )?;
        Ok(len as usize)
    }

    /// C_GenerateKey.
    pub fn generate(
        &self,
        mechanism: &CK_MECHANISM,
        template: &Template<'_>,
    ) -> Answer<CK_OBJECT_HANDLE> {
        let (mut made, mut list) = (0, attributes(template));
        let mechanism = std::ptr::from_ref(mechanism).cast_mut();
        call!(
            self.module.list,
            C_GenerateKey,
            self.handle,
            mechanism,
            list.as_mut_ptr(),
            list.len() as CK_ULONG,
            &mut made
        )?;
        Ok(made)
    }

    /// C_GenerateKeyPair: public, private.
    pub fn generate_pair(
        &self,
        mechanism: &CK_MECHANISM,
        public: &Template<'_>,
        private: &Template<'_>,
    ) -> Answer<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE)> {
        let (mut a, mut b) = (0, 0);
        let (mut public, mut private) = (attributes(public), attributes(private));
        call!(
            self.module.list,
            C_GenerateKeyPair,
            self.handle,
            std::ptr::from_ref(mechanism).cast_mut(),
            public.as_mut_ptr(),
            public.len() as CK_ULONG,
            private.as_mut_ptr(),
            private.len() as CK_ULONG,
            &mut a,
            &mut b
        )?;
        Ok((a, b))
    }

    /// C_DeriveKey.
    pub fn derive(
        &self,
        mechanism: &CK_MECHANISM,
        base: CK_OBJECT_HANDLE,
        template: &Template<'_>,
    ) -> Answer<CK_OBJECT_HANDLE> {
        let (mut made, mut list) = (0, attributes(template));
        let mechanism = std::ptr::from_ref(mechanism).cast_mut();
        call!(
            self.module.list,
            C_DeriveKey,
            self.handle,
            mechanism,
            base,
            list.as_mut_ptr(),
            list.len() as CK_ULONG,
            &mut made
        )?;
        Ok(made)
    }

    /// C_EncapsulateKey: the ciphertext's length and the key.
    pub fn encapsulate(
        &self,
        mechanism: &CK_MECHANISM,
        key: CK_OBJECT_HANDLE,
        template: &Template<'_>,
        out: &mut [u8],
    ) -> Answer<(usize, CK_OBJECT_HANDLE)> {
        let newest = self
            .module
            .newest
            .ok_or(Refusal("C_EncapsulateKey", CKR_FUNCTION_NOT_SUPPORTED))?;
        let (mut made, mut list, mut len) = (0, attributes(template), out.len() as CK_ULONG);
        let mechanism = std::ptr::from_ref(mechanism).cast_mut();
        // SAFETY: as this file's head says.
        let rv = unsafe {
            (newest.encapsulate)(
                self.handle,
                mechanism,
                key,
                list.as_mut_ptr(),
                list.len() as CK_ULONG,
                out.as_mut_ptr(),
                &mut len,
                &mut made,
            )
        };
        if rv == CKR_OK {
            Ok((len as usize, made))
        } else {
            Err(Refusal("C_EncapsulateKey", rv))
        }
    }

    /// C_DecapsulateKey.
    pub fn decapsulate(
        &self,
        mechanism: &CK_MECHANISM,
        key: CK_OBJECT_HANDLE,
        template: &Template<'_>,
        cipher: &[u8],
    ) -> Answer<CK_OBJECT_HANDLE> {
        let newest = self
            .module
            .newest
            .ok_or(Refusal("C_DecapsulateKey", CKR_FUNCTION_NOT_SUPPORTED))?;
        let (mut made, mut list) = (0, attributes(template));
        let mechanism = std::ptr::from_ref(mechanism).cast_mut();
        let (at, len) = (cipher.as_ptr().cast_mut(), cipher.len() as CK_ULONG);
        // SAFETY: as this file's head says.
        let rv = unsafe {
            (newest.decapsulate)(
                self.handle,
                mechanism,
                key,
                list.as_mut_ptr(),
                list.len() as CK_ULONG,
                at,
                len,
                &mut made,
            )
        };
        if rv == CKR_OK {
            Ok(made)
        } else {
            Err(Refusal("C_DecapsulateKey", rv))
        }
    }

    /// C_CreateObject.
    pub fn create(&self, template: &Template<'_>) -> Answer<CK_OBJECT_HANDLE> {
        let (mut made, mut list) = (0, attributes(template));
        call!(
            self.module.list,
            C_CreateObject,
            self.handle,
            list.as_mut_ptr(),
            list.len() as CK_ULONG,
            &mut made
        )?;
        Ok(made)
    }

    /// C_DestroyObject.
    pub fn destroy(&self, object: CK_OBJECT_HANDLE) -> Answer {
        call!(self.module.list, C_DestroyObject, self.handle, object)
    }

    /// C_FindObjectsInit, C_FindObjects, C_FindObjectsFinal: how many of at most ten.
    pub fn find(&self, template: &Template<'_>) -> Answer<usize> {
        let (mut found, mut count, mut list) = ([0; 10], 0, attributes(template));
        call!(
            self.module.list,
            C_FindObjectsInit,
            self.handle,
            list.as_mut_ptr(),
            list.len() as CK_ULONG
        )?;
        call!(
            self.module.list,
            C_FindObjects,
            self.handle,
            found.as_mut_ptr(),
            10,
            &mut count
        )?;
        call!(self.module.list, C_FindObjectsFinal, self.handle)?;
        Ok(count as usize)
    }

    /// One attribute of bytes.
    pub fn attribute(&self, object: CK_OBJECT_HANDLE, code: CK_ATTRIBUTE_TYPE) -> Answer<Vec<u8>> {
        let mut value = vec![0; 4096];
        let mut attribute = CK_ATTRIBUTE {
            type_: code,
            pValue: value.as_mut_ptr().cast(),
            ulValueLen: value.len() as CK_ULONG,
        };
        call!(
            self.module.list,
            C_GetAttributeValue,
            self.handle,
            object,
            &mut attribute,
            1
        )?;
        value.truncate(attribute.ulValueLen as usize);
        Ok(value)
    }

    /// C_Login.
    pub fn login(&self, user: CK_USER_TYPE, pin: &str) -> Answer {
        call!(
            self.module.list,
            C_Login,
            self.handle,
            user,
            pin.as_ptr().cast_mut(),
            pin.len() as CK_ULONG
        )
    }

    /// C_InitPIN.
    pub fn init_pin(&self, pin: &str) -> Answer {
        call!(
            self.module.list,
            C_InitPIN,
            self.handle,
            pin.as_ptr().cast_mut(),
            pin.len() as CK_ULONG
        )
    }

    /// C_Logout.
    pub fn logout(&self) -> Answer {
        call!(self.module.list, C_Logout, self.handle)
    }

    /// C_CloseSession.
    pub fn close(&self) -> Answer {
        call!(self.module.list, C_CloseSession, self.handle)
    }
}
