//! Stores of our embedded tokens that the module does not show: it leaves a damaged one out, and tells its log alone.

use std::path::{Path, PathBuf};

use hsm_sim::store::inspect::{inspect, serial};
use hsm_sim::{Engine, Settings};

use super::reach::Found;

/// A store that cannot be opened.
pub struct Unseen {
    /// Its directory, or the one that holds the tokens where that cannot be read.
    pub at: PathBuf,
    /// Its token's label, where even that can still be read.
    pub label: Option<String>,
    /// What is wrong.
    pub why: String,
}

impl std::fmt::Display for Unseen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let label = self.label.as_deref().unwrap_or("of a token");
        write!(
            f,
            "the store {label} in {} cannot be opened: {}",
            self.at.display(),
            self.why
        )
    }
}

/// What these directories hold beside the tokens that the module shows.
pub fn unseen(directories: &[PathBuf], shown: &[Found]) -> Vec<Unseen> {
    let mut all = Vec::new();
    for directory in directories {
        match hsm_sim::tokens(directory) {
            Ok(tokens) => all.extend(tokens.iter().filter_map(|token| look(&token.path, shown))),
            Err(error) => all.push(Unseen {
                at: directory.clone(),
                label: None,
                why: error.to_string(),
            }),
        }
    }
    all
}

fn look(token: &Path, shown: &[Found]) -> Option<Unseen> {
    if !token.join("token.db").exists() {
        return None;
    }
    let is_shown = |serial: &String| shown.iter().any(|t| t.info.serial_number() == serial);
    if serial(token).as_ref().is_ok_and(is_shown) {
        return None;
    }
    // One that opens is as it should be: uninitialised, or made a moment ago.
    let error = Engine::embedded(token, Settings::default()).err()?;
    Some(Unseen {
        at: token.to_owned(),
        label: inspect(token).ok().and_then(|report| report.label),
        why: error.to_string(),
    })
}
