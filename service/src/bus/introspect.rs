//! Introspection: the committed XML of our interfaces, the standard ones, and the nodes that the caller may see.

use std::fmt::Write;

use sip_profiles::xml;

use super::parse::{Node, Step};

const DOCTYPE: &str = "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n \
                       \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n";

const STANDARD: &str = r#"  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect">
      <arg name="xml_data" type="s" direction="out"/>
    </method>
  </interface>
  <interface name="org.freedesktop.DBus.Peer">
    <method name="Ping"/>
    <method name="GetMachineId">
      <arg name="machine_uuid" type="s" direction="out"/>
    </method>
  </interface>
"#;

const PROPERTIES: &str = r#"  <interface name="org.freedesktop.DBus.Properties">
    <method name="Get">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="out"/>
    </method>
    <method name="GetAll">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="properties" type="a{sv}" direction="out"/>
    </method>
    <method name="Set">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="in"/>
    </method>
    <signal name="PropertiesChanged">
      <arg name="interface_name" type="s"/>
      <arg name="changed_properties" type="a{sv}"/>
      <arg name="invalidated_properties" type="as"/>
    </signal>
  </interface>
"#;

const OBJECT_MANAGER: &str = r#"  <interface name="org.freedesktop.DBus.ObjectManager">
    <method name="GetManagedObjects">
      <arg name="objects" type="a{oa{sa{sv}}}" direction="out"/>
    </method>
    <signal name="InterfacesAdded">
      <arg name="object" type="o"/>
      <arg name="interfaces" type="a{sa{sv}}"/>
    </signal>
    <signal name="InterfacesRemoved">
      <arg name="object" type="o"/>
      <arg name="interfaces" type="as"/>
    </signal>
  </interface>
"#;

/// The introspection of `node`; `profiles` are the ids that the caller may see.
pub fn describe(node: Node, profiles: impl Iterator<Item = u32>) -> String {
    let mut text = String::from(DOCTYPE);
    text.push_str("<node>\n");
    match node {
        Node::Root => {
            text.push_str(xml::registry_interface());
            text.push_str(PROPERTIES);
            text.push_str(OBJECT_MANAGER);
            text.push_str(STANDARD);
            text.push_str("  <node name=\"profile\"/>\n");
        }
        Node::Profile(_) => {
            text.push_str(xml::profile_interface());
            text.push_str(PROPERTIES);
            text.push_str(STANDARD);
        }
        Node::Step(step) => {
            text.push_str(STANDARD);
            match step {
                Step::Slash => text.push_str("  <node name=\"org\"/>\n"),
                Step::Org => text.push_str("  <node name=\"sipprofiles\"/>\n"),
                Step::Profiles => {
                    for id in profiles {
                        // Writing to a string does not fail.
                        let _ = writeln!(text, "  <node name=\"{id}\"/>");
                    }
                }
            }
        }
    }
    text.push_str("</node>\n");
    text
}
