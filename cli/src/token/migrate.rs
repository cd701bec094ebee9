//! `keystead token migrate`: the objects of another token, with their attributes, and of a SoftHSM2 token directory also its
//! PINs and the keys that SoftHSM2 itself would not let out. What stays behind is said with the reason.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::carry::{Haul, Outcome, deliver};
use super::init::{self, token_of};
use super::place::Config;
use super::reach::{Found, Module, Which};
use super::secret::{SO_PIN, Secret, Wanted, present};
use super::softhsm::{self, Token};
use super::{Answer, Failure, Place, Result, failed, source, usage};

/// The options.
#[derive(Args)]
pub struct Migrate {
    /// SoftHSM2's token directory, one token's directory, or a softhsm2.conf
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "from_module",
        conflicts_with = "from_module"
    )]
    from: Option<PathBuf>,
    /// Another PKCS#11 module whose token is the source
    #[arg(long, value_name = "SO")]
    from_module: Option<PathBuf>,
    /// The source token's label [default: the only token that there is]
    #[arg(long, value_name = "LABEL")]
    from_token: Option<String>,
    /// The user's PIN of the source [default: the same as of the target]
    #[arg(
        long,
        value_name = "PIN",
        env = "KEYSTEAD_FROM_PIN",
        hide_env_values = true
    )]
    from_pin: Option<Secret>,
    /// The target token's label; made if it is not there [default: the source's]
    #[arg(long, value_name = "LABEL")]
    token: Option<String>,
    /// The user's PIN
    #[arg(long, value_name = "PIN", env = "KEYSTEAD_PIN", hide_env_values = true)]
    pin: Option<Secret>,
    /// The security officer's PIN, if the target is still to be made
    #[arg(
        long,
        value_name = "PIN",
        env = "KEYSTEAD_SO_PIN",
        hide_env_values = true
    )]
    so_pin: Option<Secret>,
}

const FROM_PIN: Wanted = Wanted {
    what: "the PIN of the source's user",
    option: "--from-pin",
    variable: "KEYSTEAD_FROM_PIN",
};

/// Where the objects come from.
enum Source {
    SoftHsm(Token),
    Module(Box<(Module, Found)>),
}

impl Source {
    fn open(args: &Migrate) -> Result<Source> {
        match (&args.from, &args.from_module) {
            (Some(dir), _) => Ok(Source::SoftHsm(chosen(dir, args.from_token.as_deref())?)),
            (None, Some(so)) => {
                let module = Module::open_at(so, Config::none())?;
                let which = Which {
                    token: args.from_token.clone(),
                    serial: None,
                    pin: None,
                };
                let token = module.token(&which)?;
                Ok(Source::Module(Box::new((module, token))))
            }
            (None, None) => usage("where from? give --from DIR or --from-module SO"),
        }
    }

    fn label(&self) -> &str {
        match self {
            Source::SoftHsm(token) => &token.label,
            Source::Module(module) => module.1.info.label(),
        }
    }

    fn haul(&self, pin: &Secret) -> Result<Haul> {
        match self {
            Source::SoftHsm(token) => token.haul(pin),
            Source::Module(source) => {
                let (module, token) = &**source;
                let session = module.user(token, pin).map_err(|failure| match failure {
                    Failure::Failed(why) => Failure::Failed(format!(
                        "{why} of --from-module: {} or {} gives its PIN where it is not the target's",
                        FROM_PIN.option, FROM_PIN.variable
                    )),
                    usage => usage,
                })?;
                source::haul(&session)
            }
        }
    }
}

