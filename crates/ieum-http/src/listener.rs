//! Listening sockets: bound once, shared by the gateway's threads, with an error that says what to do.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpListener;

/// The longest queue of connections that nobody accepted yet.
const BACKLOG: i32 = 1024;
/// How many ports are tried after a default that is taken.
const MOST_TRIES: u16 = 100;

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

impl BindError {
    /// The address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// True if somebody listens there already.
    pub fn is_in_use(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address;
        match self.source.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "{address} is in use: stop the process that listens there (`ss -ltnp 'sport = :{}'` \
                 shows it), or configure another port",
                address.port()
            ),
            io::ErrorKind::PermissionDenied => write!(
                f,
                "{address} is not permitted: ports below 1024 need a privilege; configure a higher port"
            ),
            io::ErrorKind::AddrNotAvailable => write!(
                f,
                "{address} is not an address of this machine: configure one that is, or 0.0.0.0 for all"
            ),
            _ => write!(f, "cannot listen on {address}"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Listens on `address`, alone. Port 0 takes any free port.
///
/// # Errors
/// With the address and what to do.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    listen(address, false)
        .and_then(TcpListener::from_std)
        .map_err(|source| BindError { address, source })
}

/// Listens on `address` or, if it is taken, on the next free port above it. For defaults only: a
/// configured port that is taken is an error.
///
/// # Errors
/// That of the first try if none of the next 100 ports is free, or if the trouble is another.
pub fn bind_first_free(address: SocketAddr) -> Result<TcpListener, BindError> {
    first_free(address, bind)
}

/// `count` listeners on one address, one for each thread; the kernel spreads connections over them
/// (`SO_REUSEPORT`). They are in non-blocking mode, for `tokio::net::TcpListener::from_std` on the
/// thread's own runtime.
///
/// The first listens without `SO_REUSEPORT` and opens the address to the others only then: with the
/// option from the start, the kernel would let another process of ours share the port, and each
/// would get half of the connections.
///
/// # Errors
/// With the address and what to do.
pub fn bind_shared(address: SocketAddr, count: usize) -> Result<Vec<StdListener>, BindError> {
    let failed = |source| BindError { address, source };
    let first = listen(address, false).map_err(failed)?;
    let claimed = first.local_addr().map_err(failed)?;
    #[cfg(unix)]
    SockRef::from(&first).set_reuse_port(true).map_err(failed)?;
    let others = (1..count.max(1)).map(|_| listen(claimed, true).map_err(failed));
    std::iter::once(Ok(first)).chain(others).collect()
}

/// As [`bind_shared`], on the next free port if `address` is taken. For defaults only.
///
/// # Errors
/// As [`bind_first_free`].
pub fn bind_shared_first_free(
    address: SocketAddr,
    count: usize,
) -> Result<Vec<StdListener>, BindError> {
    first_free(address, |address| bind_shared(address, count))
}

/// Keeps new connections out of the queue of `listener`, so that it can be emptied before it is closed.
/// A client whose first packet is dropped sends it again a second later, and meets whoever listens
/// then. On Linux; elsewhere, or where that is not permitted, new ones still come.
pub(crate) fn let_nobody_in(listener: &TcpListener) {
    #[cfg(target_os = "linux")]
    {
        use socket2::SockFilter;
        // The 14th byte of a TCP header has the flags; SYN asks for a connection.
        let (load_byte, jump_if_set, answer) = (0x30, 0x45, 0x06);
        let filter = [
            SockFilter::new(load_byte, 0, 0, 13),
            SockFilter::new(jump_if_set, 0, 1, 0x02),
            SockFilter::new(answer, 0, 0, 0),
            SockFilter::new(answer, 0, 0, u32::MAX),
        ];
        if let Err(error) = SockRef::from(listener).attach_filter(&filter) {
            tracing::debug!(%error, "new connections cannot be kept out while the listener closes");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = listener;
}

fn first_free<T>(
    address: SocketAddr,
    bind: impl Fn(SocketAddr) -> Result<T, BindError>,
) -> Result<T, BindError> {
    let first = match bind(address) {
        Err(error) if error.is_in_use() => error,
        decided => return decided,
    };
    (1..=MOST_TRIES)
        .filter_map(|step| address.port().checked_add(step))
        .find_map(|port| bind(SocketAddr::new(address.ip(), port)).ok())
        .ok_or(first)
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<StdListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Connections of an earlier run in TIME_WAIT must not keep us from starting.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(shared)?;
    #[cfg(not(unix))]
    let _ = shared;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_what_to_do() {
        let first = bind(any()).expect("a free port");
        let taken = first.local_addr().expect("bound");
        let error = bind(taken).expect_err("taken");
        assert!(error.is_in_use());
        let text = error.to_string();
        assert!(text.starts_with(&format!("{taken} is in use")), "{text}");
        assert!(text.contains("configure another port"), "{text}");
    }

    #[tokio::test]
    async fn a_default_that_is_taken_moves_to_the_next_free_port() {
        let first = bind(any()).expect("a free port");
        let taken = first.local_addr().expect("bound");
        let second = bind_first_free(taken).expect("one of the next hundred");
        assert!(second.local_addr().expect("bound").port() > taken.port());
    }

    #[tokio::test]
    async fn shared_listeners_have_one_address_and_share_it_with_nobody_else() {
        let set = bind_shared(any(), 3).expect("a free port");
        let address = set[0].local_addr().expect("bound");
        assert!(
            set.iter()
                .all(|l| l.local_addr().expect("bound") == address)
        );
        assert!(bind_shared(address, 3).expect_err("taken").is_in_use());
        let moved = bind_shared_first_free(address, 2).expect("one of the next hundred");
        assert_ne!(moved[0].local_addr().expect("bound"), address);
    }

    #[tokio::test]
    async fn an_address_of_another_machine_explains_itself() {
        let elsewhere = SocketAddr::from(([203, 0, 113, 7], 0));
        let error = bind(elsewhere).expect_err("not ours");
        assert!(error.to_string().contains("not an address of this machine"));
    }
}
