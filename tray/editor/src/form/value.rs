//! Settings as values, free of the bus.

use std::collections::BTreeMap;

use sip_profiles::proxy::Values;
use sip_profiles::secret::Secret;
use zbus::Variant;

/// A setting's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `b`
    Flag(bool),
    /// Any integer.
    Number(i64),
    /// `s`
    Text(String),
    /// `as`
    List(Vec<String>),
    /// `s` that must not be printed; only ever sent.
    Secret(Secret),
    /// Anything else; never sent.
    Other,
}

/// Settings by key, as GetSettings gives them.
pub type Settings = BTreeMap<String, Value>;

/// From the bus.
pub fn from_bus(values: &Values) -> Settings {
    values.iter().map(|(key, value)| (key.clone(), Value::from_variant(value))).collect()
}

impl Value {
    fn from_variant(variant: &Variant<'_>) -> Value {
        match variant {
            Variant::Bool(flag) => Value::Flag(*flag),
            Variant::U8(number) => Value::Number((*number).into()),
            Variant::I16(number) => Value::Number((*number).into()),
            Variant::U16(number) => Value::Number((*number).into()),
            Variant::I32(number) => Value::Number((*number).into()),
            Variant::U32(number) => Value::Number((*number).into()),
            Variant::I64(number) => Value::Number(*number),
            Variant::Str(text) => Value::Text(text.as_str().to_owned()),
            Variant::Array(array) => {
                let text = |item: &Variant<'_>| match item {
                    Variant::Str(text) => Some(text.as_str().to_owned()),
                    _ => None,
                };
                array.inner().iter().map(text).collect::<Option<_>>().map_or(Value::Other, Value::List)
            }
            _ => Value::Other,
        }
    }

    /// For the bus; `None` for what is never sent.
    pub fn to_variant(&self) -> Option<Variant<'_>> {
        Some(match self {
            Value::Flag(flag) => Variant::from(*flag),
            Value::Number(number) => Variant::from(*number),
            Value::Text(text) => Variant::from(text.as_str()),
            Value::List(items) => Variant::from(items.clone()),
            Value::Secret(secret) => Variant::from(secret.reveal()),
            Value::Other => return None,
        })
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}
