//! `keystead token`: tokens and what is in them, through PKCS#11 alone, so it works on other modules too.
//!
//! | file | holds |
//! |---|---|
//! | `reach` | the module, the token, the session; what an answer means in words |
//! | `place` | the configuration of our own module, and where its token directories are |
//! | `unseen` | stores that the module leaves out, and why |
//! | `secret` | PINs and passphrases: option, environment or prompt |
//! | `object`, `kind`, `describe` | objects: which one is meant, what kind of key it is, and how one is described |
//! | `init`, `list`, `delete`, `check` | the commands |
//! | `import`, `read`, `template` | from a file through its formats to templates |
//! | `export` | from an object to a file |
//! | `migrate`, `source`, `carry`, `softhsm` | objects of other tokens; SoftHSM2's own store |

mod carry;
mod check;
mod delete;
mod describe;
mod export;
mod import;
mod init;
mod kind;
mod list;
mod migrate;
mod object;
mod place;
mod reach;
mod read;
mod secret;
mod softhsm;
mod source;
mod template;
mod unseen;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::table::{self, Output};

/// Exit status of a command that cannot be carried out as it was given.
const USAGE: i32 = 2;

/// Tokens, their keys and their certificates
#[derive(Args)]
pub struct Token {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Where the tokens are, and how to answer.
#[derive(Args)]
struct Place {
    /// Another PKCS#11 module than ours
    #[arg(long, global = true, value_name = "SO")]
    module: Option<PathBuf>,
    /// Configuration of our module [default: the one that an application would find]
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["module", "directory"])]
    config: Option<PathBuf>,
    /// A directory of embedded tokens, instead of a configuration
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "module")]
    directory: Option<PathBuf>,
    /// How to answer
    #[arg(long, global = true, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Subcommand)]
enum Command {
    /// Make a token with its security officer's and its user's PIN
    Init(init::Init),
    /// The tokens; with --token, the objects of one
    List(list::List),
    /// Put keys and certificates of a file into a token
    Import(import::Import),
    /// Write a certificate, a public key, or a key that may leave the token
    Export(export::Export),
    /// Destroy an object, or with --whole-token a token
    Delete(delete::Delete),
    /// Bring the objects of a SoftHSM2 token directory, or of another module's token, into a token
    Migrate(migrate::Migrate),
    /// Say whether every object of a token opens and the store is sound
    Check(check::Check),
}

/// Why a command ended without doing what was asked.
enum Failure {
    /// The command cannot be carried out as it was given: exit status 2.
    Usage(String),
    /// It was tried, and did not succeed: exit status 1.
    Failed(String),
}

type Result<T> = std::result::Result<T, Failure>;

fn usage<T>(why: impl Into<String>) -> Result<T> {
    Err(Failure::Usage(why.into()))
}

fn failed<T>(why: impl Into<String>) -> Result<T> {
    Err(Failure::Failed(why.into()))
}

/// What a command has to say.
struct Answer {
    /// For `--output json`.
    json: Value,
    /// For people.
    text: String,
    /// Whether all is well: exit status 0, else 1.
    well: bool,
}

impl Answer {
    fn new(text: impl Into<String>, json: Value) -> Answer {
        Answer {
            json,
            text: text.into(),
            well: true,
        }
    }

    /// A list; `columns` chooses and orders what people see.
    fn list(json: Value, columns: &[&str]) -> Answer {
        Answer::new(table::text(&json, columns), json)
    }
}

/// Runs the command; false if it ran and found that something is not well.
pub fn run(token: &Token) -> std::result::Result<bool, String> {
    let place = &token.place;
    let done = match &token.command {
        Command::Init(args) => init::run(place, args),
        Command::List(args) => list::run(place, args),
        Command::Import(args) => import::run(place, args),
        Command::Export(args) => export::run(place, args),
        Command::Delete(args) => delete::run(place, args),
        Command::Migrate(args) => migrate::run(place, args),
        Command::Check(args) => check::run(place, args),
    };
    match done {
        Ok(answer) => {
            match place.output {
                Output::Json => println!("{:#}", answer.json),
                Output::Table => println!("{}", answer.text.trim_end()),
            }
            Ok(answer.well)
        }
        Err(failure) => {
            let (Failure::Failed(why) | Failure::Usage(why)) = &failure;
            // Whoever reads JSON reads it here; the sentence goes to standard error as ever.
            if let Output::Json = place.output {
                println!("{:#}", json!({ "error": why }));
            }
            match failure {
                Failure::Failed(why) => Err(why),
                Failure::Usage(why) => {
                    eprintln!("keystead: {why}");
                    std::process::exit(USAGE);
                }
            }
        }
    }
}
