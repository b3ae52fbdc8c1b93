//! A stream of one profile: framing (RFC 3261 §18.3), pongs (RFC 5626 §4.4.1), and its end.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rsipstack::transport::channel::ChannelConnection;
use rsipstack::transport::{SipAddr, SipConnection, TransportEvent};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::flow::{PING, PONG};
use super::frame::{self, Next, Passing};
use super::{Shared, incoming, tls};
use crate::registration::{Failure, Input, Target, Transport};

/// Bytes read at once.
const CHUNK: usize = 4096;
/// Writes that may wait for a slow peer.
const WRITES: usize = 16;

/// A stream with its reader and writer.
pub struct Stream {
    server: Target,
    local: SocketAddr,
    tls_peer: String,
    connection: SipConnection,
    writes: mpsc::Sender<Vec<u8>>,
    state: Arc<StreamState>,
    tasks: [AbortHandle; 3],
}

struct StreamState {
    /// Why it is over, once it is.
    closed: watch::Sender<Option<Failure>>,
    heard: AtomicU64,
    hears: Notify,
    /// When the last ping left that has no pong yet.
    pinged: Mutex<Option<Instant>>,
    ponged: AtomicBool,
}

impl Stream {
    /// Takes a connected stream into use for `profile`. `tls_peer`: whom TLS leads to; "" without TLS.
    pub async fn start<S>(
        shared: &Arc<Shared>,
        profile: u32,
        server: Target,
        local: SocketAddr,
        tls_peer: String,
        stream: S,
    ) -> Arc<Stream>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (read_half, write_half) = tokio::io::split(stream);
        let state = Arc::new(StreamState {
            closed: watch::Sender::new(None),
            heard: AtomicU64::new(0),
            hears: Notify::new(),
            pinged: Mutex::default(),
            ponged: AtomicBool::new(false),
        });
        let (writes, to_write) = mpsc::channel(WRITES);
        let (outgoing, messages) = mpsc::unbounded_channel();
        let (_, nothing) = mpsc::unbounded_channel();
        let addr = SipAddr { r#type: Some(transport_name(server.transport)), addr: server.address.into() };
        // Its creation only wraps the channels.
        let Ok(connection) = ChannelConnection::create_connection(nothing, outgoing, addr, None).await else {
            unreachable!("wrapping two channels does not fail")
        };
        let connection = SipConnection::Channel(connection);
        let reader = Reader {
            shared: Arc::downgrade(shared),
            profile,
            peer: server.address,
            connection: connection.clone(),
            writes: writes.clone(),
            state: state.clone(),
        };
        let tasks = [
            tokio::spawn(reader.run(read_half)).abort_handle(),
            tokio::spawn(write(write_half, to_write, state.clone())).abort_handle(),
            tokio::spawn(forward(messages, writes.clone())).abort_handle(),
        ];
        Arc::new(Stream { server, local, tls_peer, connection, writes, state, tasks })
    }

    /// Where it leads.
    pub fn server(&self) -> &Target {
        &self.server
    }

    /// Our address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The SIP crate's name for it.
    pub fn connection(&self) -> SipConnection {
        self.connection.clone()
    }

    /// Whom TLS leads to; "" without TLS.
    pub fn tls_peer(&self) -> &str {
        &self.tls_peer
    }

    /// Is it over?
    pub fn is_closed(&self) -> bool {
        self.state.closed.borrow().is_some()
    }

    /// Resolves when it is over, with the reason.
    pub async fn closed(&self) -> Failure {
        let mut closed = self.state.closed.subscribe();
        // Fails only when the sender is gone, and we hold it.
        let why = closed.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        why.unwrap_or(Failure::Silence)
    }

    /// Ends it.
    pub fn close(&self, why: &str) {
        self.state.close(Failure::Unreachable(why.to_owned()));
    }

    /// Has the server ever answered a ping?
    pub fn has_ponged(&self) -> bool {
        self.state.ponged.load(Ordering::Relaxed)
    }

    /// How many chunks have been heard.
    pub fn heard(&self) -> u64 {
        self.state.heard.load(Ordering::Relaxed)
    }

    /// Resolves when more than `seen` chunks have been heard.
    pub async fn hears_after(&self, seen: u64) {
        loop {
            let hears = self.state.hears.notified();
            if self.heard() > seen {
                return;
            }
            hears.await;
        }
    }

