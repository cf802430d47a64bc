//! The pages of `docs/` that show Rust: doctests compile each block, so that no page shows code that
//! is not accepted. `cargo xtask tidy` fails if a page with such a block is not here.

#[doc = include_str!("../../../docs/reference/service-database.md")]
#[cfg(feature = "sqlite")]
mod service_database {}

#[doc = include_str!("../../../docs/reference/grpc.md")]
#[cfg(feature = "grpc")]
mod grpc {}

#[doc = include_str!("../../../docs/reference/contract.md")]
#[cfg(feature = "contract")]
#[expect(
    rustdoc::invalid_codeblock_attributes,
    reason = "says why a shell block of that page is not run"
)]
mod contract {}
