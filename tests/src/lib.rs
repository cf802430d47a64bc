//! The black-box tests live in `blackbox/`; this library is empty.
