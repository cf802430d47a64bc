//! Plans written by hand against subgraphs that answer by script.

mod concurrency;
mod data;
mod failures;
mod json;
mod plans;
mod served;
mod support;
