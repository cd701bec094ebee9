//! The real AWS CLI against the toys: its signatures, its parsing of our answers and refusals.
//!
//! `KEYSTEAD_AWS_CLI` names the programs to try, separated by colons; without it, `aws`.

use crate::toy::start;
use kms_server::{Keyring, Server};
use serde_json::Value;
use std::process::{Command, Output};

struct Cli<'a> {
    program: &'a str,
    url: String,
    secret: &'a str,
}

impl Cli<'_> {
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(self.program)
            .args(arguments)
            .args(["--endpoint-url", &self.url, "--output", "json"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", "/nonexistent")
            .env("AWS_ACCESS_KEY_ID", "AKIDALICE")
            .env("AWS_SECRET_ACCESS_KEY", self.secret)
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_PAGER", "")
            .output()
            .unwrap_or_else(|e| panic!("{}: {e}", self.program))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let Output {
            status,
            stdout,
            stderr,
        } = self.run(arguments);
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{} {arguments:?}: {stderr}", self.program);
        match stdout.trim_ascii() {
            [] => Value::Null,
            json => serde_json::from_slice(json).unwrap(),
        }
    }

    fn refusal(&self, arguments: &[&str]) -> String {
        let Output { status, stderr, .. } = self.run(arguments);
        assert!(
            !status.success(),
            "{} {arguments:?} succeeded",
            self.program
        );
        String::from_utf8(stderr).unwrap().trim().to_owned()
    }
}

fn guarded() -> (Server, crate::toy::Logged) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("credentials");
    let text = "[alice]\naws_access_key_id = AKIDALICE\naws_secret_access_key = wonder/land+\n";
    std::fs::write(&file, text).unwrap();
    start(|config| config.keyring = Some(Keyring::read(&file).unwrap()))
}

fn each_program(test: impl Fn(&str)) {
    let programs = std::env::var("KEYSTEAD_AWS_CLI").unwrap_or_else(|_| "aws".to_owned());
    programs
        .split(':')
        .filter(|program| !program.is_empty())
        .for_each(test);
}

#[test]
#[ignore = "needs the AWS CLI"]
fn the_aws_cli_gets_its_answers() {
    each_program(|program| {
        let (server, logged) = guarded();
        let aws = Cli {
            program,
            url: server.url(),
            secret: "wonder/land+",
        };
        let key = aws.json(&["kms", "create-key"]);
        assert_eq!(
            key["KeyMetadata"]["Arn"],
            "arn:aws:kms:eu-west-1:123456789012:key/key-000"
        );
        let cipher = aws.json(&[
            "kms",
            "encrypt",
            "--key-id",
            "key-000",
            "--plaintext",
            "fileb:///etc/hostname",
        ]);
        let cipher = cipher["CiphertextBlob"].as_str().unwrap().to_owned();
        assert!(!cipher.is_empty());
        aws.json(&["kms", "create-key"]);
        aws.json(&["kms", "create-key"]);
        // The CLI walks the pages by itself.
        let keys = aws.json(&["kms", "list-keys", "--page-size", "1"]);
        assert_eq!(keys["Keys"].as_array().unwrap().len(), 3);
        assert_eq!(
            aws.json(&["kms", "enable-key", "--key-id", "key-000"]),
            Value::Null
        );
        aws.json(&[
            "kms",
            "connect-custom-key-store",
            "--custom-key-store-id",
            "cks-1",
        ]);
        let cluster = aws.json(&[
            "cloudhsmv2",
            "create-cluster",
            "--hsm-type",
            "hsm2m.medium",
            "--subnet-ids",
            "subnet-0123456789abcdef0",
        ]);
        assert_eq!(cluster["Cluster"]["ClusterId"], "cluster-abcdefghijk");
        let log = logged.text();
        assert!(log.lines().all(|line| line.contains("result=ok")), "{log}");
    });
}

#[test]
#[ignore = "needs the AWS CLI"]
fn the_aws_cli_understands_refusals() {
    each_program(|program| {
        let (server, _) = guarded();
        let aws = Cli {
            program,
            url: server.url(),
            secret: "wonder/land+",
        };
        let plain = ["--plaintext", "aGk="];
        let encrypt = [["kms", "encrypt"], ["--key-id", "none"], plain].concat();
        assert!(aws.refusal(&encrypt).ends_with(
            "An error occurred (NotFoundException) when calling the Encrypt operation: \
                 Key 'none' does not exist"
        ));
        let alias = ["kms", "enable-key", "--key-id", ""];
        let refusal = aws.refusal(&alias);
        assert!(
            refusal.ends_with(
                "An error occurred (ValidationException) when calling the EnableKey operation: \
                 1 validation error detected: Value '' at 'keyId' failed to satisfy constraint: \
                 Member must have length greater than or equal to 1"
            ) || refusal.contains("Parameter validation failed"),
            "{refusal}"
        );
        let sign = aws.refusal(&["kms", "schedule-key-deletion", "--key-id", "key-000"]);
        assert!(sign.contains("(UnsupportedOperationException)"), "{sign}");
        assert!(
            sign.ends_with("ScheduleKeyDeletion is not implemented."),
            "{sign}"
        );
        let cluster = [
            "cloudhsmv2",
            "create-cluster",
            "--hsm-type",
            "phsm1.x",
            "--subnet-ids",
        ];
        let cluster = aws.refusal(&[&cluster[..], &["subnet-0123456789abcdef0"]].concat());
        assert!(
            cluster.contains("(CloudHsmInvalidRequestException)"),
            "{cluster}"
        );
        assert!(cluster.ends_with("No such HSM type."), "{cluster}");

        let stranger = Cli {
            program,
            url: server.url(),
            secret: "looking-glass",
        };
        let refusal = stranger.refusal(&["kms", "create-key"]);
        assert!(refusal.contains("(InvalidSignatureException)"), "{refusal}");
    });
}
