//! `keystead token list`: the tokens, or the objects of one.

use std::io::IsTerminal;

use clap::Args;
use serde_json::{Value, json};

use super::object::{Choice, Object};
use super::place::nothing;
use super::reach::{Found, Module, Which};
use super::secret::{PIN, present};
use super::{Answer, Place, Result};

/// The options.
#[derive(Args)]
pub struct List {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    choice: Choice,
    /// Only what is seen without a login
    #[arg(long)]
    public: bool,
}

pub(super) fn run(place: &Place, args: &List) -> Result<Answer> {
    if args.which.token.is_none() && args.which.serial.is_none() && args.choice.is_empty() {
        return tokens(place);
    }
    let module = Module::load(place)?;
    let found = module.token(&args.which)?;
    // Nobody to ask, and nothing given: the public objects are an answer too.
    let login = !args.public
        && (present(args.which.pin.as_ref()).is_some() || std::io::stdin().is_terminal());
    let session = match login {
        true => module.user(&found, &PIN.given_or_asked(args.which.pin.as_ref())?)?,
        false => module.open(&found)?,
    };
    if !login && !args.public {
        eprintln!(
            "keystead: without a PIN only public objects are seen; give --pin or set KEYSTEAD_PIN"
        );
    }
    let objects = args.choice.all(&session)?;
    let objects = objects.iter().map(Object::json).collect();
    Ok(Answer::list(
        Value::Array(objects),
        &[
            "class",
            "type",
            "bits",
            "curve",
            "label",
            "id",
            "can",
            "extractable",
        ],
    ))
}

/// No token is an answer too; a store that cannot be opened is none, and would be taken for it.
fn tokens(place: &Place) -> Result<Answer> {
    let columns = ["slot", "label", "serial", "manufacturer", "state"];
    let module = Module::load_to_list(place)?;
    if let Some(why) = nothing(place)? {
        eprintln!("keystead: {why}");
        return Ok(Answer::list(json!([]), &columns));
    }
    let tokens = module.tokens()?;
    let unseen = module.unseen(&tokens);
    for store in &unseen {
        eprintln!("keystead: {store}");
    }
    let mut answer = Answer::list(tokens.iter().map(token).collect(), &columns);
    let short = place.module.is_none() && module.is_short_of_tokens()?;
    answer.well = unseen.is_empty() && !short;
    Ok(answer)
}

fn token(found: &Found) -> Value {
    let info = &found.info;
    let mut state = Vec::new();
    match (info.token_initialized(), info.user_pin_initialized()) {
        (false, _) => state.push("uninitialised"),
        (true, false) => state.push("no user PIN"),
        (true, true) => state.push("ready"),
    }
    let flags = [
        (info.user_pin_locked(), "user PIN locked"),
        (info.so_pin_locked(), "SO PIN locked"),
        (
            info.user_pin_final_try() && !info.user_pin_locked(),
            "last try of the user PIN",
        ),
        (info.write_protected(), "write-protected"),
    ];
    state.extend(
        flags
            .iter()
            .filter(|(set, _)| *set)
            .map(|(_, words)| *words),
    );
    json!({
        "slot": found.slot.id(),
        "label": info.label(),
        "serial": info.serial_number(),
        "manufacturer": info.manufacturer_id(),
        "model": info.model(),
        "initialized": info.token_initialized(),
        "user_pin_initialized": info.user_pin_initialized(),
        "user_pin_locked": info.user_pin_locked(),
        "so_pin_locked": info.so_pin_locked(),
        "min_pin": info.min_pin_length(),
        "max_pin": info.max_pin_length(),
        "state": state.join(", "),
    })
}
