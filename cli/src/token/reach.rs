//! Reaches a token: loads the module, finds the token by its label, opens a session, and says in words what a module answered.

use std::path::{Path, PathBuf};

use clap::Args;
use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};

use super::place::{self, Config};
use super::secret::{PIN, Secret};
use super::unseen::{Stores, Unseen};
use super::{Failure, Place, Result, failed, usage};
use crate::module;

/// Which token, and as whom.
#[derive(Args)]
pub struct Which {
    /// The token's label [default: the only token that there is]
    #[arg(long, value_name = "LABEL")]
    pub token: Option<String>,
    /// The token's serial number, where several have one label
    #[arg(long, value_name = "NUMBER")]
    pub serial: Option<String>,
    /// The user's PIN; on a cluster user:password
    #[arg(long, value_name = "PIN", env = "KEYSTEAD_PIN", hide_env_values = true)]
    pub pin: Option<Secret>,
}

/// A loaded module.
pub struct Module {
    ctx: Pkcs11,
    config: Config,
    /// Where embedded tokens are, if the module is ours.
    directories: Vec<PathBuf>,
    stores: Stores,
    /// Held while tokens may be made: see [`Config::turn`].
    turn: Option<std::fs::File>,
}

/// A token of it.
pub struct Found {
    /// Where it is.
    pub slot: Slot,
    /// What it says of itself.
    pub info: TokenInfo,
}

impl Module {
    /// The module of the command line, for tokens that are there: nothing is made.
    pub fn load(place: &Place) -> Result<Module> {
        // The module first: what is wrong with its configuration is the better reason.
        let module = Module::load_to_list(place)?;
        match place::nothing(place)? {
            Some(why) => failed(why),
            None => Ok(module),
        }
    }

    /// The same where no token at all is no mistake.
    pub fn load_to_list(place: &Place) -> Result<Module> {
        let config = match place.module {
            Some(_) => Config::none(),
            None => place::config(place)?,
        };
        Module::load_with(place, config)
    }

    /// The same, able to offer an uninitialised token to make a token of.
    pub fn load_for_new(place: &Place) -> Result<Module> {
        match place.module {
            Some(_) => Module::load(place),
            None => {
                let config = place::config_for_new(place)?;
                let turn = config.turn();
                let mut module = Module::load_with(place, config)?;
                module.turn = turn;
                Ok(module)
            }
        }
    }

    /// Has our module offer an uninitialised token, or no longer: an unused one is not to be left behind.
    pub fn offer_blank(&self, offer: bool) -> Result<()> {
        self.config.offer_blank(offer)
    }

    fn load_with(place: &Place, config: Config) -> Result<Module> {
        if let Some(path) = &place.module {
            return Module::open_at(path, Config::none());
        }
        let path = module::beside_us().map_err(Failure::Failed)?;
        let directories = place::directories(place)?;
        let stores = Stores::of(&directories);
        let mut module = Module::open_at(&path, config)?;
        (module.directories, module.stores) = (directories, stores);
        Ok(module)
    }

    /// The module in a file.
    pub fn open_at(path: &Path, config: Config) -> Result<Module> {
        let open = |reserved: Option<&str>| kms_core::p11::open(path, reserved);
        let opened = open(config.reserved.as_deref()).map_err(|why| {
            // The module refuses the user's own file for the same reason, and then names that one and its line.
            let own = config.source.as_deref().and_then(Path::to_str);
            let named = own.and_then(|own| open(Some(own)).err());
            Failure::Usage(named.unwrap_or(why))
        });
        Ok(Module {
            ctx: opened?,
            config,
            directories: Vec::new(),
            stores: Stores::default(),
            turn: None,
        })
    }

    /// Every token that answers.
    pub fn tokens(&self) -> Result<Vec<Found>> {
        let slots = self.ctx.get_slots_with_token().map_err(said)?;
        // One slot that does not answer must not hide the others.
        Ok(slots
            .into_iter()
            .filter_map(|slot| {
                Some(Found {
                    slot,
                    info: self.ctx.get_token_info(slot).ok()?,
                })
            })
            .collect())
    }

    /// Whether a slot has no token now: a cluster of which no HSM answers. The module says why.
    pub fn is_short_of_tokens(&self) -> Result<bool> {
        let all = self.ctx.get_all_slots().map_err(said)?;
        let there = self.ctx.get_slots_with_token().map_err(said)?;
        Ok(there.len() < all.len())
    }

    /// Stores of embedded tokens that the module leaves out, since they cannot be opened.
    pub fn unseen(&self, shown: &[Found]) -> Vec<Unseen> {
        self.stores.unseen(shown)
    }

    /// The token that is meant. Where it is not there, what cannot be opened is said too: it may be that one.
    pub fn token(&self, which: &Which) -> Result<Found> {
        self.choose(which).or_else(|failure| {
            let unseen = self.unseen(&self.tokens()?);
            let unseen: Vec<_> = unseen.iter().map(Unseen::to_string).collect();
            match failure {
                // No advice to make one: it is there, and does not open.
                Failure::Failed(why) if !unseen.is_empty() => match why == NO_TOKEN {
                    true => failed(unseen.join("; ")),
                    false => failed(format!("{why}; {}", unseen.join("; "))),
                },
                failure => Err(failure),
            }
        })
    }

