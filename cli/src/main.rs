//! `keystead`: one binary for the service, its HSMs and its tools.
//!
//! | file | holds |
//! |---|---|
//! | `up/` | `keystead up`: KMS and CloudHSM v2 on one port, the cluster that it makes without `--bare` |
//! | `node` | `keystead node`: one HSM |
//! | `demo/` | `keystead demo`: the main story, told step by step |
//! | `cloudhsm_cli/` | `keystead cloudhsm-cli`: CloudHSM CLI's commands |
//! | `mgmt/` | `keystead mgmt`: cloudhsm_mgmt_util's commands |
//! | `token/` | `keystead token`: tokens, their keys and certificates, through PKCS#11 |
//! | `hsms` | the HSMs' management ports, shared by `mgmt` and `cloudhsm-cli` |
//! | `vpc`, `fault` | the simulated VPC; failures to rehearse |
//! | `aws`, `running` | a signed client of the endpoint; how a command finds a running `up` |
//! | `guide` | the steps of AWS's guide, shared by `demo` and `up` |
//! | `interrupt` | ends the demo in good order when asked to |
//! | `module` | where the PKCS#11 module is |
#![forbid(unsafe_code)]

mod aws;
mod cloudhsm_cli;
mod demo;
mod fault;
mod guide;
mod hsms;
mod interrupt;
mod mgmt;
mod module;
mod node;
mod running;
mod table;
mod token;
mod up;
mod vpc;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use running::Running;

/// A software CloudHSM cluster that speaks PKCS#11, with the KMS custom key store on top
#[derive(Parser)]
#[command(
    name = "keystead",
    version,
    propagate_version = true,
    after_help = "Clusters belong to an account and a region: an AWS_ACCESS_KEY_ID of twelve digits is the account, as for the \
                  service; AWS_REGION or --region is the region."
)]
struct Cli {
    /// Where everything is kept, and by which commands find a running `up`
    /// [default: $XDG_DATA_HOME/keystead/up, else ~/.local/share/keystead/up]
    #[arg(long, global = true, env = "KEYSTEAD_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tell the main story in a temporary directory; ends by itself
    Demo,
    /// Serve KMS and CloudHSM v2 on one port; prints `ready URL` when it does
    Up(up::UpArgs),
    /// One HSM of a cluster; started by `up`
    Node(node::NodeArgs),
    /// cloudhsm_mgmt_util's commands: users of the HSMs
    Mgmt(mgmt::Mgmt),
    /// CloudHSM CLI's commands: users and keys of the HSMs, answers as JSON
    CloudhsmCli(Box<cloudhsm_cli::CloudhsmCli>),
    Token(token::Token),
    /// The simulated VPC
    Vpc(vpc::Vpc),
    /// Failures to rehearse
    Fault(fault::Fault),
}

fn main() -> ExitCode {
    leave_quietly_on_a_closed_pipe();
    let cli = match Cli::try_parse_from(called_as(std::env::args_os().collect())) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match run(cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("keystead: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Ends with the status of a program that SIGPIPE ended where whoever read our output has gone (`| head`). Rust ignores
/// the signal, so that `println!` panics; to servers that is right, and they write by `writeln!`.
fn leave_quietly_on_a_closed_pipe() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let closed = panic.payload_as_str().is_some_and(|why| {
            why.starts_with("failed printing to stdout") && why.contains("Broken pipe")
        });
        if closed {
            std::process::exit(128 + 13);
        }
        loud(panic);
    }));
}

/// Called under the name of the tool that it stands in for, the binary is that tool.
fn called_as(mut args: Vec<std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    let name = args
        .first()
        .map(PathBuf::from)
        .and_then(|path| Some(path.file_name()?.to_owned()));
    let tools = [
        ("cloudhsm_mgmt_util", "mgmt"),
        ("cloudhsm-cli", "cloudhsm-cli"),
    ];
    let tool = tools
        .iter()
        .find(|(tool, _)| name.as_ref().is_some_and(|n| n == tool));
    if let Some((_, command)) = tool {
        args.splice(..1, ["keystead".into(), (*command).into()]);
    }
    args
}

/// Runs the command; false if it ran and did not succeed.
fn run(cli: Cli) -> Result<bool, String> {
    let found = |named| Running::find(&running::data_dir(named)?);
    match cli.command {
        Command::Demo => demo::run().map(|()| true),
        Command::Up(args) => up::run(&args, running::data_dir(cli.data_dir)?).map(|()| true),
        Command::Node(args) => node::run(&args).map(|()| true),
        Command::Mgmt(args) => mgmt::run(&args, &found(cli.data_dir)?),
        Command::CloudhsmCli(args) => cloudhsm_cli::run(*args, &found(cli.data_dir)?),
        Command::Token(args) => token::run(&args),
        Command::Vpc(args) => vpc::run(&args, &found(cli.data_dir)?).map(|()| true),
        Command::Fault(args) => fault::run(&args, &found(cli.data_dir)?).map(|()| true),
    }
}