    /// Pings, behind what already waits to be written.
    pub async fn ping(&self) -> io::Result<()> {
        *self.state.pinged() = Some(Instant::now());
        self.writes.send(PING.to_vec()).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl StreamState {
    fn pinged(&self) -> MutexGuard<'_, Option<Instant>> {
        self.pinged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Line ends have come with nothing behind them: a pong, where a ping waits for one. Other servers put line ends in
    /// front of their messages, and have promised nothing.
    fn hear_line_ends(&self) {
        if self.pinged().take().is_some_and(|pinged| pinged.elapsed() < PONG) {
            self.ponged.store(true, Ordering::Relaxed);
        }
    }

    /// The first reason counts: what follows is only its consequence.
    fn close(&self, why: Failure) {
        self.closed.send_if_modified(|closed| {
            let is_first = closed.is_none();
            closed.get_or_insert(why);
            is_first
        });
    }
}

fn transport_name(transport: Transport) -> rsipstack::sip::Transport {
    match transport {
        Transport::Udp => rsipstack::sip::Transport::Udp,
        Transport::Tcp => rsipstack::sip::Transport::Tcp,
        Transport::Tls => rsipstack::sip::Transport::Tls,
    }
}

/// What an error of reading or writing means. A server that wants another client certificate says so only after
/// the handshake (RFC 8446 §4.4.2.4).
fn lost(error: &io::Error) -> Failure {
    tls::failure(error)
        .unwrap_or_else(|| Failure::Unreachable(format!("the connection was lost ({})", error.kind())))
}

/// Messages of the SIP crate to the writer.
async fn forward(mut messages: mpsc::UnboundedReceiver<TransportEvent>, writes: mpsc::Sender<Vec<u8>>) {
    while let Some(event) = messages.recv().await {
        if let TransportEvent::Incoming(message, ..) = event
            && writes.send(message.to_bytes()).await.is_err()
        {
            return;
        }
    }
}

async fn write(
    mut half: impl AsyncWrite + Unpin,
    mut to_write: mpsc::Receiver<Vec<u8>>,
    state: Arc<StreamState>,
) {
    while let Some(bytes) = to_write.recv().await {
        if let Err(error) = half.write_all(&bytes).await {
            return state.close(lost(&error));
        }
    }
}

struct Reader {
    shared: Weak<Shared>,
    profile: u32,
    peer: SocketAddr,
    connection: SipConnection,
    writes: mpsc::Sender<Vec<u8>>,
    state: Arc<StreamState>,
}

impl Reader {
    async fn run(self, mut half: impl AsyncRead + Unpin) {
        let why = self.read(&mut half).await;
        self.state.close(why);
        if let Some(shared) = self.shared.upgrade() {
            shared.tell(self.profile, Input::FlowLost);
        }
    }

    /// Reads until the stream is over; says why.
    async fn read(&self, half: &mut (impl AsyncRead + Unpin)) -> Failure {
        let (mut pending, mut passing) = (Vec::new(), None);
        let mut chunk = vec![0; CHUNK];
        let mut closed = self.state.closed.subscribe();
        loop {
            let read = tokio::select! {
                read = half.read(&mut chunk) => read,
                _ = closed.wait_for(Option::is_some) => return Failure::Silence,
            };
            match read {
                Ok(0) => return Failure::Unreachable(String::from("the server closed the connection")),
                Ok(length) => pending.extend_from_slice(&chunk[..length]),
                Err(error) => return lost(&error),
            }
            self.state.heard.fetch_add(1, Ordering::Relaxed);
            self.state.hears.notify_waiters();
            let Some(shared) = self.shared.upgrade() else {
                return Failure::Silence;
            };
            if let Err(why) = self.take(&shared, &mut pending, &mut passing).await {
                return Failure::Unreachable(format!("the server sends what is no SIP ({why})"));
            }
        }
    }

    /// Takes what is whole off the front of `pending`. An error where no message's end is to be found any more.
    async fn take(
        &self,
        shared: &Arc<Shared>,
        pending: &mut Vec<u8>,
        passing: &mut Option<Passing>,
    ) -> Result<(), &'static str> {
        loop {
            if let Some(message) = passing {
                let length = message.pass(pending)?;
                pending.drain(..length);
                if !message.is_over() {
                    return Ok(());
                }
                *passing = None;
            }
            match frame::next(pending) {
                Next::Message(length) => {
                    let reply = incoming::take(shared, &pending[..length], self.peer, &self.connection).await;
                    pending.drain(..length);
                    if let Some(reply) = reply {
                        // A peer that does not read its answers loses them.
                        let _ = self.writes.try_send(reply.into_bytes());
                    }
                }
                Next::LineEnds(length) => {
                    // Never answered, or two ends would ping each other forever.
                    pending.drain(..length);
                    if pending.is_empty() {
                        self.state.hear_line_ends();
                    }
                }
                Next::More => return Ok(()),
                Next::Unfit(why) => {
                    shared.drop_message(why);
                    *passing = Some(Passing::default());
                }
            }
        }
    }
}