fn chosen(dir: &Path, label: Option<&str>) -> Result<Token> {
    let mut tokens = softhsm::tokens(dir)?;
    let labels = tokens
        .iter()
        .map(|token| token.label.clone())
        .collect::<Vec<_>>()
        .join(", ");
    tokens.retain(|token| label.is_none_or(|label| token.label == label));
    match tokens.len() {
        1 => Ok(tokens.remove(0)),
        0 => failed(format!(
            "SoftHSM2 has no token {}; it has: {labels}",
            label.unwrap_or_default()
        )),
        _ if label.is_none() => usage(format!(
            "SoftHSM2 has several tokens: choose one with --from-token; they are: {labels}"
        )),
        _ => usage("several SoftHSM2 tokens have this label: give one's own directory with --from"),
    }
}

pub(super) fn run(place: &Place, args: &Migrate) -> Result<Answer> {
    if args.from_module.is_some() && args.from_module == place.module {
        return usage(
            "--from-module and --module are the same module: the objects would go in circles",
        );
    }
    let source = Source::open(args)?;
    let label = args
        .token
        .clone()
        .unwrap_or_else(|| source.label().to_owned());
    let own = present(args.pin.as_ref());
    let given = present(args.from_pin.as_ref()).or(own);
    let from_pin = FROM_PIN.given_or_asked(given)?;
    // The source first: nothing is made if it does not open.
    let haul = source.haul(&from_pin)?;
    let target = Module::load_for_new(place)?;
    let own_pin = own.is_some_and(|pin| pin.text() != from_pin.text());
    let pin = own.cloned().unwrap_or(from_pin);
    let (token, made) = match token_of(&target, &label)? {
        Some(token) => (token, false),
        None => {
            init::heed_unseen(&target, Some(&label))?;
            (make(&target, &source, args, &label, &pin)?, true)
        }
    };
    let session = target.user(&token, &pin)?;
    let outcome = deliver(&session, haul)?;
    Ok(answer(&source, &token, made, own_pin, &outcome))
}

fn make(
    target: &Module,
    source: &Source,
    args: &Migrate,
    label: &str,
    pin: &Secret,
) -> Result<Found> {
    let so_pin = SO_PIN.given_or_asked(args.so_pin.as_ref())?;
    if let Source::SoftHsm(token) = source
        && !token.is_so_pin(&so_pin)
    {
        return failed(format!(
            "this is not the security officer's PIN of the SoftHSM2 token {}; to give the new token another one, make it first \
             with `keystead token init --label {label}`",
            token.label
        ));
    }
    init::make(target, label, &so_pin, pin, false)
}

fn answer(source: &Source, token: &Found, made: bool, own_pin: bool, outcome: &Outcome) -> Answer {
    let mut lines = Vec::new();
    let label = token.info.label();
    if made {
        lines.push(format!(
            "made the token {label}; its user's PIN is {}",
            match own_pin {
                true => "the one of --pin or KEYSTEAD_PIN".to_owned(),
                false => format!("the one that opened {}", source.label()),
            }
        ));
    }
    for object in &outcome.carried {
        lines.push(format!(
            "carried {}",
            object["name"].as_str().unwrap_or_default()
        ));
        let notes = object["notes"].as_array().into_iter().flatten();
        lines.extend(
            notes
                .filter_map(|note| note.as_str())
                .map(|note| format!("  but {note}")),
        );
    }
    lines.extend(
        outcome
            .there
            .iter()
            .map(|name| format!("there already: {name}")),
    );
    lines.extend(
        outcome
            .left
            .iter()
            .map(|left| format!("left behind {}: {}", left.name, left.why)),
    );
    lines.push(format!(
        "{} carried, {} there already, {} left behind",
        outcome.carried.len(),
        outcome.there.len(),
        outcome.left.len()
    ));
    let left = outcome
        .left
        .iter()
        .map(|left| json!({ "name": left.name, "reason": left.why }))
        .collect::<Vec<_>>();
    let json = json!({
        "token": label,
        "created": made,
        "carried": outcome.carried,
        "there": outcome.there,
        "left": left,
    });
    Answer {
        well: outcome.left.is_empty(),
        json,
        text: lines.join("\n"),
    }
}
