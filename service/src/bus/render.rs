//! From what the registry returns to messages.

use std::collections::BTreeMap;

use sip_profiles::names;
use zbus::message::{Header, Message};
use zbus::{ObjectPath, Variant};

use super::fault::{Fault, registration_error_name};
use super::parse::{RootProperty, Shape};
use super::value::{Dict, dict};
use super::wall::Wall;
use crate::registration::{Binding, LastError};
use crate::registry::call::Reply;
use crate::registry::effect::Signal;
use crate::registry::face::{Face, Property};

/// What can go wrong in writing a message: a value past D-Bus's own limits.
pub type Result<T> = zbus::Result<T>;

/// The reply to the call `header`.
pub fn reply(header: &Header<'_>, shape: Shape, reply: &Reply, wall: &Wall) -> Result<Message> {
    let message = Message::method_return(header);
    match (shape, reply) {
        (Shape::RootProperty(property), _) => message.build(&root_property(property)),
        (Shape::RootProperties, _) => {
            let all: Dict<'_> =
                RootProperty::ALL.into_iter().map(|known| (known.name(), root_property(known))).collect();
            message.build(&all)
        }
        (Shape::NoProperties, _) => message.build(&Dict::new()),
        (Shape::Property(property), Reply::Face(face)) => {
            message.build(&property_value(face, property, wall))
        }
        (Shape::Properties, Reply::Face(face)) => message.build(&properties(face, &Property::ALL, wall)),
        (_, Reply::Done | Reply::Face(_)) => message.build(&()),
        (_, Reply::Created(id)) => message.build(&(*id, profile_path(*id))),
        (_, Reply::Profile(id)) => message.build(&profile_path(*id)),
        (_, Reply::Profiles(ids)) => {
            message.build(&ids.iter().map(|id| profile_path(*id)).collect::<Vec<_>>())
        }
        (_, Reply::Settings(values)) => message.build(&dict(values)),
        (_, Reply::State(word)) => message.build(word),
        (_, Reply::Flag(flag)) => message.build(flag),
        (_, Reply::Registration(None)) => message.build(&Dict::new()),
        (_, Reply::Registration(Some(binding))) => message.build(&registration(&binding.0, &binding.1, wall)),
        (_, Reply::Users(users)) => {
            let users: Vec<_> = users.iter().map(|(name, uid, pid)| (&**name, *uid, *pid)).collect();
            message.build(&users)
        }
        (_, Reply::Faces(faces)) => {
            let objects: BTreeMap<_, _> =
                faces.iter().map(|face| (profile_path(face.id), interfaces(face, wall))).collect();
            message.build(&objects)
        }
    }
}

/// An error reply to the call `header`.
pub fn fault(header: &Header<'_>, fault: &Fault) -> Result<Message> {
    Message::error(header, fault.name).build(&fault.message.as_str())
}

/// The reply to Introspect or GetMachineId.
pub fn text(header: &Header<'_>, text: &str) -> Result<Message> {
    Message::method_return(header).build(&text)
}

/// A reply without values.
pub fn done(header: &Header<'_>) -> Result<Message> {
    Message::method_return(header).build(&())
}

/// A signal, to `destination` or to everybody.
pub fn signal(signal: &Signal, destination: Option<&str>, wall: &Wall) -> Result<Message> {
    let (path, interface, member) = address(signal);
    let mut message = Message::signal(path, interface, member);
    if let Some(name) = destination {
        message = message.destination(name);
    }
    match signal {
        Signal::PropertiesChanged(face, changed) => {
            let values = properties(face, changed, wall);
            message.build(&(names::PROFILE_INTERFACE, values, Vec::<&str>::new()))
        }
        Signal::InterfacesAdded(face) => message.build(&(profile_path(face.id), interfaces(face, wall))),
        Signal::InterfacesRemoved(id) => message.build(&(profile_path(*id), interface_names())),
        Signal::ProfileAdded(id)
        | Signal::ProfileUpdated(id)
        | Signal::ProfileRemoved(id)
        | Signal::ProfileForciblyDisabled(id) => message.build(&(*id, profile_path(*id))),
        Signal::ProfileStateChanged { profile, state, previous, reason } => {
            message.build(&(*profile, profile_path(*profile), state.word(), previous.word(), reason.word()))
        }
        Signal::ErrorOccurred(id, error) => message.build(&(
            *id,
            profile_path(*id),
            registration_error_name(error.kind),
            i32::from(error.code),
        )),
        Signal::DefaultProfileChanged(id) => {
            let path = id.map_or_else(|| ObjectPath::from_static_str_unchecked("/"), profile_path);
            message.build(&path)
        }
    }
}

