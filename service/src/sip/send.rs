//! Sending one REGISTER: the flow, the transaction, the answer.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rsipstack::sip::SipMessage;
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::transaction::Transaction;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::flow::Flow;
use super::socket::{self, Binding};
use super::stream::Stream;
use super::tls::{self, Secured};
use super::udp::UdpSockets;
use super::wire::{self, Answer};
use super::{Shared, Way};
use crate::registration::{Failure, Request, Response, Target, Transport};
use crate::settings::Settings;

/// A stream must stand within that time.
const CONNECT: Duration = Duration::from_secs(5);
/// A request counts for so long as part of a burst: servers that are silent do not keep others' requests back.
const PLACE: Duration = Duration::from_millis(500);
/// A longer request goes over TCP where the transport is free (RFC 3261 §18.1.1), bytes.
const DATAGRAM: usize = 1300;

/// Sends `request` to `target` over the profile's flow, or a new one, and waits for the final answer.
pub async fn send(
    shared: &Arc<Shared>,
    profile: u32,
    target: Target,
    request: Request,
    settings: &Arc<Settings>,
) -> Result<Response, Failure> {
    // Closed only with the edge itself.
    let Ok(place) = shared.window.acquire().await else {
        return Err(Failure::Silence);
    };
    let limit = Duration::from_millis(request.timeout_millis);
    let mut answer = pin!(timeout(limit, exchange(shared, profile, target, request, settings)));
    let answer = match timeout(PLACE, &mut answer).await {
        Ok(answer) => answer,
        Err(_) => {
            drop(place);
            answer.await
        }
    };
    answer.unwrap_or(Err(Failure::Silence))
}

async fn exchange(
    shared: &Arc<Shared>,
    profile: u32,
    target: Target,
    request: Request,
    settings: &Arc<Settings>,
) -> Result<Response, Failure> {
    let mut target = target;
    let mut flow = flow_to(shared, profile, &target, settings).await?;
    let mut text = wire::register(&request, target.transport, flow.local());
    if text.len() > DATAGRAM && request.may_switch_to_tcp && target.transport == Transport::Udp {
        let stream = Target { transport: Transport::Tcp, ..target.clone() };
        // A server without TCP gets the long datagram after all.
        if let Ok(over_tcp) = flow_to(shared, profile, &stream, settings).await {
            (target, flow) = (stream, over_tcp);
            text = wire::register(&request, target.transport, flow.local());
        }
    }
    let contact = wire::contact(&request, target.transport, flow.local());
    let answer = tokio::select! {
        // A server may close the flow behind its answer.
        biased;
        answer = transact(shared, &flow, &text) => answer?,
        failure = flow.failed() => return Err(failure),
    };
    Ok(answer.into_response(target, contact, flow.local(), flow.tls_peer()))
}

async fn transact(shared: &Arc<Shared>, flow: &Flow, text: &str) -> Result<Answer, Failure> {
    let unusable = |error: String| Failure::Unreachable(format!("the request cannot be sent ({error})"));
    let request = rsipstack::sip::Request::try_from(text).map_err(|error| unusable(error.to_string()))?;
    let key = TransactionKey::from_request(&request, TransactionRole::Client)
        .map_err(|error| unusable(error.to_string()))?;
    let mut transaction =
        Transaction::new_client(key, request, shared.endpoint.clone(), Some(flow.connection()));
    transaction.destination = flow.destination();
    let Some(question) = shared.asked.ask(text) else {
        return Err(unusable(String::from("it has no branch")));
    };
    flow.clear_error();
    transaction.send().await.map_err(|error| unusable(error.to_string()))?;
    while let Some(message) = transaction.receive().await {
        if let SipMessage::Response(_) = message
            && let Some(answer) = question.answer()
        {
            return Ok(answer);
        }
    }
    Err(Failure::Silence)
}

/// The profile's flow to `target`: the standing one, or a new one in its place.
async fn flow_to(
    shared: &Arc<Shared>,
    profile: u32,
    target: &Target,
    settings: &Arc<Settings>,
) -> Result<Flow, Failure> {
    let spoke_tls = {
        let state = shared.state();
        let Some(known) = state.profiles.get(&profile) else {
            return Err(Failure::Silence);
        };
        if let Some(way) = known.way.as_ref().filter(|way| way.leads_to(target, settings)) {
            return Ok(way.flow.clone());
        }
        known.spoke_tls == Some(target.address)
    };
    let binding = Binding::of(settings);
    let flow = match target.transport {
        Transport::Udp => {
            let socket = UdpSockets::towards(shared, target.address, &binding).await;
            Flow::Udp { socket: socket.map_err(|error| socket::failure(&error))?, server: target.clone() }
        }
        Transport::Tcp => {
            let (stream, local) = connect(target, &binding).await?;
            let peer = String::new();
            Flow::Stream(Stream::start(shared, profile, target.clone(), local, peer, stream).await)
        }
        Transport::Tls => {
            let (stream, local) = connect(target, &binding).await?;
            let Secured { stream, peer } =
                tls::handshake(stream, target, settings, &shared.roots, spoke_tls).await?;
            Flow::Stream(Stream::start(shared, profile, target.clone(), local, peer, stream).await)
        }
    };
    let mut state = shared.state();
    if let Some(known) = state.profiles.get_mut(&profile) {
        if target.transport == Transport::Tls {
            known.spoke_tls = Some(target.address);
        }
        known.take_way(Way { flow: flow.clone(), settings: settings.clone() });
    }
    Ok(flow)
}

async fn connect(target: &Target, binding: &Binding) -> Result<(TcpStream, SocketAddr), Failure> {
    let stream = match timeout(CONNECT, socket::tcp(target.address, binding)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(socket::failure(&error)),
        Err(_) => {
            return Err(Failure::Unreachable(String::from("the connection attempt timed out")));
        }
    };
    let local = stream.local_addr().map_err(|error| socket::failure(&error))?;
    Ok((stream, local))
}
