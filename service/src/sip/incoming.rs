//! What comes in: answers go to their transactions, requests are answered at once.

use std::net::SocketAddr;
use std::sync::Arc;

use rsipstack::transport::{SipAddr, SipConnection};

use super::Shared;
use super::received::{Place, Received};
use super::wire::{self, Answer};

/// Takes one message. Returns the answer to a request, to be sent back over the flow it came from.
pub async fn take(
    shared: &Arc<Shared>,
    bytes: &[u8],
    peer: SocketAddr,
    connection: &SipConnection,
) -> Option<String> {
    let Some(head) = wire::head(bytes) else {
        shared.drop_message("no header, or less body than it promises");
        return None;
    };
    if wire::is_answer(&head) {
        take_response(shared, &head, peer, connection).await;
        return None;
    }
    let Some(request) = Received::parse(&head) else {
        shared.drop_message("a request that is malformed");
        return None;
    };
    let Some(place) = place(shared, &request, peer) else {
        shared.drop_message("a stranger's request");
        return None;
    };
    request.answer(place, peer)
}

async fn take_response(shared: &Arc<Shared>, head: &str, peer: SocketAddr, connection: &SipConnection) {
    let Some(answer) = Answer::parse(head) else {
        return shared.drop_message("a response that is malformed");
    };
    let Some(message) = shared.asked.take(answer) else {
        return shared.drop_message("a response that fits no request");
    };
    let from = SipAddr { r#type: Some(connection.transport()), addr: peer.into() };
    if shared.endpoint.on_received_message(message, connection.clone(), &from).await.is_err() {
        shared.drop_message("a response that fits no request");
    }
}

/// Whose the Request-URI is; `None` where `peer` is no server of such a profile. An unknown token is answered to any
/// server of ours.
fn place(shared: &Shared, request: &Received, peer: SocketAddr) -> Option<Place> {
    let state = shared.state();
    let id = request.user().and_then(|user| state.tokens.get(user));
    match id.and_then(|id| state.profiles.get(id)) {
        Some(profile) => profile.listens_to(peer).then_some(Place::Ours),
        None => state.profiles.values().any(|profile| profile.listens_to(peer)).then_some(Place::Nobodys),
    }
}
