//! From a message to a call of the contract, or to the error that answers it.

use std::collections::BTreeMap;

use sip_profiles::names;
use zbus::message::Message;
use zbus::wire::DynamicDeserialize;
use zbus::{OwnedObjectPath, OwnedVariant};

use super::fault::Fault;
use super::value::values;
use crate::registry::call::{Call, Options};
use crate::registry::face::Property;

/// Where a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// `/org/sipprofiles`.
    Root,
    /// A profile's object.
    Profile(u32),
    /// A step on the way to those: only Introspect and Peer live here.
    Step(Step),
}

/// The steps on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `/`
    Slash,
    /// `/org`
    Org,
    /// `/org/sipprofiles/profile`
    Profiles,
}

/// What a message asks for.
#[derive(Debug, PartialEq)]
pub enum Request {
    /// Something for the registry, its reply to be given in that shape.
    Call(Call, Shape),
    /// Introspectable.Introspect.
    Introspect,
    /// Peer.Ping.
    Ping,
    /// Peer.GetMachineId.
    MachineId,
}

/// How a reply is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As the method returns it.
    Plain,
    /// One property of a profile, as a variant.
    Property(Property),
    /// All properties of a profile.
    Properties,
    /// One property of the root.
    RootProperty(RootProperty),
    /// All properties of the root.
    RootProperties,
    /// No properties.
    NoProperties,
}

/// The properties of Registry1, all constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootProperty {
    /// `Version`.
    Version,
    /// `SupportedTypes`.
    SupportedTypes,
    /// `Features`.
    Features,
}

impl RootProperty {
    /// All, in the contract's order.
    pub const ALL: [RootProperty; 3] =
        [RootProperty::Version, RootProperty::SupportedTypes, RootProperty::Features];

    /// The name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            RootProperty::Version => "Version",
            RootProperty::SupportedTypes => "SupportedTypes",
            RootProperty::Features => "Features",
        }
    }
}

/// A call of more bytes is not read: taking a huge dictionary apart would keep all others waiting. Room enough for
/// three of the largest profiles.
const LARGEST: usize = 1024 * 1024;

const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
const PEER: &str = "org.freedesktop.DBus.Peer";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";

impl Node {
    /// The node at `path`; whether a profile's object exists for the caller is not asked here.
    pub fn at(path: &str) -> Option<Node> {
        match path {
            "/" => Some(Node::Step(Step::Slash)),
            "/org" => Some(Node::Step(Step::Org)),
            "/org/sipprofiles/profile" => Some(Node::Step(Step::Profiles)),
            names::ROOT_PATH => Some(Node::Root),
            _ => names::profile_id(path).map(Node::Profile),
        }
    }

    /// The interfaces here besides Peer.
    fn interfaces(self) -> &'static [&'static str] {
        match self {
            Node::Root => &[names::REGISTRY_INTERFACE, PROPERTIES, OBJECT_MANAGER, INTROSPECTABLE],
            Node::Profile(_) => &[names::PROFILE_INTERFACE, PROPERTIES, INTROSPECTABLE],
            Node::Step(_) => &[INTROSPECTABLE],
        }
    }
}

/// Is this a call of Peer? Those are answered at any path and make nobody a session.
pub fn is_peer(message: &Message) -> bool {
    message.header().interface().is_some_and(|interface| interface.as_str() == PEER)
}

/// Parses a call of Peer.
pub fn parse_peer(message: &Message) -> Result<Request, Fault> {
    let header = message.header();
    match header.member().map(|member| member.as_str()).unwrap_or_default() {
        "Ping" => no_arguments(message, "Ping").map(|()| Request::Ping),
        "GetMachineId" => no_arguments(message, "GetMachineId").map(|()| Request::MachineId),
        other => Err(Fault::method(PEER, other)),
    }
}

