//! `keystead token init`: a token with both PINs. Repeated, or half done before, it ends with the same token.

use clap::Args;
use cryptoki::session::UserType;
use hsm_sim::PinRules;
use serde_json::json;

use super::reach::{Found, Module, said};
use super::secret::{PIN, SO_PIN, Secret};
use super::{Answer, Failure, Place, Result, failed, usage};

/// The options.
#[derive(Args)]
pub struct Init {
    /// The token's label: at most 32 bytes
    #[arg(long, value_name = "LABEL")]
    label: String,
    /// The security officer's PIN, who sets the user's PIN
    #[arg(
        long,
        value_name = "PIN",
        env = "KEYSTEAD_SO_PIN",
        hide_env_values = true
    )]
    so_pin: Option<Secret>,
    /// The user's PIN, under which keys are used
    #[arg(long, value_name = "PIN", env = "KEYSTEAD_PIN", hide_env_values = true)]
    pin: Option<Secret>,
    /// Succeed without touching a token of this label that is there
    #[arg(long)]
    if_not_exists: bool,
}

const LABEL_MAX: usize = 32;

pub(super) fn run(place: &Place, args: &Init) -> Result<Answer> {
    if args.label.is_empty() || args.label.len() > LABEL_MAX {
        return usage(format!(
            "--label: a token's label has 1 to {LABEL_MAX} bytes"
        ));
    }
    if let (Some(so_pin), Some(pin), None) = (&args.so_pin, &args.pin, &place.module) {
        both_fit(Some(embedded()), so_pin, pin)?;
    }
    let module = Module::load_for_new(place)?;
    let there = token_of(&module, &args.label)?;
    heed_unseen(&module, there.is_none().then_some(&args.label))?;
    if there.is_some() && !args.if_not_exists {
        return failed(format!(
            "there is a token {} already: choose another label, delete it with `keystead token delete --token {} --whole-token`, \
             or say --if-not-exists if it is the wanted one",
            args.label, args.label
        ));
    }
    if let Some(token) = &there
        && token.info.user_pin_initialized()
    {
        return Ok(answer(token, false));
    }
    let so_pin = SO_PIN.given_or_chosen(args.so_pin.as_ref())?;
    let pin = PIN.given_or_chosen(args.pin.as_ref())?;
    let made = there.is_none();
    let token = match there {
        Some(half_done) => {
            both_fit(Some(lengths(&half_done)), &so_pin, &pin)?;
            set_pin(&module, &half_done, &so_pin, &pin)?;
            half_done
        }
        None => make(&module, &args.label, &so_pin, &pin, args.if_not_exists)?,
    };
    match token_of(&module, &args.label)? {
        Some(token) => Ok(answer(&token, made)),
        None => failed(format!(
            "the token {} was made, and is gone again: somebody else deleted it",
            token.info.label()
        )),
    }
}

/// Says which stores cannot be opened, and refuses to make a token of the label `wanted` while one of them may have it: a second
/// token beside a damaged one would be taken for it, and is empty.
pub fn heed_unseen(module: &Module, wanted: Option<&String>) -> Result<()> {
    for store in module.unseen(&module.tokens()?) {
        if wanted.is_some_and(|wanted| store.label.as_ref().is_none_or(|label| label == wanted)) {
            return failed(format!(
                "{store}; it may be the wanted token: mend it (its owner and rights too), bring back a copy of its directory, or move that elsewhere"
            ));
        }
        eprintln!("keystead: {store}");
    }
    Ok(())
}

/// How long the PINs of our embedded tokens are.
fn embedded() -> (usize, usize) {
    let rules = PinRules::embedded();
    (rules.min as usize, rules.max as usize)
}

/// Makes a token with both PINs of the blank one that the module offers.
pub fn make(
    module: &Module,
    label: &str,
    so_pin: &Secret,
    pin: &Secret,
    or_find: bool,
) -> Result<Found> {
    // Once it has a security officer's PIN it is a token, and without a user's PIN of no use.
    both_fit(module.is_ours().then(embedded), so_pin, pin)?;
    module.offer_blank(true)?;
    let blank = module
        .tokens()?
        .into_iter()
        .find(|token| !token.info.token_initialized());
    let Some(blank) = blank else {
        return failed(match module.unwritable() {
            Some(why) => format!("no token can be made: {why}"),
            None => "the module offers no uninitialised token to make one of".to_owned(),
        });
    };
    both_fit(Some(lengths(&blank)), so_pin, pin)?;
    let made = module.ctx().init_token(blank.slot, &so_pin.pin(), label);
    module.offer_blank(false)?;
    if let Err(error) = made {
        // Somebody else may have made a token of the blank one meanwhile; if it is the wanted one, that is as good.
        return match token_of(module, label)? {
            Some(token) if or_find => Ok(token),
            _ => Err(said(error)),
        };
    }
    let Some(token) = token_of(module, label)? else {
        return failed("the module made the token and does not list it");
    };
    set_pin(module, &token, so_pin, pin)?;
    Ok(token)
}

fn lengths(token: &Found) -> (usize, usize) {
    (token.info.min_pin_length(), token.info.max_pin_length())
}

/// Whether the token will take both PINs.
fn both_fit(lengths: Option<(usize, usize)>, so_pin: &Secret, pin: &Secret) -> Result<()> {
    // A token that tells no limit will say by itself what it does not take.
    let Some((min, max)) = lengths.filter(|(_, max)| *max != 0) else {
        return Ok(());
    };
    for (wanted, secret) in [(&SO_PIN, so_pin), (&PIN, pin)] {
        if !(min..=max).contains(&secret.text().len()) {
            return usage(format!(
                "{} ({}, {}): the token takes {min} to {max} bytes; no token was made",
                wanted.what, wanted.option, wanted.variable
            ));
        }
    }
    Ok(())
}

fn set_pin(module: &Module, token: &Found, so_pin: &Secret, pin: &Secret) -> Result<()> {
    let session = module.open(token)?;
    session
        .login(UserType::So, Some(&so_pin.pin()))
        .map_err(|error| match said(error) {
            Failure::Failed(why) | Failure::Usage(why) => Failure::Failed(format!(
                "{why} (the login of the security officer of the token {})",
                token.info.label()
            )),
        })?;
    session.init_pin(&pin.pin()).map_err(said)?;
    session.logout().map_err(said)
}

/// The initialised token of this label.
pub fn token_of(module: &Module, label: &str) -> Result<Option<Found>> {
    Ok(module
        .tokens()?
        .into_iter()
        .find(|token| token.info.token_initialized() && token.info.label() == label))
}

fn answer(token: &Found, made: bool) -> Answer {
    let (label, serial) = (token.info.label(), token.info.serial_number());
    let text = match made {
        true => format!("made the token {label}, serial number {serial}"),
        false => format!("the token {label} is there, serial number {serial}"),
    };
    Answer::new(
        text,
        json!({ "token": label, "serial": serial, "slot": token.slot.id(), "created": made }),
    )
}
