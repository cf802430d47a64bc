//! Plans written by hand against subgraphs that answer by script.

mod concurrency;
mod damage;
mod data;
mod failures;
mod json;
mod limits;
mod plans;
mod selection;
mod served;
mod support;
