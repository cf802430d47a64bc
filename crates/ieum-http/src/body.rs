//! Reading bodies whole, up to a limit.

use bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::{BoxError, Error, ErrorKind, Result};

/// Reads a body whole.
///
/// # Errors
/// [`ErrorKind::TooLarge`] if it has more than `limit` bytes, known at once if its length was
/// announced; [`ErrorKind::Broken`] if it ends early.
pub async fn collect<B>(body: B, limit: usize) -> Result<Bytes>
where
    B: Body,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let too_large = || Error::new(ErrorKind::TooLarge, format!("more than {limit} bytes"));
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(Error::new(ErrorKind::Broken, "reading a body").caused_by(error)),
    }
}

/// Reads JSON.
///
/// # Errors
/// [`ErrorKind::Decode`], with the place.
pub fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body)
        .map_err(|error| Error::new(ErrorKind::Decode, "a JSON body").caused_by(error))
}
