//! From an `a{sv}` to [`Settings`]: every value is checked when it is set, and a wrong one changes nothing.

use super::check;
use super::{
    InvalidSetting, Secret, SecretStorage, Settings, SettingsError, SipUri, TransportChoice, Value, Values,
};

/// Longest text setting, bytes.
pub const TEXT: usize = 1024;
/// Longest `tls-certificate` and `tls-key`, bytes.
pub const CERTIFICATE: usize = 16 * 1024;
/// Longest `tls-ca`, bytes.
pub const AUTHORITIES: usize = 256 * 1024;
/// Largest profile: all texts together, bytes.
pub const PROFILE: usize = 320 * 1024;

/// The one profile type of this build.
pub const TYPE: &str = "ietf";

type Outcome<T> = Result<T, SettingsError>;

pub(super) fn invalid<T>(key: &str, message: impl std::fmt::Display) -> Outcome<T> {
    Err(InvalidSetting { key: key.to_owned(), message: message.to_string() }.into())
}

impl Settings {
    /// The settings of a new profile. `aor` is required.
    pub fn create(mut values: Values) -> Outcome<Settings> {
        let kind = match values.remove("type") {
            None => TYPE.to_owned(),
            Some(value) => text("type", value)?,
        };
        if kind != TYPE {
            return Err(SettingsError::UnsupportedType(kind));
        }
        let Some(aor) = values.remove("aor") else {
            return invalid("aor", "is required, as sip:alice@example.org");
        };
        let mut settings = Settings::new(check::aor("aor", &text("aor", aor)?)?);
        for (key, value) in values {
            settings.set(&key, value)?;
        }
        settings.checked()
    }

    /// These settings with `set` and `unset` applied. A key in both, `aor` or `type` in `unset`, or another
    /// `type` than the profile has, is refused; a key that is not set in `unset` is nothing.
    pub fn update(&self, set: Values, unset: &[String]) -> Outcome<Settings> {
        let mut settings = self.clone();
        for key in unset {
            if set.contains_key(key) {
                return invalid(key, "is to be set and unset at once");
            }
            settings.unset(key)?;
        }
        for (key, value) in set {
            settings.set(&key, value)?;
        }
        settings.checked()
    }

    /// These settings, all checked again: for a file that somebody may have edited.
    pub fn rechecked(self) -> Outcome<Settings> {
        let mut values = self.public();
        values.remove("has-password");
        values.remove("has-tls-key");
        let secrets = [("password", &self.password), ("tls-key", &self.tls_key)];
        values.extend(secrets.into_iter().filter_map(|(key, secret)| {
            Some((key.to_owned(), Value::Text(secret.as_ref()?.reveal().to_owned())))
        }));
        Settings::create(values)
    }

    fn set(&mut self, key: &str, value: Value) -> Outcome<()> {
        match key {
            "aor" => self.aor = check::aor(key, &text(key, value)?)?,
            "type" if text(key, value.clone())? != self.kind => {
                return invalid(key, "is fixed when the profile is created");
            }
            "type" => {}
            "display-name" => self.display_name = Some(text(key, value)?),
            "registrar" => self.registrar = Some(check::server(key, &text(key, value)?)?),
            "outbound-proxy" => self.outbound_proxy = Some(check::server(key, &text(key, value)?)?),
            "transport" => self.transport = Some(transport(key, &text(key, value)?)?),
            "auth-user" => self.auth_user = Some(text(key, value)?),
            "realm" => self.realm = Some(text(key, value)?),
            "password" => self.password = Some(Secret::new(text(key, value)?)),
            "secret-storage" => self.secret_storage = Some(secret_storage(key, &text(key, value)?)?),
            "expires" => self.expires = Some(number(key, value, 60, 86_400)?),
            "auto-register" => self.auto_register = Some(flag(key, value)?),
            "contact-params" => self.contact_params = Some(list(key, value, check::contact_param)?),
            "headers" => self.headers = Some(list(key, value, check::header)?),
            "keepalive" => self.keepalive = Some(number(key, value, 0, u32::MAX)?),
            "tls-ca" => self.tls_ca = Some(check::authorities(key, long_text(key, value, AUTHORITIES)?)?),
            "tls-certificate" => {
                self.tls_certificate = Some(check::certificate(key, long_text(key, value, CERTIFICATE)?)?);
            }
            "tls-key" => {
                self.tls_key = Some(check::private_key(key, long_text(key, value, CERTIFICATE)?)?);
            }
            "tls-pin" => self.tls_pin = Some(check::pin(key, text(key, value)?)?),
            "interface" => self.interface = Some(check::interface(key, text(key, value)?)?),
            "dscp" => self.dscp = Some(number(key, value, 0, 63)?),
            "locked" => self.locked = Some(flag(key, value)?),
            _ if check::is_extra_key(key) => {
                self.extra.insert(key.to_owned(), extra(key, value)?);
            }
            _ => return invalid(key, "there is no such setting"),
        }
        Ok(())
    }

