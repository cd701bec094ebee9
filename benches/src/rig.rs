//! The modules under test: where they are, their empty places in a temporary directory, their tokens.

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use pkcs11_sys::{CK_SLOT_ID, CKU_SO, CKU_USER};

use crate::raw::{Module, Session};

/// The user's PIN of every embedded token.
pub const USER_PIN: &str = "1234567890";
const SO_PIN: &str = "0987654321";

/// An initialised token of one module, its user logged in.
#[derive(Clone)]
pub struct Peer {
    /// For the table.
    pub name: &'static str,
    /// Its file.
    pub path: PathBuf,
    /// Its token's slot.
    pub slot: CK_SLOT_ID,
    /// The module.
    pub module: Module,
    /// A session, kept open for the login's sake.
    pub session: Session,
}

impl Peer {
    /// Loads the module, makes a token where there is none, and logs in.
    pub fn open(name: &'static str, path: &Path) -> Result<Peer, String> {
        let module = Module::load(path, None).map_err(|e| format!("{name}: {e}"))?;
        Self::with(name, path, module).map_err(|e| format!("{name}: {e}"))
    }

    fn with(
        name: &'static str,
        path: &Path,
        module: Module,
    ) -> Result<Peer, Box<dyn std::error::Error>> {
        let first = *module.slots()?.first().ok_or("no slot with a token")?;
        if !module.initialized(first)? {
            module.init_token(first, SO_PIN)?;
        }
        // SoftHSM2 moves a token to another slot when it is initialised.
        let slot = initialized(module)?;
        let officer = module.open(slot)?;
        officer.login(CKU_SO, SO_PIN)?;
        officer.init_pin(USER_PIN)?;
        officer.logout()?;
        let session = module.open(slot)?;
        session.login(CKU_USER, USER_PIN)?;
        Ok(Peer {
            name,
            path: path.to_owned(),
            slot,
            module,
            session,
        })
    }

    /// The token that [`start`] has logged in to.
    ///
    /// # Errors
    /// What the module refuses.
    pub fn started(
        name: &'static str,
        path: &Path,
        session: Session,
    ) -> Result<Peer, Box<dyn std::error::Error>> {
        let module = session.module;
        Ok(Peer {
            name,
            path: path.to_owned(),
            slot: initialized(module)?,
            module,
            session,
        })
    }

    /// Another slot of a module that is loaded already, its user logged in.
    pub fn cluster(
        name: &'static str,
        of: &Peer,
        slot: CK_SLOT_ID,
        pin: &str,
    ) -> Result<Peer, Box<dyn std::error::Error>> {
        let session = of.module.open(slot)?;
        session.login(CKU_USER, pin)?;
        Ok(Peer {
            name,
            path: of.path.clone(),
            slot,
            module: of.module,
            session,
        })
    }

    /// One more session, logged in as the application is.
    pub fn open_session(&self) -> Session {
        self.module
            .open(self.slot)
            .unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }
}

/// The first slot with an initialised token.
pub fn initialized(module: Module) -> Result<CK_SLOT_ID, Box<dyn std::error::Error>> {
    for slot in module.slots()? {
        if module.initialized(slot)? {
            return Ok(slot);
        }
    }
    Err("no slot with an initialised token".into())
}

/// Loads a module, logs in to its first initialised token: what a short-lived program does. For a process of its own.
pub fn start(path: &Path, reserved: Option<&CStr>) -> Result<Session, Box<dyn std::error::Error>> {
    let module = Module::load(path, reserved)?;
    let session = module.open(initialized(module)?)?;
    session.login(CKU_USER, USER_PIN)?;
    Ok(session)
}

/// This program again, with an environment that gives every module an empty place under `dir`. (A process cannot safely change
/// its own environment once it has threads.)
pub fn under_test(dir: &Path) -> std::io::Result<Command> {
    let tokens = dir.join("softhsm");
    std::fs::create_dir_all(&tokens)?;
    let soft = dir.join("softhsm2.conf");
    std::fs::write(
        &soft,
        format!(
            "directories.tokendir = {}\nlog.level = ERROR\n",
            tokens.display()
        ),
    )?;
    let kryoptic = dir.join("kryoptic.conf");
    let database = dir.join("kryoptic.sql");
    let slot = format!(
        "[[slots]]\nslot = 42\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n",
        database.display()
    );
    std::fs::write(&kryoptic, slot)?;
    let ours = dir.join("pkcs11.toml");
    if !ours.exists() {
        std::fs::write(&ours, "[[token]]\ndirectory = \"keystead\"\n")?;
    }
    let mut command = Command::new(std::env::current_exe()?);
    command
        .env("SOFTHSM2_CONF", soft)
        .env("KRYOPTIC_CONF", kryoptic)
        .env("KEYSTEAD_PKCS11_CONF", ours)
        .env("HOME", dir)
        .env_remove("KEYSTEAD_PKCS11_LOG");
    Ok(command)
}

/// A file at the root of this source tree.
pub fn at_root(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)
}

/// Our module: `KEYSTEAD_SO`, else the release build.
pub fn ours() -> Result<PathBuf, String> {
    find(
        "KEYSTEAD_SO",
        &[at_root("target/release/libkeystead_pkcs11.so")],
        "cargo build --release",
    )
}

/// SoftHSM2: `SOFTHSM2_SO`, else where distributions put it.
pub fn soft() -> Result<PathBuf, String> {
    let places = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib64/softhsm/libsofthsm.so",
    ];
    find(
        "SOFTHSM2_SO",
        &places.map(PathBuf::from),
        "install softhsm2",
    )
}

/// Kryoptic: `KRYOPTIC_SO`, else what the crate in `benches/kryoptic` leaves.
pub fn kryoptic() -> Result<PathBuf, String> {
    let deps = at_root("benches/kryoptic/target/release/deps");
    let built: Vec<PathBuf> = std::fs::read_dir(deps)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "so"))
        .filter(|path| {
            path.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with("libkryoptic_pkcs11"))
        })
        .collect();
    find(
        "KRYOPTIC_SO",
        &built,
        "cargo build --release --manifest-path benches/kryoptic/Cargo.toml",
    )
}

fn find(variable: &str, places: &[PathBuf], how: &str) -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let found = places.iter().find(|path| path.exists());
    found
        .cloned()
        .ok_or_else(|| format!("a module is missing: {how}, or name it by {variable}"))
}