/// Parses a call at `node`. A call that names no interface goes to the first one with such a member.
pub fn parse(node: Node, message: &Message) -> Result<Request, Fault> {
    if message.data().len() > LARGEST {
        return Err(Fault::too_large(LARGEST));
    }
    let header = message.header();
    let member = header.member().map(|member| member.as_str()).unwrap_or_default();
    match header.interface() {
        Some(interface) if node.interfaces().contains(&interface.as_str()) => {
            parse_in(node, interface.as_str(), member, message)
                .unwrap_or_else(|| Err(Fault::method(interface.as_str(), member)))
        }
        Some(interface) => Err(Fault::interface(interface.as_str())),
        None => node
            .interfaces()
            .iter()
            .find_map(|interface| parse_in(node, interface, member, message))
            .unwrap_or_else(|| Err(Fault::method("any interface", member))),
    }
}

/// `None`: the interface has no such member.
fn parse_in(node: Node, interface: &str, member: &str, message: &Message) -> Option<Result<Request, Fault>> {
    match (interface, node) {
        (names::REGISTRY_INTERFACE, _) => Some(registry_call(member, message)?.map(plain)),
        (names::PROFILE_INTERFACE, Node::Profile(id)) => Some(profile_call(id, member, message)?.map(plain)),
        (PROPERTIES, _) => properties_call(node, member, message),
        (OBJECT_MANAGER, _) if member == "GetManagedObjects" => {
            Some(no_arguments(message, member).map(|()| plain(Call::ManagedObjects)))
        }
        (INTROSPECTABLE, _) if member == "Introspect" => {
            Some(no_arguments(message, member).map(|()| Request::Introspect))
        }
        _ => None,
    }
}

fn plain(call: Call) -> Request {
    Request::Call(call, Shape::Plain)
}

fn registry_call(member: &str, message: &Message) -> Option<Result<Call, Fault>> {
    let arguments = Arguments { member, message };
    Some(match member {
        "CreateProfile" => arguments.parse::<(Settings, Settings)>("a{sv}a{sv}", |(settings, options)| {
            Call::CreateProfile(values(settings), Options(values(options)))
        }),
        "GetProfile" => arguments.parse::<u32>("u", Call::GetProfile),
        "FindProfiles" => arguments.parse::<Settings>("a{sv}", |filter| Call::FindProfiles(values(filter))),
        "GetDefaultProfile" => arguments.none(Call::GetDefaultProfile),
        "SetDefaultProfile" => arguments.parse::<(OwnedObjectPath, Settings)>("oa{sv}", |(path, options)| {
            Call::SetDefaultProfile(names::profile_id(path.as_str()), Options(values(options)))
        }),
        "GetTemplate" => arguments.parse::<String>("s", Call::GetTemplate),
        "RegisterSecretAgent" => arguments
            .parse::<(OwnedObjectPath, Settings)>("oa{sv}", |(path, options)| {
                Call::RegisterSecretAgent(path.to_string(), Options(values(options)))
            }),
        "UnregisterSecretAgent" => arguments.options(Call::UnregisterSecretAgent),
        "Leave" => arguments.options(Call::Leave),
        _ => return None,
    })
}

fn profile_call(id: u32, member: &str, message: &Message) -> Option<Result<Call, Fault>> {
    let arguments = Arguments { member, message };
    Some(match member {
        "Enable" => arguments.options(|options| Call::Enable(id, options)),
        "Disable" => arguments.options(|options| Call::Disable(id, options)),
        "IsEnabled" => arguments.none(Call::IsEnabled(id)),
        "Refresh" => arguments.options(|options| Call::Refresh(id, options)),
        "ForceDisable" => arguments.options(|options| Call::ForceDisable(id, options)),
        "GetSettings" => arguments.none(Call::GetSettings(id)),
        "GetRegistration" => arguments.none(Call::GetRegistration(id)),
        "Update" => arguments
            .parse::<(Settings, Vec<String>, Settings)>("a{sv}asa{sv}", |(set, unset, options)| {
                Call::Update(id, values(set), unset, Options(values(options)))
            }),
        "Remove" => arguments.options(|options| Call::Remove(id, options)),
        "ListUsers" => arguments.none(Call::ListUsers(id)),
        _ => return None,
    })
}