fn address(signal: &Signal) -> (ObjectPath<'static>, &'static str, &'static str) {
    const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";
    let root = || ObjectPath::from_static_str_unchecked(names::ROOT_PATH);
    match signal {
        Signal::PropertiesChanged(face, _) => {
            (profile_path(face.id), "org.freedesktop.DBus.Properties", "PropertiesChanged")
        }
        Signal::InterfacesAdded(_) => (root(), OBJECT_MANAGER, "InterfacesAdded"),
        Signal::InterfacesRemoved(_) => (root(), OBJECT_MANAGER, "InterfacesRemoved"),
        Signal::ProfileAdded(_) => (root(), names::REGISTRY_INTERFACE, "ProfileAdded"),
        Signal::ProfileUpdated(_) => (root(), names::REGISTRY_INTERFACE, "ProfileUpdated"),
        Signal::ProfileRemoved(_) => (root(), names::REGISTRY_INTERFACE, "ProfileRemoved"),
        Signal::ProfileStateChanged { .. } => (root(), names::REGISTRY_INTERFACE, "ProfileStateChanged"),
        Signal::ProfileForciblyDisabled(_) => (root(), names::REGISTRY_INTERFACE, "ProfileForciblyDisabled"),
        Signal::ErrorOccurred(..) => (root(), names::REGISTRY_INTERFACE, "ErrorOccurred"),
        Signal::DefaultProfileChanged(_) => (root(), names::REGISTRY_INTERFACE, "DefaultProfileChanged"),
    }
}

/// The object path of profile `id`.
fn profile_path(id: u32) -> ObjectPath<'static> {
    ObjectPath::from_string_unchecked(names::profile_path(id))
}

/// The interfaces of a profile's object, as ObjectManager lists them.
fn interface_names() -> Vec<&'static str> {
    vec![
        names::PROFILE_INTERFACE,
        "org.freedesktop.DBus.Properties",
        "org.freedesktop.DBus.Introspectable",
        "org.freedesktop.DBus.Peer",
    ]
}

fn interfaces<'a>(face: &'a Face, wall: &Wall) -> BTreeMap<&'static str, Dict<'a>> {
    let mut all: BTreeMap<_, _> = interface_names().into_iter().map(|name| (name, Dict::new())).collect();
    all.insert(names::PROFILE_INTERFACE, properties(face, &Property::ALL, wall));
    all
}

fn properties<'a>(face: &'a Face, which: &[Property], wall: &Wall) -> Dict<'a> {
    which.iter().map(|property| (property.name(), property_value(face, *property, wall))).collect()
}

fn property_value<'a>(face: &'a Face, property: Property, wall: &Wall) -> Variant<'a> {
    let status = &face.status;
    match property {
        Property::Id => Variant::from(face.id),
        Property::Type => Variant::from(face.settings.kind.as_str()),
        Property::Owner => Variant::from(face.owner),
        Property::Shared => Variant::from(face.shared),
        Property::DisplayName => Variant::from(face.settings.shown_name()),
        Property::Aor => Variant::from(face.settings.aor.to_string()),
        Property::State => Variant::from(status.state.word()),
        Property::StateReason => Variant::from(status.reason.word()),
        Property::Users => Variant::from(face.users),
        Property::AutoRegister => Variant::from(face.settings.auto_register()),
        Property::RetryAt => Variant::from(status.retry_at.map_or(0, |moment| wall.unix(moment))),
        Property::NeedsSecret => Variant::from(status.needs_secret),
        Property::RegisteredAors => Variant::from(status.registered_aors.clone()),
        Property::LastError => match &status.last_error {
            None => Variant::from(Dict::new()),
            Some(error) => Variant::from(last_error(error, wall)),
        },
    }
}

fn last_error<'a>(error: &'a LastError, wall: &Wall) -> Dict<'a> {
    Dict::from([
        ("name", Variant::from(registration_error_name(error.kind))),
        ("code", Variant::from(i32::from(error.code))),
        ("message", Variant::from(error.message.as_str())),
        ("stage", Variant::from(error.stage.word())),
        ("time", Variant::from(wall.unix(error.at))),
    ])
}

fn registration<'a>(binding: &'a Binding, instance: &'a str, wall: &Wall) -> Dict<'a> {
    let keep_alive = if binding.keep_alive { "crlf" } else { "none" };
    Dict::from([
        ("contact", Variant::from(binding.contact.as_str())),
        ("aors", Variant::from(binding.aors.clone())),
        ("server", Variant::from(binding.server.to_string())),
        ("local-address", Variant::from(binding.local.to_string())),
        ("expires-at", Variant::from(wall.unix(binding.expires_at))),
        ("last-confirmed", Variant::from(wall.unix(binding.last_confirmed))),
        ("service-route", Variant::from(binding.service_route.clone())),
        ("path", Variant::from(binding.path.clone())),
        ("public-gruu", Variant::from(binding.public_gruu.as_deref().unwrap_or_default())),
        ("temporary-gruu", Variant::from(binding.temporary_gruu.as_deref().unwrap_or_default())),
        ("instance", Variant::from(instance)),
        ("other-bindings", Variant::from(binding.other_bindings.clone())),
        ("keep-alive", Variant::from(keep_alive)),
        ("tls-peer", Variant::from(binding.tls_peer.as_str())),
    ])
}

fn root_property(property: RootProperty) -> Variant<'static> {
    match property {
        RootProperty::Version => Variant::from(env!("CARGO_PKG_VERSION")),
        RootProperty::SupportedTypes => Variant::from(vec!["ietf"]),
        RootProperty::Features => Variant::from(vec!["tls"]),
    }
}
