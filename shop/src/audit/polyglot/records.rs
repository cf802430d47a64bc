//! The ledger of donations: a file of records, read by its documented format.
//!
//! After the 8 bytes `IEUMDON1` come records: the payload's length and a CRC-32 over the length's bytes
//! and the payload, both in 4 big-endian bytes, and the payload, which is JSON. Only the last record
//! may be torn: it was not answered for.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::super::book::Tally;
use super::super::books::Books;
use super::Entry;

const MAGIC: &[u8] = b"IEUMDON1";
/// The length and the CRC.
const HEAD: usize = 8;
/// The longest payload.
const MOST: usize = 64 * 1024;

/// Reads the effects in the file; none if there is no file.
pub(super) fn read(file: &Path, tally: &Tally, books: &mut Books) -> Result<Vec<Entry>> {
    if !file.is_file() {
        return Ok(Vec::new());
    }
    let context = || format!("cannot audit {}", file.display());
    let bytes = std::fs::read(file).with_context(context)?;
    let rest = bytes.strip_prefix(MAGIC).with_context(context)?;
    let (payloads, torn) = payloads(rest);
    if (1..torn.len()).any(|at| payload(&torn[at..]).is_some()) {
        books.find(format_args!("{} is damaged", file.display()));
    }
    tally.add(payloads.len());
    let entries = payloads.into_iter().map(entry);
    let entries: Result<Vec<_>> = entries.collect();
    Ok(entries
        .with_context(context)?
        .into_iter()
        .flatten()
        .collect())
}

/// The payloads of the whole records at the beginning, and what comes after them.
fn payloads(mut bytes: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut payloads = Vec::new();
    while let Some(found) = payload(bytes) {
        payloads.push(found);
        bytes = &bytes[HEAD + found.len()..];
    }
    (payloads, bytes)
}

/// The payload of the record at the beginning, if it is whole.
fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let size = u32::from_be_bytes(*length) as usize;
    let payload = rest.get(..size).filter(|_| (1..=MOST).contains(&size))?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(payload);
    (hasher.finalize() == u32::from_be_bytes(*crc)).then_some(payload)
}

/// The effect in a payload, if there is one.
fn entry(payload: &[u8]) -> Result<Option<Entry>> {
    let record: Value = serde_json::from_slice(payload)?;
    let Some(entry) = record.get("entry") else {
        return Ok(None);
    };
    let kind = entry["kind"].as_str();
    ensure!(matches!(kind, Some("pledge" | "cancel")), "{entry}");
    let sign = if kind == Some("pledge") { 1 } else { -1 };
    let amount = entry["amount"].as_i64().context("an amount")?;
    let order_id = entry["orderId"].as_str().context("an order")?;
    Ok(Some(Entry {
        order_id: order_id.to_owned(),
        times: sign,
        amount: sign * amount,
        user_id: None,
    }))
}

#[cfg(test)]
pub(in crate::audit) mod testing {
    use super::*;

    /// A file of records with these payloads.
    pub(in crate::audit) fn file(payloads: &[Value]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for payload in payloads {
            let payload = payload.to_string();
            let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
            let crc = crc32fast::hash(&[&length, payload.as_bytes()].concat());
            bytes.extend([&length, &crc.to_be_bytes()[..], payload.as_bytes()].concat());
        }
        bytes
    }
}
