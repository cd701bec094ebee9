//! `keystead up`: KMS and CloudHSM v2 on one port, and without `--bare` the cluster and key store that the guide
//! would take a reader twenty minutes to make.

mod make;
mod stack;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use kms_server::{Config, Keyring, Level, Log, Server, Signals};
use zeroize::Zeroizing;

use crate::aws::Aws;
use crate::running::Running;
use stack::Stack;

/// Serve KMS and CloudHSM v2
#[derive(Args)]
pub struct UpArgs {
    /// Where to serve, HOST:PORT; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:4566", value_name = "ADDRESS", value_parser = address)]
    listen: SocketAddr,
    /// Make nothing: no cluster, no key store
    #[arg(long)]
    bare: bool,
    /// Let the key store's HSM be this PKCS#11 module (SoftHSM2, say) instead of a cluster
    #[arg(long, value_name = "SO")]
    module: Option<PathBuf>,
    /// With --module, at the first start: the user's PIN of its token as it is now; the key store changes it on every
    /// connect [env: KEYSTEAD_PIN]
    // Not read by clap, for which a variable counts as given: one that is set for `keystead token` must not ask for --module.
    #[arg(long, value_name = "PIN", requires = "module")]
    pin: Option<Zeroizing<String>>,
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

/// The address that a host and a port stand for; the host may be a name.
fn address(text: &str) -> Result<SocketAddr, String> {
    let form = "HOST:PORT, as 127.0.0.1:4566, [::1]:4566 or localhost:4566";
    let found = text
        .to_socket_addrs()
        .map_err(|error| format!("{error}; the form is {form}"))?;
    let found: Vec<SocketAddr> = found.collect();
    // `localhost` is both as a rule, and whoever writes 127.0.0.1 means it too.
    let chosen = found.iter().find(|address| address.is_ipv4());
    let chosen = chosen.or(found.first()).copied();
    chosen.ok_or_else(|| format!("the host has no address; the form is {form}"))
}

/// Serves until SIGINT or SIGTERM.
pub fn run(args: &UpArgs, data_dir: PathBuf) -> Result<(), String> {
    if args.module.is_some() && !args.bare && MadeWith::of(&data_dir)?.is_none() {
        // Before anything is made.
        pin(args)?;
    }
    let _lock = lock(&data_dir)?;
    let wanted = match args.module {
        Some(_) => MadeWith::Module,
        None => MadeWith::Clusters,
    };
    if let Some(made) = MadeWith::of(&data_dir)? {
        made.fits(wanted, &data_dir)?;
    }
    // Before anything is made for a service that cannot be reached.
    TcpListener::bind(args.listen).map_err(|error| {
        let advice = elsewhere(&error);
        format!("cannot listen on {}: {error}{advice}", args.listen)
    })?;
    let keyring = match &args.credentials {
        Some(file) => Some(Keyring::read(file).map_err(|error| error.to_string())?),
        None => None,
    };
    let stack = match &args.module {
        Some(module) => Stack::on_module(&data_dir, module, &args.token_label)?,
        None => Stack::on_cluster(&data_dir)?,
    };
    let own = keyring.as_ref().and_then(Keyring::own).cloned();
    // Known to this process alone, so that nobody else keeps out of the log.
    let word = format!("{:032x}", rand::random::<u128>());
    let config = Config {
        own: Some(word.clone()),
        keyring,
        log: Log::stderr(level(&args.log)),
        routes: stack.routes(),
        ..Config::new(args.listen)
    };
    let server = Server::start(config, stack.services())
        .map_err(|error| format!("{error}{}", elsewhere(&error)))?;
    // From here on a signal is kept for the end, so that nothing is left half made or running.
    let signals = server
        .signals()
        .map_err(|error| format!("waiting for signals: {error}"))?;
    let url = server.url();
    Running::announce(&url, &data_dir)
        .map_err(|error| format!("{}: {error}", data_dir.display()))?;
    let aws = own.map_or_else(|| Aws::new(&url), |key| Aws::signing(&url, key));
    let outcome = serve(args, wanted, &data_dir, aws.own(&word), signals);
    Running::withdraw(&data_dir);
    server.stop();
    stack.stop();
    outcome
}

/// What to do about an address that cannot be listened on.
fn elsewhere(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; stop what serves there, or give another address with --listen (port 0 takes a free one)"
        }
        io::ErrorKind::AddrNotAvailable => "; --listen takes an address of this machine",
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 are root's: give another with --listen"
        }
        _ => "",
    }
}

