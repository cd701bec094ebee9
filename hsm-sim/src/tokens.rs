//! Token directories: one directory a token, numbered in the order of creation, which is the order of
//! slots.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use hsm_api::{Error, Result, Rv};

use crate::store::private_dir;

/// One token's directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenDir {
    /// Its number; never used again, so others keep theirs when one is deleted.
    pub number: u32,
    /// Where it is.
    pub path: PathBuf,
}

/// All tokens in a directory, in the order of creation; none where the directory is not there yet.
///
/// # Errors
/// DEVICE_ERROR where the directory cannot be read.
pub fn tokens(dir: &Path) -> Result<Vec<TokenDir>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(fault(dir, &e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| fault(dir, &e))?.path();
        let number = path.file_name().and_then(|n| n.to_str()).and_then(|n| {
            n.strip_prefix("token-")
                .and_then(|digits| digits.parse().ok())
        });
        if let Some(number) = number
            && path.is_dir()
        {
            found.push(TokenDir { number, path });
        }
    }
    found.sort();
    Ok(found)
}

/// Makes the directory of a fresh, uninitialized token. Of several processes each gets its own.
///
/// # Errors
/// DEVICE_ERROR where it cannot be made.
pub fn create_token(dir: &Path) -> Result<TokenDir> {
    private_dir(dir)?;
    let mut number = tokens(dir)?.last().map_or(0, |t| t.number + 1);
    loop {
        let path = dir.join(format!("token-{number:04}"));
        match private_one(&path) {
            Ok(()) => return Ok(TokenDir { number, path }),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(e) => return Err(fault(&path, &e)),
        }
    }
}

/// All tokens; where there are none, the first, fresh. Processes that come at the same time agree on it.
///
/// # Errors
/// DEVICE_ERROR.
pub fn tokens_or_first(dir: &Path) -> Result<Vec<TokenDir>> {
    let found = tokens(dir)?;
    if !found.is_empty() {
        return Ok(found);
    }
    private_dir(dir)?;
    let first = dir.join("token-0000");
    match private_one(&first) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(fault(&first, &e)),
        _ => tokens(dir),
    }
}

/// A directory that only its owner may enter; its parent may be everybody's.
fn private_one(dir: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

fn fault(path: &Path, e: &std::io::Error) -> Error {
    Error::new(Rv::DEVICE_ERROR, format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_keep_their_order() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("not/yet/there");
        assert_eq!(tokens(&dir).unwrap(), []);
        let first = tokens_or_first(&dir).unwrap();
        assert_eq!(first, tokens_or_first(&dir).unwrap());
        let second = create_token(&dir).unwrap();
        fs::write(dir.join("token-x"), b"not a token").unwrap();
        assert_eq!(tokens(&dir).unwrap(), [first[0].clone(), second.clone()]);
        fs::remove_dir(&first[0].path).unwrap();
        assert_eq!(create_token(&dir).unwrap().number, 2);
    }
}
