//! audit
mod book;
mod books;
mod money;
mod orders;
mod stock;