    fn choose(&self, which: &Which) -> Result<Found> {
        let mut tokens = self.tokens()?;
        tokens.retain(|token| token.info.token_initialized());
        let labels = tokens
            .iter()
            .map(|t| t.info.label().to_owned())
            .collect::<Vec<_>>()
            .join(", ");
        let fits = |token: &Found| {
            which
                .token
                .as_ref()
                .is_none_or(|label| token.info.label() == label)
                && which
                    .serial
                    .as_ref()
                    .is_none_or(|serial| token.info.serial_number() == serial)
        };
        tokens.retain(fits);
        match tokens.len() {
            1 => Ok(tokens.remove(0)),
            0 if labels.is_empty() => failed(NO_TOKEN),
            0 => failed(format!(
                "there is no token {}; there are: {labels}",
                which.named()
            )),
            _ if which.token.is_none() && which.serial.is_none() => usage(format!(
                "there are several tokens: name one with --token; there are: {labels}"
            )),
            _ => {
                let serials = tokens
                    .iter()
                    .map(|t| t.info.serial_number().to_owned())
                    .collect::<Vec<_>>()
                    .join(", ");
                usage(format!(
                    "several tokens have this label: choose with --serial among {serials}"
                ))
            }
        }
    }

    /// A session with the token, logged in as its user.
    pub fn user(&self, token: &Found, pin: &Secret) -> Result<Session> {
        let session = self.open(token)?;
        session
            .login(UserType::User, Some(&pin.pin()))
            .map_err(|error| login_said(error, token))?;
        Ok(session)
    }

    /// Whether it is our own module, and its tokens may be told to be embedded ones.
    pub fn is_ours(&self) -> bool {
        !self.directories.is_empty()
    }

    /// Why no token can be made in the first directory, if that is because of the directory.
    pub fn unwritable(&self) -> Option<String> {
        let directory = self.directories.first()?;
        let tried = std::fs::create_dir_all(directory).and_then(|()| {
            let path = directory.join(format!(".written-{}", std::process::id()));
            std::fs::create_dir(&path).and_then(|()| std::fs::remove_dir(&path))
        });
        let why = |error| format!("{} cannot be written: {error}", directory.display());
        tried.err().map(why)
    }

    /// The token that is meant, in a session of its user; asks for the PIN only once the token is found.
    pub fn user_of(&self, which: &Which) -> Result<(Found, Session)> {
        let token = self.token(which)?;
        let pin = PIN.given_or_asked(which.pin.as_ref())?;
        let session = self.user(&token, &pin)?;
        Ok((token, session))
    }

    /// A session without a login.
    pub fn open(&self, token: &Found) -> Result<Session> {
        self.ctx.open_rw_session(token.slot).map_err(said)
    }

    /// The library itself.
    pub fn ctx(&self) -> &Pkcs11 {
        &self.ctx
    }
}

const NO_TOKEN: &str =
    "there is no initialised token: make one with `keystead token init --label LABEL`";

impl Which {
    fn named(&self) -> String {
        match (&self.token, &self.serial) {
            (Some(label), None) => label.clone(),
            (Some(label), Some(serial)) => format!("{label} with serial number {serial}"),
            (None, Some(serial)) => format!("with serial number {serial}"),
            (None, None) => String::new(),
        }
    }
}

/// What a module's answer means.
pub fn said(error: Error) -> Failure {
    Failure::Failed(words(&error))
}

/// The same of a login.
pub fn login_said(error: Error, token: &Found) -> Failure {
    match &error {
        Error::Pkcs11(RvError::UserPinNotInitialized, _) => Failure::Failed(format!(
            "the token {0} has no user's PIN yet: `keystead token init --label {0} --if-not-exists` sets it",
            token.info.label()
        )),
        Error::Pkcs11(RvError::PinIncorrect, _) => Failure::Failed(format!(
            "{}; it was given as the user's PIN of the token {}",
            words(&error),
            token.info.label()
        )),
        _ => said(error),
    }
}

/// The answer by its name in the specification, and what to do about it where that is known.
pub fn words(error: &Error) -> String {
    let Error::Pkcs11(code, function) = error else {
        return error.to_string();
    };
    let advice = match code {
        RvError::PinIncorrect => ": the PIN is wrong; each wrong one counts towards locking it",
        RvError::PinLocked => {
            ": the PIN is locked after too many wrong ones; the security officer can set a new one"
        }
        RvError::PinLenRange => {
            ": a PIN of this length is not allowed; `token list --output json` shows the limits"
        }
        RvError::UserNotLoggedIn => ": this needs a login",
        RvError::TokenWriteProtected => {
            ": the token's files cannot be written; look at their owner and rights"
        }
        RvError::SessionExists => ": another application has the token open; close it first",
        RvError::AttributeReadOnly => ": the token does not let an attribute be set to this value",
        RvError::AttributeTypeInvalid => ": the token does not know an attribute of this object",
        RvError::AttributeValueInvalid => {
            ": the token does not take a value of this object, or this kind of key"
        }
        RvError::TemplateInconsistent => {
            ": the object's attributes contradict each other for this token; one with the personality `cloudhsm`, a cluster's default, \
             takes fewer of them: KEYSTEAD_PKCS11_LOG=stderr says which rule it was, and `personality = \"standard\"` in the \
             module's configuration takes all"
        }
        RvError::DeviceMemory => ": the disk is full",
        RvError::ActionProhibited => ": the object is marked as not to be changed or destroyed",
        _ => "",
    };
    format!("C_{function:?} answered {}{advice}", rv_name(*code))
}

/// `PinIncorrect` as the specification writes it.
fn rv_name(code: RvError) -> String {
    if let RvError::UnknownErrorCode(number) = code {
        return format!("{number:#x}");
    }
    let mut name = String::from("CKR");
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki::context::Function;

    #[test]
    fn answers_have_the_names_of_the_specification() {
        let text = words(&Error::Pkcs11(RvError::PinIncorrect, Function::Login));
        assert!(
            text.starts_with("C_Login answered CKR_PIN_INCORRECT: the PIN is wrong"),
            "{text}"
        );
        assert_eq!(rv_name(RvError::UnknownErrorCode(0x42)), "0x42");
    }
}
