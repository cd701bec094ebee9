//! `keystead up`: KMS and CloudHSM v2 on one port, and without `--bare` the cluster and key store that the guide
//! would take a reader twenty minutes to make.

mod make;
mod stack;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use kms_server::{Config, Keyring, Level, Log, Server, Signals};

use crate::aws::Aws;
use crate::running::Running;
use stack::Stack;

/// Serve KMS and CloudHSM v2
#[derive(Args)]
pub struct UpArgs {
    /// Where to serve; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:4566", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Make nothing: no cluster, no key store
    #[arg(long)]
    bare: bool,
    /// Let the key store's HSM be this PKCS#11 module (SoftHSM2, say) instead of a cluster
    #[arg(long, value_name = "SO", requires = "pin")]
    module: Option<PathBuf>,
    /// With --module: the user's PIN of its token as it is now; the key store changes it on every connect
    #[arg(
        long,
        value_name = "PIN",
        requires = "module",
        env = "KEYSTEAD_PIN",
        hide_env_values = true
    )]
    pin: Option<String>,
    /// With --module: the label of its token
    #[arg(long, value_name = "LABEL", requires = "module", default_value = "kms")]
    token_label: String,
    /// Accept only requests signed with a key of this file, in the form of ~/.aws/credentials.
    /// What `up` itself makes is made with the key of [default], else the first
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// What to log of requests
    #[arg(long, default_value = "info", value_parser = ["error", "info", "debug"])]
    log: String,
}

/// Serves until SIGINT or SIGTERM.
pub fn run(args: &UpArgs, data_dir: PathBuf) -> Result<(), String> {
    let _lock = lock(&data_dir)?;
    let keyring = match &args.credentials {
        Some(file) => Some(Keyring::read(file).map_err(|error| error.to_string())?),
        None => None,
    };
    let stack = match &args.module {
        Some(module) => Stack::on_module(&data_dir, module, &args.token_label)?,
        None => Stack::on_cluster(&data_dir)?,
    };
    let own = keyring.as_ref().and_then(Keyring::own).cloned();
    let config = Config {
        keyring,
        log: Log::stderr(level(&args.log)),
        routes: stack.routes(),
        ..Config::new(args.listen)
    };
    let server = Server::start(config, stack.services()).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{error}; stop what serves there, or give another address with --listen (port 0 takes a free one)")
        }
        _ => error.to_string(),
    })?;
    // From here on a signal is kept for the end, so that nothing is left half made or running.
    let signals = server
        .signals()
        .map_err(|error| format!("waiting for signals: {error}"))?;
    let url = server.url();
    Running::announce(&url, &data_dir)
        .map_err(|error| format!("{}: {error}", data_dir.display()))?;
    let aws = own.map_or_else(|| Aws::new(&url), |key| Aws::signing(&url, key));
    let outcome = serve(args, &data_dir, &url, aws, signals);
    Running::withdraw(&data_dir);
    server.stop();
    stack.stop();
    outcome
}

fn serve(
    args: &UpArgs,
    data_dir: &Path,
    url: &str,
    aws: Aws,
    signals: Signals<'_>,
) -> Result<(), String> {
    if !args.bare {
        let running = Running::find(data_dir)?;
        match (&args.module, &args.pin) {
            (Some(_), Some(pin)) => make::on_module(aws, pin)?,
            _ => make::on_cluster(&running, aws)?,
        }
    }
    // Whoever started us may have closed its end; that is no reason to stop serving.
    let _ = writeln!(io::stdout(), "ready {url}").and_then(|()| io::stdout().flush());
    signals.wait();
    Ok(())
}

fn level(name: &str) -> Level {
    match name {
        "error" => Level::Error,
        "debug" => Level::Debug,
        _ => Level::Info,
    }
}

/// One that was just killed may live on in a child between fork and exec for a moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Takes the data directory for this process alone; the lock ends with it, however it ends.
fn lock(data_dir: &Path) -> Result<File, String> {
    let at = |error: io::Error| format!("{}: {error}", data_dir.display());
    private_dir(data_dir).map_err(at)?;
    let file = File::create(data_dir.join("lock")).map_err(at)?;
    let end = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "another `keystead up` serves {}; stop it, or give this one another --data-dir",
                    data_dir.display()
                ));
            }
            Err(TryLockError::Error(error)) => return Err(at(error)),
        }
    }
}

/// Makes a directory that only this user may enter.
pub(crate) fn private_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}
