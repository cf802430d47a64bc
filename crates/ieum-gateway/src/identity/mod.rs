//! Who the caller is: keys, the verification of tokens, and what of a token goes inside.

mod keys;
#[cfg(test)]
mod tests;
mod verifier;

pub(crate) use keys::Keys;
pub(crate) use verifier::{Identity, Verifier};
