//! `keystead demo`: the whole story on a temporary directory, told step by step. It uses only what
//! users have: signed requests to the two services, the management commands, and the module through
//! PKCS#11. It ends by itself and leaves nothing.

mod hsm_keys;
mod say;
mod up;

use std::path::Path;

use serde_json::{Value, json};

use crate::aws::{Aws, Refusal, Service};
use crate::guide::{self, Guide, text, until};
use say::Teller;
use up::Up;

const OFFICER: &str = "Officer4Demo";
const FIRST_PASSWORD: &str = "kmsPswd";
const AUDIT_PASSWORD: &str = "tempPassword";
/// What is encrypted, in base64.
const PLAINTEXT: &str = "a2V5c3RlYWQ6IHRoZSBtYWluIGpvYg==";

/// What a step answers: its value, and words that replace the plain ones where the outcome is worth showing.
type Told<T> = Result<(T, Option<String>), String>;

/// Tells the story.
pub fn run() -> Result<(), String> {
    crate::interrupt::listen()?;
    println!(
        "Keystead: KMS keys whose material lives in a cluster of hardware security modules (simulated here).\n\
         Everything below happens in a temporary directory, through the interfaces that you would use."
    );
    let dir = tempfile::Builder::new().prefix("keystead-demo-").tempdir();
    let dir = dir.map_err(|error| format!("temporary directory: {error}"))?;
    let mut teller = Teller::new();
    let result = story(&mut teller, dir.path());
    let at = dir.path().to_owned();
    dir.close()
        .map_err(|error| format!("removing {}: {error}", at.display()))?;
    result?;
    println!(
        "\nThe end: {}. Nothing is left running, and nothing on disk.",
        teller.end()
    );
    println!("Next: `keystead up`, then point the AWS CLI at it (README, \"With the AWS CLI\").");
    Ok(())
}

fn story(tell: &mut Teller, dir: &Path) -> Result<(), String> {
    let up = tell.step(
        "Start the service with nothing in it",
        "keystead up --bare",
        |p| Ok((Up::start(dir, p)?, None)),
    )?;
    let guide = Guide::new(Aws::new(&up.url));
    let mut story = Story { tell, up, guide };
    story.cluster()?;
    story.key_store()?;
    let keys = story.keys()?;
    story.audit(&keys)?;
    story.failure(&keys)?;
    story.disconnect(&keys)?;
    let Story { tell, mut up, .. } = story;
    tell.step("Stop the service", "SIGTERM", |_| Ok((up.stop()?, None)))
}

struct Story<'a> {
    tell: &'a mut Teller,
    up: Up,
    guide: Guide,
}

/// What the key chapter leaves for the later ones.
struct Keys {
    arns: [String; 2],
    ciphertext: String,
}

