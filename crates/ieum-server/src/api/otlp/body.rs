//! Bodies as they come: perhaps compressed, never trusted.

use std::io::Read;

use flate2::read::MultiGzDecoder;

/// Why a body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// It is not gzip, or ends early.
    NotGzip,
    /// It has more bytes than it may.
    TooLarge,
}

/// The decompressed body. Nothing beyond `limit` is ever decompressed, however small the body is.
pub(super) fn gunzip(body: &[u8], limit: usize) -> Result<Vec<u8>, Broken> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut plain = Vec::new();
    let read = MultiGzDecoder::new(body).take(most).read_to_end(&mut plain);
    match read {
        Err(_) => Err(Broken::NotGzip),
        Ok(_) if plain.len() > limit => Err(Broken::TooLarge),
        Ok(_) => Ok(plain),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(bomb.len() < 20 << 10);
        assert_eq!(gunzip(&bomb, 1 << 20), Err(Broken::TooLarge));
        assert_eq!(gunzip(&gzip(&[7; 100]), 100), Ok(vec![7; 100]));
    }

    #[test]
    fn what_is_cut_off_or_no_gzip_is_refused() {
        let whole = gzip(b"spans");
        assert_eq!(gunzip(&whole[..whole.len() - 3], 100), Err(Broken::NotGzip));
        assert_eq!(gunzip(b"{}", 100), Err(Broken::NotGzip));
    }
}
