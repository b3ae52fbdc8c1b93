//! Sockets as a profile's settings want them, and what their errors mean.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::registration::Failure;
use crate::settings::Settings;

/// A burst of answers must find room: 1,000 profiles registered at once are answered at once.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// Room for a sock_extended_err and the address of the router that sent it (ip(7)), bytes.
const EXTENDED_ERROR: usize = 64;

/// How a profile's sockets are bound and marked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Binding {
    /// Setting `interface`.
    interface: Option<String>,
    /// Setting `dscp`, 0–63.
    dscp: u32,
}

impl Binding {
    /// As `settings` say.
    pub fn of(settings: &Settings) -> Self {
        Self { interface: settings.interface.clone(), dscp: settings.dscp.unwrap_or(0) }
    }

    fn apply(&self, socket: &Socket, is_v6: bool) -> io::Result<()> {
        if let Some(interface) = &self.interface {
            socket.bind_device(Some(interface.as_bytes()))?;
        }
        // RFC 2474 §3: the six upper bits of the octet.
        match (self.dscp, is_v6) {
            (0, _) => Ok(()),
            (dscp, true) => socket.set_tclass_v6(dscp << 2),
            (dscp, false) => socket.set_tos_v4(dscp << 2),
        }
    }
}

fn domain(address: SocketAddr) -> Domain {
    if address.is_ipv6() { Domain::IPV6 } else { Domain::IPV4 }
}

/// The kernel's choice of source address towards `server`; connecting a datagram socket sends nothing.
pub fn source_towards(server: SocketAddr, binding: &Binding) -> io::Result<IpAddr> {
    let socket = Socket::new(domain(server), Type::DGRAM, Some(Protocol::UDP))?;
    binding.apply(&socket, server.is_ipv6())?;
    socket.connect(&server.into())?;
    let local = socket.local_addr()?.as_socket().map(|address| address.ip());
    local.filter(|ip| !ip.is_unspecified()).ok_or_else(|| Errno::NETUNREACH.into())
}

/// A datagram socket at `source`, any port.
pub fn udp(source: IpAddr, binding: &Binding) -> io::Result<tokio::net::UdpSocket> {
    let address = SocketAddr::new(source, 0);
    let socket = Socket::new(domain(address), Type::DGRAM, Some(Protocol::UDP))?;
    binding.apply(&socket, address.is_ipv6())?;
    // The kernel gives what its limit allows; less is no error.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    // ICMP errors are told with the destination they are about, also on a socket that talks to many (ip(7)).
    match address {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?,
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?,
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    tokio::net::UdpSocket::from_std(socket.into())
}

/// The next error of the network about a datagram that `socket` sent: where it went, and what became of it.
/// `WouldBlock`: there is none.
pub fn next_error(socket: &impl AsRawFd) -> io::Result<(Option<SocketAddr>, io::Error)> {
    // The payload is the datagram itself; who asked knows it.
    let mut payload = [];
    let mut space = nix::cmsg_space!([u8; EXTENDED_ERROR]);
    let mut parts = [io::IoSliceMut::new(&mut payload)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let address = message.address.and_then(|address| {
        let four = address.as_sockaddr_in().map(|four| SocketAddr::V4((*four).into()));
        four.or_else(|| address.as_sockaddr_in6().map(|six| SocketAddr::V6((*six).into())))
    });
    let errno = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(error, _) => i32::try_from(error.ee_errno).ok(),
        ControlMessageOwned::Ipv6RecvErr(error, _) => i32::try_from(error.ee_errno).ok(),
        _ => None,
    });
    Ok((address, errno.map_or_else(|| io::ErrorKind::Other.into(), io::Error::from_raw_os_error)))
}

/// A stream to `server`.
pub async fn tcp(server: SocketAddr, binding: &Binding) -> io::Result<tokio::net::TcpStream> {
    let socket = Socket::new(domain(server), Type::STREAM, Some(Protocol::TCP))?;
    binding.apply(&socket, server.is_ipv6())?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    let any = match server {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    if binding.interface.is_some() {
        socket.bind(&SocketAddr::new(any, 0).into())?;
    }
    tokio::net::TcpSocket::from_std_stream(socket.into()).connect(server).await
}

/// What an error of connecting or binding means: no route is waited for until the network changes (E4), the rest
/// with back-off (E3).
pub fn failure(error: &io::Error) -> Failure {
    let no_route = [
        Errno::NETUNREACH,
        Errno::HOSTUNREACH,
        Errno::NETDOWN,
        Errno::ADDRNOTAVAIL,
        Errno::NODEV,
        Errno::AFNOSUPPORT,
    ];
    let errno = Errno::from_io_error(error);
    if errno.is_some_and(|errno| no_route.contains(&errno)) {
        return Failure::NoRoute(format!("there is no route to the server ({})", text(error)));
    }
    Failure::Unreachable(match error.kind() {
        io::ErrorKind::ConnectionRefused => String::from("the server refuses the connection"),
        io::ErrorKind::TimedOut => String::from("the connection attempt timed out"),
        _ => text(error),
    })
}

/// The system's words for `error`.
pub fn text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
