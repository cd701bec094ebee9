//! `keystead token delete`: an object, or a whole token. PKCS#11 has no call that removes a token, so of our embedded ones the
//! directory is removed; other modules have tools of their own.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::object::{Choice, Object};
use super::place::directories;
use super::reach::{Found, Module, Which, said};
use super::{Answer, Failure, Place, Result, failed, usage};

/// The options.
#[derive(Args)]
pub struct Delete {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    choice: Choice,
    /// Every object that fits, not only a single one
    #[arg(long)]
    all: bool,
    /// The token with everything in it
    #[arg(long, conflicts_with_all = ["label", "id", "class", "all"])]
    whole_token: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(place: &Place, args: &Delete) -> Result<Answer> {
    match args.whole_token {
        true => token(place, args),
        false => objects(place, args),
    }
}

fn objects(place: &Place, args: &Delete) -> Result<Answer> {
    if args.choice.is_empty() {
        return usage(
            "what is to be deleted? give --label, --id or --class of an object, or --whole-token",
        );
    }
    let module = Module::load(place)?;
    let (_, session) = module.user_of(&args.which)?;
    let found = match args.all {
        true => args.choice.all(&session)?,
        false => vec![args.choice.one(&session)?],
    };
    if found.is_empty() {
        return failed(
            "the token has no such object; `keystead token list --token LABEL` shows what it has",
        );
    }
    let names = found.iter().map(Object::name).collect::<Vec<_>>();
    confirm(args.yes, &names.join("\n  "))?;
    for (object, name) in found.iter().zip(&names) {
        session
            .destroy_object(object.handle)
            .map_err(|error| match said(error) {
                Failure::Failed(why) | Failure::Usage(why) => {
                    Failure::Failed(format!("{name}: {why}"))
                }
            })?;
    }
    let json: Vec<Value> = found.iter().map(Object::json).collect();
    Ok(Answer::new(
        format!("deleted {}", names.join(", ")),
        json!({ "deleted": json }),
    ))
}

fn token(place: &Place, args: &Delete) -> Result<Answer> {
    if args.which.token.is_none() && args.which.serial.is_none() {
        return usage(
            "which token? name it with --token LABEL: a whole token is not deleted by default",
        );
    }
    if place.module.is_some() {
        return usage("PKCS#11 has no call that removes a token: use the other module's own tool");
    }
    let module = Module::load(place)?;
    let found = module.token(&args.which)?;
    let dir = directory(place, &found)?;
    let named = format!(
        "the token {} in {} with everything in it",
        found.info.label(),
        dir.display()
    );
    confirm(args.yes, &named)?;
    remove(&dir).map_err(|error| Failure::Failed(format!("{}: {error}", dir.display())))?;
    let json =
        json!({ "deleted": { "token": found.info.label(), "serial": found.info.serial_number() } });
    Ok(Answer::new(format!("deleted {named}"), json))
}

/// Renamed first: a token is there whole or not at all, whatever happens half-way.
fn remove(dir: &Path) -> std::io::Result<()> {
    let mut aside = dir.as_os_str().to_owned();
    aside.push(".deleted");
    let aside = PathBuf::from(aside);
    if aside.exists() {
        std::fs::remove_dir_all(&aside)?;
    }
    std::fs::rename(dir, &aside)?;
    std::fs::remove_dir_all(&aside)
}

/// Where a token of ours is.
pub fn directory(place: &Place, token: &Found) -> Result<PathBuf> {
    for directory in directories(place)? {
        let tokens =
            hsm_sim::tokens(&directory).map_err(|error| Failure::Failed(error.to_string()))?;
        for entry in tokens {
            if hsm_sim::store::inspect::serial(&entry.path)
                .is_ok_and(|serial| serial == token.info.serial_number())
            {
                return Ok(entry.path);
            }
        }
    }
    failed(format!(
        "the token {} is in no directory of the configuration: a cluster's tokens are not deleted here",
        token.info.label()
    ))
}

fn confirm(yes: bool, what: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return usage(format!(
            "this would delete {what}; say --yes, since nobody can be asked"
        ));
    }
    eprint!("Delete {what}? Type yes: ");
    let _ = std::io::stderr().flush();
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line) {
        Ok(_) if line.trim() == "yes" => Ok(()),
        _ => failed("nothing was deleted"),
    }
}
