//! Signature Version 4 of header-signed requests, both ways: the server verifies, the demo and
//! the tests sign. Algorithm: AWS General Reference, "Signing AWS API requests".
//!
//! - `canonical`: what is signed
//! - `sign`, `verify`: the two ends
//!
//! Query-signed (presigned) requests are not here: no SDK makes them for KMS or CloudHSM.

mod canonical;
mod sign;
mod verify;

pub use canonical::Message;
pub use sign::{Key, sign};
pub use verify::{Authorization, verify};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::datetime;

    proptest! {
        /// Whatever is signed verifies, and stops to when one byte of the body changes.
        #[test]
        fn what_is_signed_verifies(
            path in "/[ -~]{0,20}",
            query in "[ -~]{0,30}",
            value in "[ -~]{0,20}",
            body in proptest::collection::vec(any::<u8>(), 1..50),
            flip in any::<proptest::sample::Index>(),
        ) {
            let at = datetime!(2026-02-03 04:05:06 UTC);
            let key = Key::new("AKID", "secret");
            let headers = [("Host", "h"), ("X-Any", value.as_str())];
            let message =
                Message { method: "POST", path: &path, query: &query, headers: &headers, body: &body };
            let added = sign(&message, &key, "eu-west-1", "kms", at);
            let mut headers = headers.to_vec();
            headers.extend(added.iter().map(|(name, value)| (*name, value.as_str())));
            let message = Message { headers: &headers, ..message };
            let parsed = Authorization::parse(message.header("authorization")).unwrap();
            prop_assert_eq!(verify(&message, &parsed, Some(&key), "kms", at), Ok(()));

            let mut other = body.clone();
            other[flip.index(body.len())] ^= 1;
            let message = Message { body: &other, ..message };
            prop_assert!(verify(&message, &parsed, Some(&key), "kms", at).is_err());
        }

        /// No header makes the parser panic, and what it takes has a region fit for an ARN.
        #[test]
        fn any_header_is_parsed_or_refused(
            credential in "[ -~]{0,8}(/[!-~]{0,6}){3,4}/aws4_request",
            rest in "(SignedHeaders|Signature|Other)=?[ -~]{0,12}(, ?)?\\PC{0,4}",
            whole in any::<bool>(),
                ) {
            let end = if whole { ", SignedHeaders=host, Signature=00" } else { "" };
            let header = format!("AWS4-HMAC-SHA256 {rest}, Credential={credential}{end}");
            if let Ok(parsed) = Authorization::parse(Some(&header)) {
                prop_assert!(!parsed.region.is_empty() && !parsed.access_key.is_empty());
                prop_assert!(!parsed.region.contains([':', '/', ' ']));
            }
        }
    }
}