impl Story<'_> {
    fn cluster(&mut self) -> Result<(), String> {
        let Story { tell, up, guide } = self;
        tell.chapter("A cluster of two HSMs");
        let (subnets, zones) = guide.two_subnets()?;
        let active = |hsm: Value| {
            format!(
                "An HSM in zone {}: {}, at {}",
                text(&hsm["AvailabilityZone"]),
                text(&hsm["HsmId"]),
                text(&hsm["EniIp"])
            )
        };
        tell.step(
            "Create a cluster",
            "cloudhsmv2 create-cluster --hsm-type hsm2m.medium --subnet-ids ...",
            |p| {
                guide.create_cluster(&subnets, None, &|| p.show())?;
                Ok((
                    (),
                    Some(format!(
                        "A cluster over two private subnets: {}",
                        guide.cluster
                    )),
                ))
            },
        )?;
        tell.step("Create the first HSM", "cloudhsmv2 create-hsm", |p| {
            Ok(((), Some(active(guide.create_hsm(&zones[0], &|| p.show())?))))
        })?;
        let csr = tell.step(
            "The HSM has made a key and a signing request for its certificate",
            "cloudhsmv2 describe-clusters",
            |p| Ok((guide.csr(&|| p.show())?, None)),
        )?;
        let signed = tell.step(
            "Make customerCA.crt, a certificate authority of one's own, and sign",
            "openssl, in the README",
            |_| Ok((guide::sign(&csr)?, None)),
        )?;
        std::fs::write(up.anchor(), &signed.anchor)
            .map_err(|error| format!("customerCA.crt: {error}"))?;
        tell.step(
            "Initialize the cluster with the signed certificate",
            "cloudhsmv2 initialize-cluster",
            |p| Ok((guide.initialize(&signed, &|| p.show())?, None)),
        )?;
        tell.step(
            "Activate it: the first officer gets a password",
            "mgmt: loginHSM PRECO admin password; changePswd PRECO admin ...",
            |p| {
                Ok((
                    guide.activate(OFFICER, &|script| up.mgmt(script), &|| p.show())?,
                    None,
                ))
            },
        )?;
        tell.step(
            "Create a second HSM in the other zone",
            "cloudhsmv2 create-hsm",
            |p| Ok(((), Some(active(guide.create_hsm(&zones[1], &|| p.show())?)))),
        )
    }

    fn key_store(&mut self) -> Result<(), String> {
        let Story { tell, up, guide } = self;
        tell.chapter("A custom key store on it");
        tell.step(
            "Create the crypto user that KMS will log in as",
            "mgmt: createUser CU kmsuser kmsPswd",
            |_| {
                Ok((
                    guide.create_kmsuser(OFFICER, FIRST_PASSWORD, &|script| up.mgmt(script))?,
                    None,
                ))
            },
        )?;
        let anchor = std::fs::read_to_string(up.anchor())
            .map_err(|error| format!("customerCA.crt: {error}"))?;
        tell.step(
            "Create the key store",
            "kms create-custom-key-store",
            |_| {
                guide.store = guide.create_key_store("ExampleKeyStore", FIRST_PASSWORD, &anchor)?;
                Ok((
                    (),
                    Some(format!(
                        "A custom key store for the cluster: {}",
                        guide.store
                    )),
                ))
            },
        )?;
        tell.step("Create it once more", "kms create-custom-key-store", |_| {
            let id = guide.create_key_store("ExampleKeyStore", FIRST_PASSWORD, &anchor)?;
            if id != guide.store {
                return Err(format!("another id came back: {id}"));
            }
            Ok((
                (),
                Some(format!(
                    "Once more with the same values: the same id comes back, {id}"
                )),
            ))
        })?;
        tell.step(
            "Connect: KMS logs in as kmsuser and changes its password to one that only KMS knows",
            "kms connect-custom-key-store",
            |p| Ok((guide.connect(&|| p.show())?, None)),
        )?;
        tell.step(
            "Try the old password",
            "PKCS#11 C_Login kmsuser:kmsPswd",
            |_| {
                let why = hsm_keys::login_refused(up, &guide.cluster_now()?, FIRST_PASSWORD)?;
                Ok((
                    (),
                    Some(format!("The old password no longer logs in: {why}")),
                ))
            },
        )
    }

    fn keys(&mut self) -> Result<Keys, String> {
        let Story { tell, guide, .. } = self;
        tell.chapter("Keys that never leave the HSMs");
        let mut arns = [String::new(), String::new()];
        for arn in &mut arns {
            *arn = tell.step(
                "Create a KMS key",
                "kms create-key --origin AWS_CLOUDHSM",
                |_| {
                    let made = guide.kms(
                        "CreateKey",
                        json!({ "Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": guide.store }),
                    )?;
                    let arn = text(&made["KeyMetadata"]["Arn"]);
                    Ok((
                        arn.clone(),
                        Some(format!(
                            "A KMS key, its AES-256 key made inside the HSMs: {arn}"
                        )),
                    ))
                },
            )?;
        }
        let [first, second] = &arns;
        let context = json!({ "purpose": "demo" });
        let ciphertext = tell.step(
            "Encrypt under the first",
            "kms encrypt --encryption-context purpose=demo",
            |_| {
                let made = guide.kms(
                    "Encrypt",
                    json!({ "KeyId": first, "Plaintext": PLAINTEXT, "EncryptionContext": context }),
                )?;
                Ok((text(&made["CiphertextBlob"]), None))
            },
        )?;
        tell.step("Decrypt", "kms decrypt", |_| {
            opens(guide, &ciphertext, &context, PLAINTEXT, first)
        })?;
        tell.step("Re-encrypt under the second, which never shows the plaintext", "kms re-encrypt", |_| {
            let made = guide.kms("ReEncrypt", json!({
                "CiphertextBlob": ciphertext, "SourceEncryptionContext": context, "DestinationKeyId": second,
            }))?;
            opens(guide, &text(&made["CiphertextBlob"]), &json!({}), PLAINTEXT, second)
        })?;
        tell.step(
            "Generate a data key",
            "kms generate-data-key --key-spec AES_256",
            |_| {
                let made = guide.kms(
                    "GenerateDataKey",
                    json!({ "KeyId": first, "KeySpec": "AES_256" }),
                )?;
                opens(
                    guide,
                    &text(&made["CiphertextBlob"]),
                    &json!({}),
                    &text(&made["Plaintext"]),
                    first,
                )
            },
        )?;
        tell.step("Decrypt with another encryption context", "kms decrypt --encryption-context purpose=other", |_| {
            let body = json!({ "CiphertextBlob": ciphertext, "EncryptionContext": { "purpose": "other" } });
            refused(guide, "Decrypt with another encryption context", "Decrypt", body, "InvalidCiphertextException")
        })?;
        Ok(Keys { arns, ciphertext })
    }

    fn audit(&mut self, keys: &Keys) -> Result<(), String> {
        let Story { tell, up, guide } = self;
        tell.chapter("A look into the HSMs, the way that the guide has for it: disconnect, log in as kmsuser");
        tell.step("Disconnect, and give kmsuser a password for the look", "kms disconnect-custom-key-store; mgmt: changePswd CU kmsuser ...", |p| {
            guide.disconnect(&|| p.show())?;
            up.mgmt(&format!("loginHSM CO admin {OFFICER}\nchangePswd CU kmsuser {AUDIT_PASSWORD}\ny\nlogoutHSM"))?;
            Ok(((), None))
        })?;
        let found = tell.step(
            "List the keys in the HSMs",
            "PKCS#11 C_FindObjects, C_GetAttributeValue",
            |_| {
                let found = hsm_keys::list(up, &guide.cluster_now()?, AUDIT_PASSWORD)?;
                let words = format!(
                    "The HSMs hold {} keys, each labelled with the ARN of its KMS key:",
                    found.len()
                );
                Ok((found, Some(words)))
            },
        )?;
        for key in &found {
            tell.detail(&key.to_string());
        }
        let is_there = |arn: &String| found.iter().any(|key| key.label == *arn && key.locked_in());
        if found.len() != 2 || !keys.arns.iter().all(is_there) {
            return Err("the HSMs should hold exactly the two keys, labelled with their ARNs, SENSITIVE and not EXTRACTABLE".into());
        }
        tell.step(
            "Tell KMS that password, and connect: KMS changes it again",
            "kms update-custom-key-store; connect-custom-key-store",
            |p| {
                guide.kms(
                    "UpdateCustomKeyStore",
                    json!({ "CustomKeyStoreId": guide.store, "KeyStorePassword": AUDIT_PASSWORD }),
                )?;
                Ok((guide.connect(&|| p.show())?, None))
            },
        )
    }

    fn failure(&mut self, keys: &Keys) -> Result<(), String> {
        let Story { tell, guide, .. } = self;
        tell.chapter("An HSM dies");
        tell.step("Kill one HSM", "keystead fault kill (signal 9)", |p| {
            let hsms = guide.active_hsms()?;
            let victim = text(&hsms.first().ok_or("no active HSM")?["HsmId"]);
            guide
                .aws
                .simulation("fault/kill", &json!({ "HsmId": victim }))
                .map_err(|refusal| refusal.to_string())?;
            until(&|| p.show(), || {
                Ok((guide.active_hsms()?.len() < hsms.len()).then_some(()))
            })?;
            Ok((
                (),
                Some(format!(
                    "{victim} is dead: its process was killed with signal 9"
                )),
            ))
        })?;
        tell.step(
            "Decrypt still works, on the other HSM",
            "kms decrypt",
            |_| {
                opens(
                    guide,
                    &keys.ciphertext,
                    &json!({ "purpose": "demo" }),
                    PLAINTEXT,
                    &keys.arns[0],
                )
            },
        )
    }

    fn disconnect(&mut self, keys: &Keys) -> Result<(), String> {
        let Story { tell, guide, .. } = self;
        let key = &keys.arns[0];
        tell.chapter("Disconnect and reconnect");
        tell.step(
            "Disconnect the key store",
            "kms disconnect-custom-key-store",
            |p| {
                guide.disconnect(&|| p.show())?;
                let state = text(
                    &guide.kms("DescribeKey", json!({ "KeyId": key }))?["KeyMetadata"]["KeyState"],
                );
                if state != "Unavailable" {
                    return Err(format!("the key is {state}, and should be Unavailable"));
                }
                Ok(((), Some("Disconnected: the key is Unavailable".into())))
            },
        )?;
        tell.step("Encrypt while disconnected", "kms encrypt", |_| {
            let body = json!({ "KeyId": key, "Plaintext": PLAINTEXT });
            refused(
                guide,
                "Encrypt while disconnected",
                "Encrypt",
                body,
                "KMSInvalidStateException",
            )
        })?;
        tell.step(
            "Reconnect; the password changes once more",
            "kms connect-custom-key-store",
            |p| Ok((guide.connect(&|| p.show())?, None)),
        )?;
        tell.step("Decrypt what was encrypted before", "kms decrypt", |_| {
            opens(
                guide,
                &keys.ciphertext,
                &json!({ "purpose": "demo" }),
                PLAINTEXT,
                key,
            )
        })?;
        tell.step(
            "Delete the key store while it has keys",
            "kms delete-custom-key-store",
            |p| {
                guide.disconnect(&|| p.show())?;
                let body = json!({ "CustomKeyStoreId": guide.store });
                refused(
                    guide,
                    "Delete a key store that has keys",
                    "DeleteCustomKeyStore",
                    body,
                    "CustomKeyStoreHasCMKsException",
                )
            },
        )
    }
}

/// Decrypts, and checks the plaintext and the key that did it.
fn opens(guide: &Guide, ciphertext: &str, context: &Value, plaintext: &str, key: &str) -> Told<()> {
    let opened = guide.kms(
        "Decrypt",
        json!({ "CiphertextBlob": ciphertext, "EncryptionContext": context }),
    )?;
    if opened["Plaintext"] != plaintext || opened["KeyId"] != key {
        return Err("Decrypt answered with another plaintext or key".into());
    }
    Ok(((), None))
}

/// A call that must be refused with `code`.
fn refused(guide: &Guide, what: &str, operation: &str, body: Value, code: &str) -> Told<()> {
    match guide.aws.call(Service::Kms, operation, &body) {
        Err(Refusal { code: got, message }) if got == code => {
            let says = if message.is_empty() {
                String::new()
            } else {
                format!(": {message}")
            };
            Ok(((), Some(format!("{what} is refused: {code}{says}"))))
        }
        Err(other) => Err(format!("expected {code}, but the answer was {other}")),
        Ok(_) => Err(format!("expected {code}, but it was done")),
    }
}