fn properties_call(node: Node, member: &str, message: &Message) -> Option<Result<Request, Fault>> {
    let arguments = Arguments { member, message };
    match member {
        "Get" => Some(
            arguments
                .read::<(String, String)>("ss")
                .and_then(|(interface, property)| get_property(node, &interface, &property)),
        ),
        "GetAll" => {
            Some(arguments.read::<String>("s").and_then(|interface| all_properties(node, &interface)))
        }
        "Set" => Some(arguments.read::<(String, String, OwnedVariant)>("ssv").and_then(
            |(interface, property, _)| {
                get_property(node, &interface, &property).and(Err(Fault::read_only(&property)))
            },
        )),
        _ => None,
    }
}

fn get_property(node: Node, interface: &str, property: &str) -> Result<Request, Fault> {
    let unknown = || Fault::property(interface, property);
    match (node, interface) {
        (Node::Root, names::REGISTRY_INTERFACE | "") => {
            let known = RootProperty::ALL.into_iter().find(|known| known.name() == property);
            let shape = Shape::RootProperty(known.ok_or_else(unknown)?);
            Ok(Request::Call(Call::RootProperties, shape))
        }
        (Node::Profile(id), names::PROFILE_INTERFACE | "") => {
            let property = Property::from_name(property).ok_or_else(unknown)?;
            Ok(Request::Call(Call::Properties(id), Shape::Property(property)))
        }
        _ if node.interfaces().contains(&interface) || interface == PEER => Err(unknown()),
        _ => Err(Fault::interface(interface)),
    }
}

fn all_properties(node: Node, interface: &str) -> Result<Request, Fault> {
    let call = match node {
        Node::Profile(id) => Call::Properties(id),
        _ => Call::RootProperties,
    };
    let shape = match (node, interface) {
        (Node::Root, names::REGISTRY_INTERFACE | "") => Shape::RootProperties,
        (Node::Profile(_), names::PROFILE_INTERFACE | "") => Shape::Properties,
        _ if node.interfaces().contains(&interface) || interface == PEER => Shape::NoProperties,
        _ => return Err(Fault::interface(interface)),
    };
    Ok(Request::Call(call, shape))
}

type Settings = BTreeMap<String, OwnedVariant>;

/// The arguments of one call.
struct Arguments<'m> {
    member: &'m str,
    message: &'m Message,
}

impl Arguments<'_> {
    /// A call from arguments of exactly the signature `expected`.
    fn parse<T>(&self, expected: &str, call: impl FnOnce(T) -> Call) -> Result<Call, Fault>
    where
        T: for<'d> DynamicDeserialize<'d>,
    {
        self.read(expected).map(call)
    }

    fn read<T>(&self, expected: &str) -> Result<T, Fault>
    where
        T: for<'d> DynamicDeserialize<'d>,
    {
        let body = self.message.body();
        let got = body.signature().to_string_no_parens();
        let refused = || Fault::arguments(self.member, expected, &got);
        if got != expected {
            return Err(refused());
        }
        body.deserialize().map_err(|_| refused())
    }

    fn options(&self, call: impl FnOnce(Options) -> Call) -> Result<Call, Fault> {
        self.parse::<Settings>("a{sv}", |options| call(Options(values(options))))
    }

    fn none(&self, call: Call) -> Result<Call, Fault> {
        no_arguments(self.message, self.member).map(|()| call)
    }
}

fn no_arguments(message: &Message, member: &str) -> Result<(), Fault> {
    let body = message.body();
    if body.signature().to_string_no_parens().is_empty() {
        return Ok(());
    }
    Err(Fault::arguments(member, "", &body.signature().to_string_no_parens()))
}
