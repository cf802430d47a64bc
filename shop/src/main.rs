//! The reference e-commerce system that runs on ieum and proves it.

mod audit;
mod cli;
mod demo;
mod services;
mod support;

fn main() {}
