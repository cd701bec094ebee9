//! The AWS CLI in both its versions, pointed at a service of ours.

use crate::run::{Done, Run};
use crate::tools;
use crate::up::{Home, Up};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The account of whoever does not say which (an access key id of twelve digits does).
pub const ACCOUNT: &str = "123456789012";
/// The region of tests that do not choose one.
pub const REGION: &str = "us-east-1";
/// Any credentials are accepted.
pub const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";

/// `aws-cli/2.9.19 Python/...`
#[track_caller]
fn version(program: &Path) -> String {
    let said = Run::new(program).arg("--version").ok().all();
    said.trim().to_owned()
}

/// Whose version has to be 2: what is named in any case, what is found if it is so.
fn second(named: Option<PathBuf>, found: Option<PathBuf>) -> Option<PathBuf> {
    named.or(found.filter(|found| version(found).starts_with("aws-cli/2.")))
}

/// One AWS CLI.
pub struct Aws {
    program: PathBuf,
    url: String,
    dir: PathBuf,
    by_option: bool,
    /// The region that its requests are signed for.
    pub region: String,
}

impl Aws {
    /// Version 1, told by `AWS_ENDPOINT_URL` where to go.
    #[track_caller]
    pub fn v1(up: &Up, home: &Home) -> Aws {
        Aws::new(tools::aws_v1(), 1, up, home)
    }

    /// Version 2. What Debian 12 has (2.9) does not read `AWS_ENDPOINT_URL`, which came with 2.13: it gets the option.
    #[track_caller]
    pub fn v2(up: &Up, home: &Home) -> Aws {
        match second(tools::named_aws_v2(), tools::aws_of_distribution()) {
            Some(found) => Aws::new(found, 2, up, home),
            None => {
                eprintln!(
                    "LEFT OUT: the AWS CLI in version 2 is not installed here and AWS_V2 names none; version 1 does this test too"
                );
                Aws::v1(up, home)
            }
        }
    }

    #[track_caller]
    fn new(program: PathBuf, major: u32, up: &Up, home: &Home) -> Aws {
        let version = version(&program);
        let known = version.starts_with(&format!("aws-cli/{major}."));
        assert!(
            known,
            "{} is {version}, wanted is version {major}: run `./check setup`",
            program.display()
        );
        let by_option = version.starts_with("aws-cli/2.")
            && version
                .split('.')
                .nth(1)
                .and_then(|minor| minor.parse::<u32>().ok())
                .is_some_and(|m| m < 13);
        Aws {
            program,
            url: up.url.clone(),
            dir: home.path(""),
            by_option,
            region: home.region.clone(),
        }
    }

    /// `aws WORDS`, to be completed with arguments that contain spaces.
    pub fn run(&self, words: &str) -> Run {
        let run = Run::new(&self.program).dir(&self.dir);
        let run = if self.by_option {
            run.arg("--endpoint-url").arg(&self.url)
        } else {
            run
        };
        let run = run.words(words).env("AWS_DEFAULT_OUTPUT", "json");
        run.envs([
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", "any"),
            ("AWS_DEFAULT_REGION", self.region.as_str()),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_MAX_ATTEMPTS", "1"),
            ("AWS_PAGER", ""),
            ("NO_PROXY", "127.0.0.1"),
        ])
        .without("AWS_PROFILE")
        .without("AWS_SESSION_TOKEN")
    }

    /// Run it; it must succeed, and answer JSON or nothing.
    #[track_caller]
    pub fn json(&self, words: &str) -> Value {
        let done = self.run(words).ok();
        if done.text().trim().is_empty() {
            Value::Null
        } else {
            done.json()
        }
    }

    /// Run it; the service must refuse with this exception.
    #[track_caller]
    pub fn refused(&self, words: &str, exception: &str) -> Done {
        self.run(words)
            .fails()
            .says(&format!("An error occurred ({exception})"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_distribution_without_version_2_is_no_failure() {
        let dir = std::env::temp_dir().join(format!("aws-of-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let program = |name: &str, version: &str| {
            let path = dir.join(name);
            std::fs::write(&path, format!("#!/bin/sh\necho {version}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let old = program("old", "aws-cli/1.44.2 Python/3.12.3");
        let new = program("new", "aws-cli/2.9.19 Python/3.11.2");
        assert_eq!(second(None, None), None);
        assert_eq!(second(None, Some(old.clone())), None);
        assert_eq!(second(None, Some(new.clone())), Some(new.clone()));
        assert_eq!(
            second(Some(old.clone()), Some(new)),
            Some(old),
            "named: it is told what is wrong"
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