    fn unset(&mut self, key: &str) -> Outcome<()> {
        match key {
            "aor" | "type" => return invalid(key, "cannot be unset"),
            "display-name" => self.display_name = None,
            "registrar" => self.registrar = None,
            "outbound-proxy" => self.outbound_proxy = None,
            "transport" => self.transport = None,
            "auth-user" => self.auth_user = None,
            "realm" => self.realm = None,
            "password" => self.password = None,
            "secret-storage" => self.secret_storage = None,
            "expires" => self.expires = None,
            "auto-register" => self.auto_register = None,
            "contact-params" => self.contact_params = None,
            "headers" => self.headers = None,
            "keepalive" => self.keepalive = None,
            "tls-ca" => self.tls_ca = None,
            "tls-certificate" => self.tls_certificate = None,
            "tls-key" => self.tls_key = None,
            "tls-pin" => self.tls_pin = None,
            "interface" => self.interface = None,
            "dscp" => self.dscp = None,
            "locked" => self.locked = None,
            _ if check::is_extra_key(key) => {
                self.extra.remove(key);
            }
            _ => return invalid(key, "there is no such setting"),
        }
        Ok(())
    }

    /// What no single setting can say: whether they fit each other, and the size of all.
    fn checked(self) -> Outcome<Settings> {
        if self.aor.secure && matches!(self.transport(), TransportChoice::Udp | TransportChoice::Tcp) {
            return invalid("transport", "a sips: address allows only auto and tls");
        }
        for (key, server) in [("registrar", &self.registrar), ("outbound-proxy", &self.outbound_proxy)] {
            check::hop_transport(key, server.as_ref(), self.transport())?;
            if self.aor.secure {
                check::secure_hop(key, server.as_ref())?;
            }
        }
        check::client_certificate(&self)?;
        let size = self.size();
        if size > PROFILE {
            return Err(SettingsError::TooLarge(format!(
                "A profile has at most {PROFILE} bytes of settings; these are {size}."
            )));
        }
        Ok(self)
    }

    fn new(aor: SipUri) -> Settings {
        Settings {
            aor,
            kind: TYPE.to_owned(),
            display_name: None,
            registrar: None,
            outbound_proxy: None,
            transport: None,
            auth_user: None,
            realm: None,
            secret_storage: None,
            expires: None,
            auto_register: None,
            contact_params: None,
            headers: None,
            keepalive: None,
            tls_ca: None,
            tls_certificate: None,
            tls_pin: None,
            interface: None,
            dscp: None,
            locked: None,
            extra: Values::new(),
            password: None,
            tls_key: None,
        }
    }
}

fn long_text(key: &str, value: Value, limit: usize) -> Outcome<String> {
    match value {
        Value::Text(text) if text.len() > limit => {
            Err(SettingsError::TooLarge(format!("{key} has at most {limit} bytes; this has {}.", text.len())))
        }
        Value::Text(text) => Ok(text),
        _ => invalid(key, "must be a string"),
    }
}

fn text(key: &str, value: Value) -> Outcome<String> {
    let text = long_text(key, value, TEXT)?;
    if text.chars().any(char::is_control) {
        return invalid(key, "must not hold control characters");
    }
    Ok(text)
}

fn flag(key: &str, value: Value) -> Outcome<bool> {
    match value {
        Value::Flag(flag) => Ok(flag),
        _ => invalid(key, "must be a boolean"),
    }
}

fn number(key: &str, value: Value, least: u32, most: u32) -> Outcome<u32> {
    let Value::Number(number) = value else {
        return invalid(key, "must be an integer");
    };
    match u32::try_from(number) {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => invalid(key, format!("must be {least} to {most}, not {number}")),
    }
}

fn list(key: &str, value: Value, check: fn(&str, &str) -> Outcome<()>) -> Outcome<Vec<String>> {
    let items = texts(key, value)?;
    for item in &items {
        check(key, item)?;
    }
    Ok(items)
}

fn texts(key: &str, value: Value) -> Outcome<Vec<String>> {
    let Value::List(items) = value else {
        return invalid(key, "must be an array of strings");
    };
    items.into_iter().map(|item| text(key, Value::Text(item))).collect()
}

fn transport(key: &str, word: &str) -> Outcome<TransportChoice> {
    match word {
        "auto" => Ok(TransportChoice::Auto),
        "udp" => Ok(TransportChoice::Udp),
        "tcp" => Ok(TransportChoice::Tcp),
        "tls" => Ok(TransportChoice::Tls),
        _ => invalid(key, format!("must be auto, udp, tcp or tls, not {word:?}")),
    }
}

fn secret_storage(key: &str, word: &str) -> Outcome<SecretStorage> {
    match word {
        "service" => Ok(SecretStorage::Service),
        "agent" => Ok(SecretStorage::Agent),
        _ => invalid(key, format!("must be service or agent, not {word:?}")),
    }
}

fn extra(key: &str, value: Value) -> Outcome<Value> {
    Ok(match value {
        Value::Text(_) => Value::Text(text(key, value)?),
        Value::Flag(flag) => Value::Flag(flag),
        Value::Number(_) => Value::Number(number(key, value, 0, u32::MAX)?.into()),
        Value::List(_) => Value::List(texts(key, value)?),
        Value::Other(signature) => {
            return invalid(key, format!("must be s, u, b or as, not {signature}"));
        }
    })
}
