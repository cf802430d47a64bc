//! The adapters against a small platform in this process.
