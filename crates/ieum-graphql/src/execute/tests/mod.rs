//! Plans written by hand against subgraphs that answer by script.

mod data;
mod support;
