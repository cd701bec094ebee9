//! `keystead cloudhsm-cli`: the commands of AWS's CloudHSM CLI on the HSMs of a running `keystead up`. Each answers
//! with one JSON object: `error_code` 0 and the data, or 1 and what is wrong. `grammar` has the commands as they are
//! typed, `session` users and login, `keys` keys, `attributes` their names.

mod attributes;
mod grammar;
mod keys;
mod session;

use std::io;

use clap::{Args, Parser, ValueEnum};
use serde::Serialize;
use serde_json::Value as Json;
use zeroize::Zeroizing;

use crate::hsms;
use crate::mgmt::shell::{Input, Stdin, words};
use crate::mgmt::unreadable;
use crate::running::Running;
use grammar::{Cluster, Command, Line, Named, Role, User};
use session::{Answer, Session};

const PROMPT: &str = "aws-cloudhsm > ";

/// The tool's arguments.
#[derive(Args)]
pub struct CloudhsmCli {
    /// The cluster, where there is more than one
    #[arg(long, value_name = "CLUSTER")]
    cluster_id: Option<String>,
    /// The region [default: $AWS_REGION, $AWS_DEFAULT_REGION, else us-east-1]
    #[arg(long, default_value_t = crate::aws::region(), hide_default_value = true)]
    region: String,
    #[command(subcommand)]
    command: Command,
}

/// Connects to every HSM of the cluster and runs the command, or those that are typed; true if all succeeded.
pub fn run(args: CloudhsmCli, running: &Running) -> Result<bool, String> {
    let fleet = hsms::connect(running, &args.region, args.cluster_id.as_deref())?;
    let mut session = Session::new(fleet);
    let mut input = Stdin::new(false).map_err(unreadable)?;
    let ran = match args.command {
        Command::Interactive => interactive(&mut session, &mut input),
        command => single(&mut session, command, &mut input),
    };
    ran.map_err(unreadable)
}

/// Lines until their end or `quit`. A line that ends with a backslash goes on in the next.
fn interactive(session: &mut Session, input: &mut dyn Input) -> io::Result<bool> {
    let mut all_well = true;
    while let Some(mut line) = input.line(PROMPT)? {
        while let Some(begun) = line.strip_suffix('\\') {
            let next = input.line("")?.unwrap_or_default();
            let mut both = Zeroizing::new(String::with_capacity(begun.len() + 1 + next.len()));
            both.extend([begun, " ", &next]);
            line = both;
        }
        let words = words(&line);
        if words.is_empty() || words[0].starts_with('#') {
            continue;
        }
        // (What clap keeps of a word until it has read the line is its own.)
        match Line::try_parse_from(words.iter()) {
            Ok(line) if matches!(line.command, Command::Quit) => break,
            Ok(line) => all_well &= answer(&run_one(session, line.command, input)?),
            Err(why) => {
                // Help is no failure.
                all_well &= !why.use_stderr();
                why.print()?;
            }
        }
    }
    Ok(all_well)
}

/// One command, for which the environment says who logs in (CLOUDHSM_ROLE and CLOUDHSM_PIN, as AWS's tool has it).
fn single(session: &mut Session, command: Command, input: &mut dyn Input) -> io::Result<bool> {
    let mut for_this = false;
    if wants_login(&command) {
        match from_environment() {
            Err(why) => return Ok(answer(&Err(why))),
            Ok((user, password)) => {
                if let Err(why) = session.log_in_with(&user, password) {
                    return Ok(answer(&Err(why)));
                }
                for_this = true;
            }
        }
    }
    let answered = run_one(session, command, input)?;
    if for_this {
        // The connections close now, which is a logout too.
        let _ = session.log_out();
    }
    Ok(answer(&answered))
}

fn wants_login(command: &Command) -> bool {
    match command {
        Command::User { command } => !matches!(command, User::List),
        Command::Key { .. } => true,
        _ => false,
    }
}

fn from_environment() -> Result<(Named, Zeroizing<String>), String> {
    let get = |name: &str| {
        std::env::var(name).map_err(|_| {
            format!(
                "{name} is not set: a single command takes the user from CLOUDHSM_ROLE (admin or crypto-user) and \
                 CLOUDHSM_PIN (user:password); or use `interactive`"
            )
        })
    };
    let (role, pin) = (get("CLOUDHSM_ROLE")?, Zeroizing::new(get("CLOUDHSM_PIN")?));
    let role = Role::from_str(&role, false)
        .map_err(|_| format!("CLOUDHSM_ROLE is admin or crypto-user, not {role}"))?;
    let (username, password) = pin
        .split_once(':')
        .ok_or("CLOUDHSM_PIN has the form user:password")?;
    let username = username.to_owned();
    Ok((
        Named { username, role },
        Zeroizing::new(password.to_owned()),
    ))
}

fn run_one(session: &mut Session, command: Command, input: &mut dyn Input) -> io::Result<Answer> {
    Ok(match command {
        Command::Interactive => Err("this is the prompt already".into()),
        Command::Quit => Err("there is no prompt to leave".into()),
        Command::Cluster { command } => match command {
            Cluster::Activate { password } => session.activate(password, input)?,
            Cluster::HsmInfo => session.hsm_info(),
        },
        Command::Login(login) => session.log_in(login, input)?,
        Command::Logout => session.log_out(),
        Command::User { command } => match command {
            User::Create(new) => session.create_user(new, input)?,
            User::Delete(user) => session.delete_user(&user),
            User::List => session.users(),
            User::ChangePassword(to) => session.change_password(to, input)?,
        },
        Command::Key { command } => session.key(command),
    })
}

/// The answer as the tool writes it; true if it is one of success.
fn answer(answer: &Answer) -> bool {
    #[derive(Serialize)]
    struct Shown<'a> {
        error_code: u8,
        data: &'a Json,
    }
    let (error_code, data) = match answer {
        Ok(data) => (0, data.clone()),
        Err(why) => (1, Json::String(why.clone())),
    };
    let data = &data;
    match serde_json::to_string_pretty(&Shown { error_code, data }) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("keystead: {error}"),
    }
    answer.is_ok()
}
