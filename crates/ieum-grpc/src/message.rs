//! `grpc-message`: a text for people, percent-encoded so that it fits into a field.

use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};

/// The name of the field.
pub const GRPC_MESSAGE: &str = "grpc-message";

/// Writes a text as the field's value. Everything but printable ASCII, and `%` itself, is encoded.
pub fn encode(text: &str) -> HeaderValue {
    let encoded = utf8_percent_encode(text, NOT_PRINTABLE).to_string();
    // Printable ASCII is always a field's value.
    HeaderValue::try_from(encoded).unwrap_or(HeaderValue::from_static(""))
}

/// Reads the field. What is wrongly encoded stays as it is, as the protocol says, so that nothing of
/// an error's text is lost.
pub fn decode(value: &HeaderValue) -> String {
    percent_decode(value.as_bytes())
        .decode_utf8_lossy()
        .into_owned()
}

/// [`utf8_percent_encode`] encodes what is not ASCII by itself.
const NOT_PRINTABLE: &AsciiSet = &CONTROLS.add(b'%');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_survives_its_field() {
        for text in [
            "",
            "plain words",
            "100 %",
            "신발 없음",
            "two\r\nlines\0",
            "a%20b",
        ] {
            let value = encode(text);
            assert!(value.to_str().is_ok(), "{text:?}");
            assert_eq!(decode(&value), text);
        }
    }

    #[test]
    fn what_is_wrongly_encoded_stays_as_it_is() {
        assert_eq!(
            decode(&HeaderValue::from_static("100% of %zz")),
            "100% of %zz"
        );
    }
}
