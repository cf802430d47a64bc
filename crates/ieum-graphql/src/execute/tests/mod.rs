//! Plans written by hand against subgraphs that answer by script.

mod cost;
mod data;
mod failures;
mod json;
mod support;
