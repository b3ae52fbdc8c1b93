//! From a server's name to its addresses (RFC 3263).

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::{RData, RecordType};
use rand::RngExt as _;
use tokio::time::timeout;

use crate::registration::{Failure, Hop, Target, Transport};
use crate::settings::TransportChoice;

/// Addresses tried in one attempt at most.
const TARGETS: usize = 16;
/// How long the name may take in all.
const PATIENCE: Duration = Duration::from_secs(15);

/// The system's resolver, made anew when its configuration file changes.
#[derive(Default)]
pub struct Names {
    resolver: Mutex<Option<(Option<SystemTime>, TokioResolver)>>,
}

/// A name with a transport and port settled: what is left is addresses.
struct Server {
    transport: Transport,
    name: String,
    port: u16,
}

impl Names {
    /// The targets of `hop` in the order to try them; never empty.
    pub async fn targets(&self, hop: &Hop) -> Result<Vec<Target>, Failure> {
        let host = hop.uri.host.clone();
        let target = |transport, address| Target { transport, address, host: host.clone() };
        let settled = settled_transport(hop);
        let transport = settled.unwrap_or(Transport::Udp);
        if let Ok(ip) = host.parse::<IpAddr>() {
            let port = hop.uri.port.unwrap_or(default_port(transport));
            return Ok(vec![target(transport, SocketAddr::new(ip, port))]);
        }
        let lookup = self.look_up(hop, &host, settled);
        let mut addresses = match timeout(PATIENCE, lookup).await {
            Ok(addresses) => addresses?,
            Err(_) => return Err(Failure::Resolver(format!("the lookup of {host} timed out"))),
        };
        addresses.truncate(TARGETS);
        Ok(addresses.into_iter().map(|(transport, address)| target(transport, address)).collect())
    }

    async fn look_up(
        &self,
        hop: &Hop,
        host: &str,
        settled: Option<Transport>,
    ) -> Result<Vec<(Transport, SocketAddr)>, Failure> {
        let resolver = self.resolver()?;
        let transport = settled.unwrap_or(Transport::Udp);
        let servers = match hop.uri.port {
            Some(port) => vec![Server { transport, name: host.to_owned(), port }],
            None => servers(&resolver, host, settled, asks_naptr(hop)).await?,
        };
        let mut found = Vec::new();
        let mut worst = None;
        for server in servers {
            match addresses(&resolver, &server.name).await {
                Ok(ips) => {
                    let port = server.port;
                    found.extend(ips.into_iter().map(|ip| (server.transport, SocketAddr::new(ip, port))));
                }
                Err(failure) => worst = Some(failure),
            }
        }
        match (found.is_empty(), worst) {
            (false, _) => Ok(found),
            (true, Some(failure)) => Err(failure),
            (true, None) => Err(no_such_name(host)),
        }
    }

    fn resolver(&self) -> Result<TokioResolver, Failure> {
        let changed = std::fs::metadata("/etc/resolv.conf").and_then(|meta| meta.modified()).ok();
        let mut known = self.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, resolver)) = &*known
            && *when == changed
        {
            return Ok(resolver.clone());
        }
        let unusable =
            |error: NetError| Failure::Resolver(format!("the system's resolver is not usable ({error})"));
        let mut builder = TokioResolver::builder_tokio().map_err(unusable)?;
        // Whoever asks again wants to know anew (E6, RFC 3263 §4.3): remembering is the name server's business.
        builder.options_mut().cache_size = 0;
        let resolver = builder.build().map_err(unusable)?;
        *known = Some((changed, resolver.clone()));
        Ok(resolver)
    }
}

