//! Sending one REGISTER: the flow, the transaction, the answer.

use std::sync::Arc;
use std::time::Duration;

use rsipstack::sip::SipMessage;
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::transaction::Transaction;
use tokio::time::timeout;

use super::flow::Flow;
use super::socket::{self, Binding};
use super::stream::Stream;
use super::udp::UdpSockets;
use super::{Shared, wire};
use crate::registration::{Failure, Request, Response, Target, Transport};

/// A stream must stand within that time.
const CONNECT: Duration = Duration::from_secs(5);
/// A longer request goes over TCP where the transport is free (RFC 3261 §18.1.1), bytes.
const DATAGRAM: usize = 1300;

/// Sends `request` to `target` over the profile's flow, or a new one, and waits for the final answer.
pub async fn send(
    shared: &Arc<Shared>,
    profile: u32,
    target: Target,
    request: Request,
) -> Result<Response, Failure> {
    // Closed only with the edge itself.
    let Ok(_place) = shared.window.acquire().await else {
        return Err(Failure::Silence);
    };
    let limit = Duration::from_millis(request.timeout_millis);
    match timeout(limit, exchange(shared, profile, target, request)).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Silence),
    }
}

async fn exchange(
    shared: &Arc<Shared>,
    profile: u32,
    target: Target,
    request: Request,
) -> Result<Response, Failure> {
    let mut target = target;
    let mut flow = flow_to(shared, profile, &target).await?;
    let mut text = wire::register(&request, target.transport, flow.local());
    if text.len() > DATAGRAM && request.may_switch_to_tcp && target.transport == Transport::Udp {
        let stream = Target { transport: Transport::Tcp, ..target.clone() };
        // A server without TCP gets the long datagram after all.
        if let Ok(over_tcp) = flow_to(shared, profile, &stream).await {
            (target, flow) = (stream, over_tcp);
            text = wire::register(&request, target.transport, flow.local());
        }
    }
    let contact = wire::contact(&request, target.transport, flow.local());
    let answer = tokio::select! {
        answer = transact(shared, &flow, &text) => answer?,
        () = flow.closed() => return Err(Failure::Unreachable(match &flow {
            Flow::Stream(stream) => stream.why_closed(),
            Flow::Udp { .. } => String::new(),
        })),
    };
    Ok(wire::response(&answer, target, flow.local(), contact))
}

async fn transact(
    shared: &Arc<Shared>,
    flow: &Flow,
    text: &str,
) -> Result<rsipstack::sip::Response, Failure> {
    let unusable = |error: String| Failure::Unreachable(format!("the request cannot be sent ({error})"));
    let request = rsipstack::sip::Request::try_from(text).map_err(|error| unusable(error.to_string()))?;
    let key = TransactionKey::from_request(&request, TransactionRole::Client)
        .map_err(|error| unusable(error.to_string()))?;
    let mut transaction =
        Transaction::new_client(key, request, shared.endpoint.clone(), Some(flow.connection()));
    transaction.destination = flow.destination();
    transaction.send().await.map_err(|error| unusable(error.to_string()))?;
    while let Some(message) = transaction.receive().await {
        if let SipMessage::Response(response) = message
            && response.status_code.code() >= 200
        {
            return Ok(response);
        }
    }
    Err(Failure::Silence)
}

/// The profile's flow to `target`: the standing one, or a new one in its place.
async fn flow_to(shared: &Arc<Shared>, profile: u32, target: &Target) -> Result<Flow, Failure> {
    let binding = {
        let state = shared.state();
        let Some(known) = state.profiles.get(&profile) else {
            return Err(Failure::Silence);
        };
        if let Some(flow) = known.flow.as_ref().filter(|flow| flow.leads_to(target)) {
            return Ok(flow.clone());
        }
        Binding::of(&known.settings)
    };
    let flow = match target.transport {
        Transport::Udp => Flow::Udp {
            socket: UdpSockets::towards(shared, target.address, &binding)
                .await
                .map_err(|error| socket::failure(&error))?,
            server: target.clone(),
        },
        Transport::Tcp => Flow::Stream(connect(shared, profile, target, &binding).await?),
        Transport::Tls => return Err(Failure::TlsProtocol(String::from("this version has no TLS"))),
    };
    let mut state = shared.state();
    if let Some(known) = state.profiles.get_mut(&profile) {
        known.flow = Some(flow.clone());
        if let Some(before) = known.pinger.take() {
            before.abort();
        }
        known.pinger = known.keep_alive.map(|how| flow.keep_alive(how));
    }
    Ok(flow)
}

async fn connect(
    shared: &Arc<Shared>,
    profile: u32,
    target: &Target,
    binding: &Binding,
) -> Result<Arc<Stream>, Failure> {
    let stream = match timeout(CONNECT, socket::tcp(target.address, binding)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(socket::failure(&error)),
        Err(_) => {
            return Err(Failure::Unreachable(String::from("the connection attempt timed out")));
        }
    };
    let local = stream.local_addr().map_err(|error| socket::failure(&error))?;
    Ok(Stream::start(shared, profile, target.clone(), local, stream).await)
}
