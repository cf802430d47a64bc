//! Which addresses may be called, checked after names were resolved.
//!
//! Whoever may register a service or configure a URL chooses where we connect to. Without a policy
//! that is a request forgery: the cloud's metadata service sits on a link-local address and hands
//! out credentials. The check is on the resolved address, because a name can point anywhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Error, ErrorKind, Result};

/// What may be called beside ordinary addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether loopback may be called. Default: true, right while our own API is on loopback only.
    pub loopback: bool,
    /// Whether private networks (RFC 1918, RFC 4193) may be called. Default: true; services live there.
    pub private: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            loopback: true,
            private: true,
        }
    }
}

impl Policy {
    /// Nothing but public addresses: for URLs that strangers give us.
    pub const PUBLIC_ONLY: Self = Self {
        loopback: false,
        private: false,
    };

    /// Refuses `address` if it may not be called.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`], naming the address and the reason.
    pub fn check(&self, address: IpAddr) -> Result<()> {
        match self.refusal(canonical(address)) {
            None => Ok(()),
            Some(why) => Err(Error::new(
                ErrorKind::Forbidden,
                format!("{address} is {why}"),
            )),
        }
    }

    fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        if METADATA.contains(&address) {
            Some("a cloud's metadata service")
        } else if is_link_local(address) {
            Some("link-local")
        } else if address.is_unspecified() || address.is_multicast() || is_broadcast(address) {
            Some("not the address of one host")
        } else if address.is_loopback() && !self.loopback {
            Some("loopback")
        } else if is_private(address) && !self.private {
            Some("in a private network")
        } else {
            None
        }
    }
}

/// The same address without the disguises of IPv6: mapped, compatible, and NAT64 (RFC 6052).
fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let segments = v6.segments();
    let low = Ipv4Addr::from(u32::from(segments[6]) << 16 | u32::from(segments[7]));
    let nat64 = segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    let compatible = segments[..6] == [0; 6] && u32::from(low) > 1;
    match v6.to_ipv4_mapped() {
        Some(v4) => IpAddr::V4(v4),
        None if nat64 || compatible => IpAddr::V4(low),
        None => address,
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64,
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

fn is_broadcast(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.is_broadcast())
}

/// Metadata services that are not link-local, or worth their own name: AWS, GCP and Azure; AWS over
/// IPv6; Alibaba Cloud; Oracle Cloud.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: Policy, address: &str) -> bool {
        policy.check(address.parse().expect("an address")).is_ok()
    }

    #[test]
    fn link_local_and_metadata_are_never_called_however_they_are_written() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "::a9fe:a9fe",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!check(Policy::default(), address), "{address}");
        }
    }

    #[test]
    fn services_on_loopback_and_private_networks_are_called_by_default() {
        for address in [
            "127.0.0.1",
            "::1",
            "10.1.2.3",
            "192.168.0.9",
            "fd12::1",
            "8.8.8.8",
        ] {
            assert!(check(Policy::default(), address), "{address}");
        }
    }

    #[test]
    fn strangers_reach_only_public_addresses() {
        for address in [
            "127.0.0.1",
            "::ffff:127.0.0.1",
            "::1",
            "10.0.0.1",
            "100.64.0.1",
            "fd12::1",
        ] {
            assert!(!check(Policy::PUBLIC_ONLY, address), "{address}");
        }
        assert!(check(Policy::PUBLIC_ONLY, "93.184.215.14"));
    }
}
