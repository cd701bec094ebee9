//! pkcs11-tool and the probe on one token of one module.

use crate::run::{Done, Run};
use crate::tools;
use crate::up::Home;
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A token reached through a module, with the surroundings that make the module find it.
#[derive(Clone)]
pub struct Token {
    module: PathBuf,
    env: Vec<(String, OsString)>,
    dir: PathBuf,
    /// The token's label; empty: do not name one (the module has a single token).
    pub label: String,
    /// The user's PIN.
    pub pin: String,
}

impl Token {
    /// Our module without any configuration, its tokens in this directory; the token is not initialised yet.
    pub fn ours(home: &Home, label: &str, pin: &str) -> Token {
        let env = home
            .env()
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v))
            .collect();
        Token {
            module: tools::module(),
            env,
            dir: home.path(""),
            label: label.into(),
            pin: pin.into(),
        }
    }

    /// SoftHSM2 with its tokens in this directory; the token is not initialised yet.
    pub fn softhsm(home: &Home, label: &str, pin: &str) -> Token {
        let tokens = home.path("softhsm-tokens");
        std::fs::create_dir_all(&tokens).expect("make a directory");
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.display()
        );
        let config = home.write("softhsm2.conf", text);
        let env = vec![("SOFTHSM2_CONF".to_owned(), config.into_os_string())];
        let dir = home.path("");
        Token {
            module: tools::softhsm(),
            env,
            dir,
            label: label.into(),
            pin: pin.into(),
        }
    }

    /// The token that the suite judges: ours, or SoftHSM2's when `KEYSTEAD_TEST_PEER=softhsm` asks whether the commands
    /// themselves are right.
    pub fn under_test(home: &Home, label: &str, pin: &str) -> Token {
        if peer() {
            Token::softhsm(home, label, pin)
        } else {
            Token::ours(home, label, pin)
        }
    }

    /// Our module with a configuration file.
    pub fn configured(home: &Home, config: &Path, label: &str, pin: &str) -> Token {
        Token::ours(home, label, pin).with_env("KEYSTEAD_PKCS11_CONF", config)
    }

    /// With one more environment variable.
    pub fn with_env(mut self, name: &str, value: impl Into<OsString>) -> Token {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// The same token for somebody with another PIN.
    pub fn with_pin(&self, pin: &str) -> Token {
        Token {
            pin: pin.into(),
            ..self.clone()
        }
    }

    /// The module's file.
    pub fn module(&self) -> &Path {
        &self.module
    }

    fn program(&self, program: &Path) -> Run {
        let run = Run::new(program)
            .without("KEYSTEAD_PKCS11_CONF")
            .without("KEYSTEAD_PKCS11_LOG");
        run.envs(self.env.iter().map(|(k, v)| (k, v)))
            .dir(&self.dir)
    }

    /// Any program with the token's surroundings.
    #[track_caller]
    pub fn run(&self, program: impl AsRef<Path>) -> Run {
        let program = program.as_ref();
        if program.is_absolute() {
            self.program(program)
        } else {
            self.program(&tools::need(
                program.to_str().expect("a program's name is text"),
            ))
        }
    }

    /// A foreign program with the token's surroundings, for a server that the test starts.
    #[track_caller]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(tools::need(program));
        self.surround(&mut command);
        command
    }

    /// A command with the token's surroundings that the test itself will run.
    pub fn surround<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env_remove("KEYSTEAD_PKCS11_CONF")
            .env_remove("KEYSTEAD_PKCS11_LOG");
        command
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .current_dir(&self.dir)
    }

    /// `pkcs11-tool --module M WORDS`, no token named.
    pub fn bare_tool(&self, words: &str) -> Run {
        self.program(&tools::need("pkcs11-tool"))
            .arg("--module")
            .arg(&self.module)
            .words(words)
    }

    /// `pkcs11-tool WORDS` on the token, without login.
    pub fn tool(&self, words: &str) -> Run {
        let run = self.bare_tool("");
        let run = if self.label.is_empty() {
            run
        } else {
            run.arg("--token-label").arg(&self.label)
        };
        run.words(words)
    }

    /// `pkcs11-tool --login --pin PIN WORDS` on the token.
    pub fn user(&self, words: &str) -> Run {
        // On a cluster the module refuses read-only sessions, as CloudHSM's own library does.
        let session = if self.pin.contains(':') {
            "--session-rw"
        } else {
            ""
        };
        self.tool(session)
            .words("--login --pin")
            .arg(&self.pin)
            .words(words)
    }

    /// The probe's command on the token, logged in; its answer is JSON.
    pub fn probe(&self, words: &str) -> Run {
        self.program(&tools::probe())
            .arg(&self.module)
            .arg(&self.label)
            .arg(&self.pin)
            .words(words)
    }

    /// The token's secret keys with the attributes that matter, as JSON objects.
    #[track_caller]
    pub fn secret_keys(&self) -> Vec<Value> {
        self.probe("keys")
            .ok()
            .json()
            .as_array()
            .expect("a list")
            .clone()
    }

    /// Initialise the token and the user's PIN with the commands of the issue.
    #[track_caller]
    pub fn init(&self, so_pin: &str) {
        self.bare_tool("--init-token --slot-index 0 --label")
            .args([self.label.as_str(), "--so-pin", so_pin])
            .ok()
            .says("Token successfully initialized");
        self.tool("--login --login-type so --so-pin")
            .args([so_pin, "--init-pin", "--new-pin", self.pin.as_str()])
            .ok()
            .says("User PIN successfully initialized");
    }

    /// Verify a signature file; pkcs11-tool says what it found in words only, its status is 0 either way.
    #[track_caller]
    pub fn verifies(&self, words: &str) -> bool {
        let done: Done = self.user("--verify").words(words).done();
        let text = done.all();
        let (good, bad) = (
            text.contains("Signature is valid"),
            text.contains("Invalid signature"),
        );
        assert!(
            done.code == Some(0) && good != bad,
            "should say valid or invalid\n{}",
            done.report()
        );
        good
    }
}

/// Is SoftHSM2 judged instead of our module?
pub fn peer() -> bool {
    std::env::var("KEYSTEAD_TEST_PEER").is_ok_and(|p| p == "softhsm")
}
