//! Between the bus library's variants and the settings' values.

use std::collections::BTreeMap;

use zbus::{OwnedVariant, Variant};

use crate::settings::{Value, Values};

/// `a{sv}` as it goes out.
pub type Dict<'a> = BTreeMap<&'a str, Variant<'a>>;

/// An `a{sv}` that came in.
pub fn values(dict: BTreeMap<String, OwnedVariant>) -> Values {
    dict.into_iter().map(|(key, variant)| (key, value(&variant))).collect()
}

fn value(variant: &Variant<'_>) -> Value {
    match variant {
        Variant::Bool(flag) => Value::Flag(*flag),
        Variant::U8(number) => Value::Number((*number).into()),
        Variant::I16(number) => Value::Number((*number).into()),
        Variant::U16(number) => Value::Number((*number).into()),
        Variant::I32(number) => Value::Number((*number).into()),
        Variant::U32(number) => Value::Number((*number).into()),
        Variant::I64(number) => Value::Number((*number).into()),
        Variant::U64(number) => Value::Number((*number).into()),
        Variant::Str(text) => Value::Text(text.as_str().to_owned()),
        Variant::Array(array) => {
            let texts: Option<Vec<String>> = array.inner().iter().map(text).collect();
            match texts {
                Some(texts) if *array.element_signature() == zbus::Signature::Str => Value::List(texts),
                _ => Value::Other(variant.value_signature().to_string()),
            }
        }
        _ => Value::Other(variant.value_signature().to_string()),
    }
}

fn text(variant: &Variant<'_>) -> Option<String> {
    match variant {
        Variant::Str(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

/// Settings as they go out. Numbers are `u`: no setting holds another.
pub fn dict(values: &Values) -> Dict<'_> {
    values.iter().filter_map(|(key, value)| Some((key.as_str(), variant(value)?))).collect()
}

fn variant(value: &Value) -> Option<Variant<'_>> {
    Some(match value {
        Value::Flag(flag) => Variant::from(*flag),
        Value::Number(number) => Variant::from(u32::try_from(*number).ok()?),
        Value::Text(text) => Variant::from(text.as_str()),
        Value::List(texts) => Variant::from(texts.clone()),
        Value::Other(_) => return None,
    })
}