/// The transport where settings or URI say it; `None` where DNS decides.
fn settled_transport(hop: &Hop) -> Option<Transport> {
    let param = hop.uri.param("transport").flatten().map(str::to_ascii_lowercase);
    match (hop.transport, param.as_deref()) {
        _ if hop.uri.secure => Some(Transport::Tls),
        (TransportChoice::Udp, _) | (TransportChoice::Auto, Some("udp")) => Some(Transport::Udp),
        (TransportChoice::Tcp, _) | (TransportChoice::Auto, Some("tcp")) => Some(Transport::Tcp),
        (TransportChoice::Tls, _) | (TransportChoice::Auto, Some("tls")) => Some(Transport::Tls),
        (TransportChoice::Auto, _) => None,
    }
}

/// NAPTR is asked where neither the settings nor the URI say a transport, for `sips:` too (RFC 3263 §4.1).
fn asks_naptr(hop: &Hop) -> bool {
    hop.transport == TransportChoice::Auto && hop.uri.param("transport").is_none()
}

fn default_port(transport: Transport) -> u16 {
    if transport == Transport::Tls { 5061 } else { 5060 }
}

/// NAPTR where the transport is open, else SRV, else the name itself (RFC 3263 §4.1, §4.2).
async fn servers(
    resolver: &TokioResolver,
    host: &str,
    settled: Option<Transport>,
    asks_naptr: bool,
) -> Result<Vec<Server>, Failure> {
    let mut services: Vec<(Transport, String)> = Vec::new();
    if asks_naptr {
        services = naptr(resolver, host).await?;
        // `sips:` takes nothing weaker.
        services.retain(|(transport, _)| settled.is_none_or(|only| only == *transport));
    }
    if services.is_empty() {
        services = match settled {
            Some(transport) => vec![(transport, service_name(transport, host))],
            None => [Transport::Udp, Transport::Tcp].map(|one| (one, service_name(one, host))).into(),
        };
    }
    let mut servers = Vec::new();
    let mut refused = None;
    for (transport, name) in services {
        match srv(resolver, transport, &name).await {
            Ok(found) => servers.extend(found),
            // Not over this transport, perhaps over another one.
            Err(failure @ Failure::NoSuchName(_)) => refused = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    if servers.is_empty() {
        if let Some(refused) = refused {
            return Err(refused);
        }
        let transport = settled.unwrap_or(Transport::Udp);
        servers.push(Server { transport, name: host.to_owned(), port: default_port(transport) });
    }
    Ok(servers)
}

fn service_name(transport: Transport, host: &str) -> String {
    match transport {
        Transport::Udp => format!("_sip._udp.{host}."),
        Transport::Tcp => format!("_sip._tcp.{host}."),
        Transport::Tls => format!("_sips._tcp.{host}."),
    }
}

async fn records(resolver: &TokioResolver, name: &str, kind: RecordType) -> Result<Vec<RData>, Failure> {
    match resolver.lookup(absolute(name), kind).await {
        Ok(lookup) => Ok(lookup.answers().iter().map(|record| record.data.clone()).collect()),
        // What a name does not have is decided by its addresses: SRV-only names have none, and need none.
        Err(error) if error.is_no_records_found() || error.is_nx_domain() => Ok(Vec::new()),
        Err(error) => Err(Failure::Resolver(format!("the lookup of {name} failed ({error})"))),
    }
}

fn absolute(name: &str) -> String {
    if name.ends_with('.') { name.to_owned() } else { format!("{name}.") }
}

async fn naptr(resolver: &TokioResolver, host: &str) -> Result<Vec<(Transport, String)>, Failure> {
    let mut found: Vec<_> = records(resolver, host, RecordType::NAPTR)
        .await?
        .into_iter()
        .filter_map(|data| match data {
            RData::NAPTR(naptr) if naptr.flags.eq_ignore_ascii_case(b"s") => {
                let transport = match naptr.services.to_ascii_uppercase().as_slice() {
                    b"SIP+D2U" => Transport::Udp,
                    b"SIP+D2T" => Transport::Tcp,
                    b"SIPS+D2T" => Transport::Tls,
                    _ => return None,
                };
                Some((naptr.order, naptr.preference, transport, naptr.replacement.to_string()))
            }
            _ => None,
        })
        .collect();
    found.sort_by_key(|(order, preference, ..)| (*order, *preference));
    Ok(found.into_iter().map(|(_, _, transport, name)| (transport, name)).collect())
}

/// SRV by priority, and within one by weighted lot (RFC 2782). A single target `.` means: not offered here.
async fn srv(resolver: &TokioResolver, transport: Transport, name: &str) -> Result<Vec<Server>, Failure> {
    let found: Vec<_> = records(resolver, name, RecordType::SRV)
        .await?
        .into_iter()
        .filter_map(|data| match data {
            RData::SRV(srv) => Some(srv),
            _ => None,
        })
        .collect();
    if found.len() == 1 && found[0].target.is_root() {
        return Err(Failure::NoSuchName(format!("{name} says that SIP is not offered here")));
    }
    let weights = found.iter().map(|srv| (srv.priority, srv.weight)).collect();
    let order = order(weights, &mut rand::rng());
    Ok(order
        .into_iter()
        .filter_map(|at| found.get(at))
        .map(|srv| Server { transport, name: srv.target.to_string(), port: srv.port })
        .collect())
}

/// In which order to try servers of these priorities and weights, by their places (RFC 2782): the lowest priority
/// first, and within one by lot; a weight of 0 is drawn seldom.
fn order(servers: Vec<(u16, u16)>, random: &mut dyn rand::Rng) -> Vec<usize> {
    let mut left: Vec<_> = servers.into_iter().enumerate().collect();
    left.sort_by_key(|(_, (priority, weight))| (*priority, *weight));
    let mut ordered = Vec::new();
    while let Some(first) = left.first().map(|(_, (priority, _))| *priority) {
        let group = left.iter().take_while(|(_, (priority, _))| *priority == first);
        let total: u32 = group.clone().map(|(_, (_, weight))| u32::from(*weight)).sum();
        let lot = random.random_range(0..=total);
        let mut sum = 0;
        let chosen = group
            .map(|(_, (_, weight))| {
                sum += u32::from(*weight);
                sum
            })
            .position(|sum| sum >= lot)
            .unwrap_or(0);
        ordered.push(left.remove(chosen).0);
    }
    ordered
}

/// A and AAAA, in turn; `/etc/hosts` is asked first.
async fn addresses(resolver: &TokioResolver, name: &str) -> Result<Vec<IpAddr>, Failure> {
    let lookup = match resolver.lookup_ip(absolute(name)).await {
        Ok(lookup) => lookup,
        Err(error) if error.is_nx_domain() || error.is_no_records_found() => return Err(no_such_name(name)),
        Err(error) => {
            return Err(Failure::Resolver(format!("the lookup of {name} failed ({error})")));
        }
    };
    let (six, four): (Vec<IpAddr>, Vec<IpAddr>) = lookup.iter().partition(IpAddr::is_ipv6);
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    let mut ordered = Vec::new();
    loop {
        let pair = [six.next(), four.next()];
        if pair.iter().all(Option::is_none) {
            return Ok(ordered);
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

fn no_such_name(name: &str) -> Failure {
    Failure::NoSuchName(format!("The name {} does not exist", name.trim_end_matches('.')))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn servers_are_tried_by_priority_and_within_one_as_often_as_their_weight_says() {
        let mut random = StdRng::seed_from_u64(2782);
        let servers = vec![(20, 50), (10, 0), (10, 30), (10, 10)];
        let mut first = [0u32; 4];
        for _ in 0..10_000 {
            let order = order(servers.clone(), &mut random);
            assert_eq!((order.len(), order[3]), (4, 0), "the higher priority comes last: {order:?}");
            first[order[0]] += 1;
        }
        assert_eq!(first[0], 0);
        assert!((50..600).contains(&first[1]), "weight 0 is drawn seldom: {first:?}");
        let ratio = f64::from(first[2]) / f64::from(first[3]);
        assert!((2.5..3.5).contains(&ratio), "30 to 10: {first:?}");
    }
}
