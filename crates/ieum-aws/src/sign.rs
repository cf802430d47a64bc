//! Signing requests: AWS Signature Version 4, of what these services need of it (a `POST` to `/`
//! without a query).

use aws_lc_rs::{digest, hmac};

/// What a signature is made for: the day, the region and the service, beside the key.
pub(crate) struct Scope<'a> {
    pub(crate) key: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    /// `YYYYMMDDTHHMMSSZ`, which is the header `x-amz-date` too.
    pub(crate) date: &'a str,
}

/// The header `authorization` of a `POST` to `/`. `headers` are in lower case and sorted by name.
pub(crate) fn authorization(scope: &Scope<'_>, headers: &[(&str, &str)], body: &[u8]) -> String {
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines = headers.iter();
    let lines: String = lines
        .map(|(name, value)| format!("{name}:{}\n", value.trim()))
        .collect();
    let request = format!("POST\n/\n\n{lines}\n{names}\n{}", sha256(body));
    let day = scope.date.get(..8).unwrap_or_default();
    let place = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let text = format!(
        "{ALGORITHM}\n{}\n{place}\n{}",
        scope.date,
        sha256(request.as_bytes())
    );
    let mut key = format!("AWS4{}", scope.secret).into_bytes();
    for part in [day, scope.region, scope.service, "aws4_request", &text] {
        key = mac(&key, part);
    }
    let signature = hex(&key);
    let credential = format!("{}/{place}", scope.key);
    format!("{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}")
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: Scope<'_> = Scope {
        key: "AKIDEXAMPLE",
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        region: "us-east-1",
        service: "service",
        date: "20150830T123600Z",
    };

    /// `post-vanilla` and `post-x-www-form-urlencoded` of AWS' published test suite.
    #[test]
    fn the_signatures_of_the_published_vectors_come_out() {
        let host = ("host", "example.amazonaws.com");
        let date = ("x-amz-date", "20150830T123600Z");
        assert_eq!(
            authorization(&SCOPE, &[host, date], b""),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
        let form = ("content-type", "application/x-www-form-urlencoded");
        let signed = authorization(&SCOPE, &[form, host, date], b"Param1=value1");
        let wanted = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";
        assert!(signed.ends_with(wanted), "{signed}");
    }
}
