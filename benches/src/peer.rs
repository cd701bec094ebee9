//! A module under test.

use std::path::{Path, PathBuf};
use std::process::Command;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;

const USER_PIN: &str = "1234567890";
const SO_PIN: &str = "0987654321";

/// An initialised token of one module, with a session logged in.
pub struct Peer {
    /// For the table.
    pub name: &'static str,
    /// Logged in as the user, read-write.
    pub session: Session,
    /// AES-256, may encrypt and decrypt.
    pub aes: ObjectHandle,
    /// RSA-2048, may sign.
    pub rsa: ObjectHandle,
}

impl Peer {
    /// Loads the module and makes a token and its keys. Its environment must have been set by [`under_test`].
    pub fn open(name: &'static str, path: &Path) -> Result<Peer, Error> {
        let module = Pkcs11::new(path)?;
        module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
        let slot = module.get_slots_with_token()?[0];
        module.init_token(slot, &pin(SO_PIN), "bench")?;
        // SoftHSM2 moves a token to another slot when it is initialised.
        let slot = module.get_slots_with_initialized_token()?[0];
        {
            let officer = module.open_rw_session(slot)?;
            officer.login(UserType::So, Some(&pin(SO_PIN)))?;
            officer.init_pin(&pin(USER_PIN))?;
            officer.logout()?;
        }
        let session = module.open_rw_session(slot)?;
        session.login(UserType::User, Some(&pin(USER_PIN)))?;
        let aes = session.generate_key(
            &Mechanism::AesKeyGen,
            &[
                Attribute::ValueLen(32.into()),
                Attribute::Encrypt(true),
                Attribute::Decrypt(true),
                Attribute::Token(false),
            ],
        )?;
        let (_, rsa) = session.generate_key_pair(
            &Mechanism::RsaPkcsKeyPairGen,
            &[
                Attribute::ModulusBits(2048.into()),
                Attribute::PublicExponent(vec![1, 0, 1]),
            ],
            &[Attribute::Sign(true), Attribute::Token(false)],
        )?;
        Ok(Peer {
            name,
            session,
            aes,
            rsa,
        })
    }

    /// Puts small token objects into the token, each under a label of its own: `label-0`, `label-1`, ...
    pub fn fill(&self, count: usize) -> Result<(), Error> {
        for n in 0..count {
            self.session.create_object(&[
                Attribute::Class(cryptoki::object::ObjectClass::DATA),
                Attribute::Token(true),
                Attribute::Private(false),
                Attribute::Label(label(n)),
                Attribute::Value(vec![0; 16]),
            ])?;
        }
        Ok(())
    }
}

/// The label of the `n`th object of [`Peer::fill`].
pub fn label(n: usize) -> Vec<u8> {
    format!("label-{n}").into_bytes()
}

fn pin(text: &str) -> AuthPin {
    AuthPin::new(text.to_owned().into())
}

/// This program again, with the environment that gives every module an empty place under `dir`. (A process cannot safely change
/// its own environment once it has threads.)
pub fn under_test(dir: &Path) -> std::io::Result<Command> {
    let tokens = dir.join("softhsm");
    std::fs::create_dir_all(&tokens)?;
    let conf = dir.join("softhsm2.conf");
    std::fs::write(
        &conf,
        format!(
            "directories.tokendir = {}\nlog.level = ERROR\n",
            tokens.display()
        ),
    )?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .env("SOFTHSM2_CONF", conf)
        .env("XDG_DATA_HOME", dir.join("data"))
        .env("XDG_CONFIG_HOME", dir.join("config"));
    Ok(command)
}

/// Where a module is: `KEYSTEAD_SO` or the release build for ours, `SOFTHSM2_SO` or the usual places for SoftHSM2.
pub fn find(variable: &str, places: &[&str]) -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    places
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .ok_or_else(|| {
            format!(
                "none of {} exists; build or install it, or name it by {variable}",
                places.join(", ")
            )
        })
}