fn serve(
    args: &UpArgs,
    made: MadeWith,
    data_dir: &Path,
    aws: Aws,
    signals: Signals<'_>,
) -> Result<(), String> {
    let running = Running::find(data_dir)?;
    if !args.bare {
        match &args.module {
            Some(_) => make::on_module(aws, || pin(args), args.pin.is_some())?,
            None => make::on_cluster(&running, aws)?,
        }
    }
    // From now on anybody may make a key store.
    made.write(data_dir)?;
    // Whoever started us may have closed its end; that is no reason to stop serving.
    let _ = writeln!(io::stdout(), "ready {}", running.url).and_then(|()| io::stdout().flush());
    signals.wait();
    Ok(())
}

/// The PIN of the module's token.
fn pin(args: &UpArgs) -> Result<Zeroizing<String>, String> {
    let variable = || {
        let set = std::env::var("KEYSTEAD_PIN").ok();
        set.filter(|pin| !pin.is_empty()).map(Zeroizing::new)
    };
    let pin = args.pin.clone().or_else(variable);
    pin.ok_or_else(|| {
        "--module: which is the user's PIN of its token? give --pin PIN, or set KEYSTEAD_PIN; --bare makes no key store and needs \
         none"
            .to_owned()
    })
}

/// What a data directory's key stores have their keys on; the other does not know them, and would leave them FAILED.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum MadeWith {
    Clusters,
    Module,
}

impl MadeWith {
    /// Written by the first `up` that got as far as to serve.
    const FILE: &str = "made-with";

    fn word(self) -> &'static str {
        match self {
            MadeWith::Clusters => "clusters",
            MadeWith::Module => "module",
        }
    }

    /// None where nothing has been served yet.
    fn of(data_dir: &Path) -> Result<Option<MadeWith>, String> {
        let file = data_dir.join(Self::FILE);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", file.display())),
        };
        let known = [MadeWith::Clusters, MadeWith::Module];
        let made = known.into_iter().find(|made| made.word() == text.trim());
        made.map(Some).ok_or_else(|| {
            format!(
                "{}: holds neither `clusters` nor `module`; write there what the directory's key stores are on",
                file.display()
            )
        })
    }

    fn fits(self, wanted: MadeWith, data_dir: &Path) -> Result<(), String> {
        if self == wanted {
            return Ok(());
        }
        let (dir, file) = (data_dir.display(), data_dir.join(Self::FILE));
        let why = match self {
            MadeWith::Clusters => {
                "was made without --module: its key stores are on clusters; leave --module out, or give the module another --data-dir"
            }
            MadeWith::Module => {
                "was made with --module: its key stores are on that module's token; give --module SO (and --token-label) as then, or \
                 another --data-dir"
            }
        };
        Err(format!(
            "{dir} {why} (that is what {} says)",
            file.display()
        ))
    }

    /// Kept for the next `up`.
    fn write(self, data_dir: &Path) -> Result<(), String> {
        let file = data_dir.join(Self::FILE);
        if Self::of(data_dir)? == Some(self) {
            return Ok(());
        }
        fs::write(&file, format!("{}\n", self.word()))
            .map_err(|error| format!("{}: {error}", file.display()))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_name() {
        assert_eq!(address("127.0.0.1:80"), Ok(([127, 0, 0, 1], 80).into()));
        assert_eq!(address("localhost:80"), Ok(([127, 0, 0, 1], 80).into()));
        assert!(address("[::1]:0").unwrap().is_ipv6());
        assert!(address("localhost").unwrap_err().contains("HOST:PORT"));
    }

    #[test]
    fn a_data_directory_is_of_what_it_was_made_with() {
        let home = tempfile::tempdir().unwrap();
        let (clusters, module) = (MadeWith::Clusters, MadeWith::Module);
        assert_eq!(MadeWith::of(home.path()), Ok(None));
        module.write(home.path()).unwrap();
        assert_eq!(MadeWith::of(home.path()), Ok(Some(module)));
        assert_eq!(module.fits(module, home.path()), Ok(()));
        for (made, wanted, said) in [
            (module, clusters, "was made with --module"),
            (clusters, module, "was made without --module"),
        ] {
            let refused = made.fits(wanted, home.path()).unwrap_err();
            assert!(refused.contains(said), "{refused}");
            assert!(refused.contains(MadeWith::FILE), "{refused}");
        }
        fs::write(home.path().join(MadeWith::FILE), "neither").unwrap();
        let garbled = MadeWith::of(home.path()).unwrap_err();
        assert!(
            garbled.contains("neither `clusters` nor `module`"),
            "{garbled}"
        );
    }
}
