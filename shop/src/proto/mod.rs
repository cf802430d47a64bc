//! The shop's gRPC services, generated from `shop/proto` by `cargo xtask gen`, which keeps each file as
//! its generator wrote it.

/// The services, their messages and the HTTP rules of their methods, as an encoded
/// `google.protobuf.FileDescriptorSet`.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!("../../proto/shop.binpb");

#[expect(
    dead_code,
    unreachable_pub,
    unused_qualifications,
    reason = "generated, for any service and client"
)]
#[path = "shop.inventory.v1.rs"]
pub(crate) mod inventory;
#[expect(
    dead_code,
    unreachable_pub,
    unused_qualifications,
    reason = "generated, for any service and client"
)]
#[path = "shop.users.v1.rs"]
pub(crate) mod users;
