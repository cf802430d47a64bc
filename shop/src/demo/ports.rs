//! The ports of a demo: chosen once, all of them different, loopback only.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use ieum::base::Rng;
use ieum::http::listener;
use tokio::net::TcpListener;

/// The first port of the range that is used instead of the usual ports, and how many there are:
/// below those that systems give to outgoing connections.
const RANGE: (u16, usize) = (20_000, 10_000);

/// Chooses ports. They are held until it is dropped, so that no two children get the same.
pub(super) struct Ports {
    held: Vec<TcpListener>,
    /// Where the usual ports are not used: a process that is killed gives up its port for a moment,
    /// and nobody else must look there.
    elsewhere: Option<Rng>,
}

impl Ports {
    /// The usual ports, or free ones above them.
    pub(super) const fn usual() -> Self {
        Self {
            held: Vec::new(),
            elsewhere: None,
        }
    }

    /// Ports from where nobody else looks.
    pub(super) const fn elsewhere() -> Self {
        Self {
            held: Vec::new(),
            elsewhere: Some(Rng::system()),
        }
    }

    /// A port that is usually `usual`.
    pub(super) fn take(&mut self, usual: u16) -> Result<SocketAddr> {
        let port = match &self.elsewhere {
            None => usual,
            Some(rng) => RANGE.0 + rng.below(RANGE.1) as u16,
        };
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = listener::bind_first_free(wanted)?;
        let address = listener.local_addr()?;
        self.held.push(listener);
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_port_is_given_twice() {
        for mut ports in [Ports::usual(), Ports::elsewhere()] {
            let [a, b] = [(); 2].map(|()| ports.take(18_080).expect("a port"));
            assert_ne!(a, b);
        }
    }
}
