//! SHA-1, SHA-2, SHA-3: short and long messages, and the Monte Carlo chains.

use super::super::hashes::{self, Hash};
use super::super::raw::Token;
use super::super::tally::Tally;
use super::each_case;

fn folder(hash: &Hash) -> &'static str {
    match hash.name {
        "SHA1" => "SHA1",
        name if name.starts_with("SHA3_") => "SHA3",
        _ => "SHA2",
    }
}

#[test]
fn digests() {
    let token = Token::new();
    let mut tally = Tally::default();
    for hash in hashes::ALL {
        for kind in ["Short", "Long"] {
            let file = format!("hashes/{}/{}{kind}Msg.rsp", folder(hash), hash.name);
            each_case(&file, |case| {
                let Some(md) = case.own("MD") else { return };
                let what = format!("{file} {}", case.describe());
                // What is empty is written as one zero byte.
                let mut msg = case.hex("Msg");
                msg.truncate(case.number("Len") / 8);
                let md = super::parse::hex(md);
                assert_eq!(token.digest(hash.digest, &msg).as_ref(), Ok(&md), "{what}");
                assert_eq!(
                    token.digest_parts(hash.digest, &msg),
                    Ok(md),
                    "{what}: in parts"
                );
                tally.count();
            });
        }
    }
    tally.end("C API, NIST, digests", 2000);
}

/// Each checkpoint is a thousand digests on; `least` checkpoints of each hash are run.
fn monte(checkpoints: usize) {
    let token = Token::new();
    let mut tally = Tally::default();
    for hash in hashes::ALL {
        let file = format!("hashes/{}/{}Monte.rsp", folder(hash), hash.name);
        let sha3 = hash.name.starts_with("SHA3_");
        let mut seed: Vec<u8> = Vec::new();
        each_case(&file, |case| {
            if let Some(given) = case.own("Seed") {
                seed = super::parse::hex(given);
            }
            if case.own("MD").is_none() {
                return;
            }
            if case.number("COUNT") >= checkpoints {
                tally.skip(
                    "later checkpoints of the Monte Carlo chains: ./check full",
                    1,
                );
                return;
            }
            // SHA-1 and SHA-2 digest the last three digests together, SHA-3 the last one.
            let mut last = [seed.clone(), seed.clone(), seed.clone()];
            for _ in 0..1000 {
                let msg = if sha3 { last[2].clone() } else { last.concat() };
                last.rotate_left(1);
                last[2] = token.digest(hash.digest, &msg).unwrap();
            }
            seed = last[2].clone();
            assert_eq!(seed, case.hex("MD"), "{file} {}", case.describe());
            tally.count();
        });
    }
    tally.end(
        "C API, NIST, Monte Carlo digests",
        checkpoints * hashes::ALL.len(),
    );
}

#[test]
fn monte_carlo_begins_right() {
    monte(3);
}

#[test]
#[ignore = "long: ./check full"]
fn monte_carlo() {
    monte(100);
}
