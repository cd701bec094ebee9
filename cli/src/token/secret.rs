//! PINs and passphrases: from an option, from the environment (clap reads both), else asked for at the terminal. Never shown.

use std::io::IsTerminal;
use std::str::FromStr;

use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use super::{Result, usage};

/// Something that must not be seen.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> std::result::Result<Secret, Self::Err> {
        Ok(Secret(Zeroizing::new(text.to_owned())))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// What it is.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// For a login.
    pub fn pin(&self) -> AuthPin {
        AuthPin::from(self.text().to_owned())
    }
}

/// A secret that was given, if it is one: a variable that is set to nothing gives none, and must not cost a try.
pub fn present(given: Option<&Secret>) -> Option<&Secret> {
    given.filter(|secret| !secret.text().is_empty())
}

/// Which secret is wanted, and the other ways to give it.
pub struct Wanted {
    /// As in "the PIN of the user".
    pub what: &'static str,
    /// The option.
    pub option: &'static str,
    /// The variable.
    pub variable: &'static str,
}

/// The user's PIN.
pub const PIN: Wanted = Wanted {
    what: "the user's PIN",
    option: "--pin",
    variable: "KEYSTEAD_PIN",
};
/// The security officer's PIN.
pub const SO_PIN: Wanted = Wanted {
    what: "the security officer's PIN",
    option: "--so-pin",
    variable: "KEYSTEAD_SO_PIN",
};
/// What a file is encrypted under.
pub const PASSPHRASE: Wanted = Wanted {
    what: "the file's passphrase",
    option: "--passphrase",
    variable: "KEYSTEAD_PASSPHRASE",
};

impl Wanted {
    /// The one that was given, else the one that somebody types.
    pub fn given_or_asked(&self, given: Option<&Secret>) -> Result<Secret> {
        match present(given) {
            Some(secret) => Ok(secret.clone()),
            None if std::io::stdin().is_terminal() => self.ask(&capital(self.what)),
            None => usage(format!(
                "{} is missing: give {} or set {}; nobody can be asked, since the standard input is no terminal",
                self.what, self.option, self.variable
            )),
        }
    }

    /// The same for a secret that is being chosen: whoever types it types it twice.
    pub fn given_or_chosen(&self, given: Option<&Secret>) -> Result<Secret> {
        let first = self.given_or_asked(given)?;
        if present(given).is_none() && self.ask("The same again")?.text() != first.text() {
            return usage(format!("{} was not typed twice the same", self.what));
        }
        Ok(first)
    }

    fn ask(&self, prompt: &str) -> Result<Secret> {
        match rpassword::prompt_password(format!("{prompt}: ")) {
            Ok(text) => Ok(Secret(Zeroizing::new(text))),
            Err(error) => usage(format!("{} could not be read: {error}", self.what)),
        }
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_one_is_none() {
        let secrets: [Secret; 2] = ["", "1234"].map(|text| text.parse().unwrap());
        assert!(present(Some(&secrets[0])).is_none());
        assert!(present(Some(&secrets[1])).is_some());
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        let secret: Secret = "1234".parse().unwrap();
        assert!(!format!("{secret:?}").contains("1234"));
        assert_eq!(secret.text(), "1234");
    }
}
