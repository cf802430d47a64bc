//! Tokens that must be believed, and those that must not.
