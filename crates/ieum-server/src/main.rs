//! The binary `ieum`.

fn main() {}
