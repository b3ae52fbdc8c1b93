//! Looking at profiles and changing them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sip_profiles::advice::{Situation, advice};
use sip_profiles::names;
use sip_profiles::proxy::{Options, ProfileProxy, Values};
use zbus::Variant;
use zbus::fdo::{ObjectManagerProxy, PropertiesProxy};
use zbus::names::InterfaceName;
use zbus::proxy::CacheProperties;

use super::failure::Failure;
use super::output::{json_of_values, lines, printable, table};
use super::{Service, id_of, print, settings};

/// What a profile shows.
pub struct Shown {
    pub display_name: String,
    pub aor: String,
    pub situation: Situation,
    pub last_error: Values,
}

/// Reads the profile at once: properties that are read one by one may stem from different states.
pub async fn look(profile: &ProfileProxy<'_>) -> Result<Shown, Failure> {
    let proxy = profile.inner();
    let properties = PropertiesProxy::builder(proxy.connection())
        .destination(names::BUS_NAME)
        .path(proxy.path().to_owned())
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    let values = properties.get_all(InterfaceName::from_static_str(names::PROFILE_INTERFACE)?).await?;
    Ok(Shown::of(&values))
}

impl Shown {
    /// What a profile's properties say; one that a later version left out is empty.
    fn of(values: &Values) -> Shown {
        let value = |key: &str| values.get(key).map(|value| &**value);
        let text = |key: &str| text_of(value(key));
        let number = |key: &str| match value(key) {
            Some(Variant::U32(number)) => *number,
            _ => 0,
        };
        let retry_at = match value("RetryAt") {
            Some(Variant::I64(at)) => *at,
            _ => 0,
        };
        let last_error: Values = values
            .get("LastError")
            .and_then(|error| error.try_clone().ok()?.try_into().ok())
            .unwrap_or_default();
        let situation = Situation {
            state: text("State"),
            reason: text("StateReason"),
            error: text_of(last_error.get("name").map(|value| &**value)),
            message: text_of(last_error.get("message").map(|value| &**value)),
            retry_in: (retry_at != 0).then(|| retry_at - unix_now()),
            users: number("Users"),
            auto_register: matches!(value("AutoRegister"), Some(Variant::Bool(true))),
            id: number("Id"),
        };
        Shown { display_name: text("DisplayName"), aor: text("Aor"), situation, last_error }
    }
}

fn text_of(value: Option<&Variant<'_>>) -> String {
    match value {
        Some(Variant::Str(text)) => printable(text.as_str()),
        _ => String::new(),
    }
}

fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn json_of(shown: &Shown) -> Value {
    let Situation { state, reason, retry_in, users, auto_register, id, .. } = &shown.situation;
    json!({
        "id": id,
        "display-name": shown.display_name,
        "aor": shown.aor,
        "state": state,
        "reason": reason,
        "users": users,
        "auto-register": auto_register,
        "retry-in": retry_in,
        "last-error": json_of_values(&shown.last_error),
        "status": advice(&shown.situation),
    })
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

pub async fn list(service: &Service, json: bool) -> Result<(), Failure> {
    let manager = ObjectManagerProxy::builder(&service.connection)
        .destination(names::BUS_NAME)
        .path(names::ROOT_PATH)
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    let objects = manager.get_managed_objects().await?;
    let mut profiles: Vec<Shown> =
        objects.values().filter_map(|all| all.get(names::PROFILE_INTERFACE)).map(Shown::of).collect();
    profiles.sort_by_key(|shown| shown.situation.id);
    let default = service.registry.get_default_profile().await.ok().map(|path| id_of(path.as_str()));
    let mut rows = vec![["ID", "ADDRESS", "NAME", "STATE", "USERS"].map(str::to_owned).to_vec()];
    let mut all = Vec::new();
    for shown in profiles {
        let Situation { state, reason, users, id, .. } = &shown.situation;
        let is_default = default == Some(*id);
        if json {
            let mut value = json_of(&shown);
            value["default"] = json!(is_default);
            all.push(value);
            continue;
        }
        let state = if reason.is_empty() { state.clone() } else { format!("{state} ({reason})") };
        let id = if is_default { format!("{id} *") } else { id.to_string() };
        rows.push(vec![id, shown.aor, shown.display_name, state, users.to_string()]);
    }
    if json {
        return print(&pretty(&Value::Array(all)));
    }
    if rows.len() == 1 {
        return print("There are no profiles yet: sip-profiles add alice@example.org\n");
    }
    print(&table(&rows))
}

pub async fn show(service: &Service, id: u32, json: bool) -> Result<(), Failure> {
    let profile = service.profile(id).await?;
    let shown = look(&profile).await?;
    let settings = profile.get_settings().await?;
    let registration = profile.get_registration().await?;
    let users = profile.list_users().await?;
    if json {
        let mut value = json_of(&shown);
        value["settings"] = json_of_values(&settings);
        value["registration"] = json_of_values(&registration);
        let users = users.into_iter().map(|(name, uid, pid)| json!({"name": name, "uid": uid, "pid": pid}));
        value["held-by"] = users.collect();
        return print(&pretty(&value));
    }
    let mut text = format!(
        "Profile {id}: {}\n{}\n\nSettings\n{}",
        shown.display_name,
        advice(&shown.situation),
        lines(&settings)
    );
    if !registration.is_empty() {
        text.push_str(&format!("\nRegistration\n{}", lines(&registration)));
    }
    if !users.is_empty() {
        text.push_str("\nHeld by\n");
        for (name, uid, pid) in users {
            text.push_str(&format!("  {name}  uid {uid}  pid {pid}\n"));
        }
    }
    print(&text)
}

pub async fn status(service: &Service, id: u32, json: bool) -> Result<(), Failure> {
    let shown = look(&service.profile(id).await?).await?;
    if json {
        return print(&pretty(&json_of(&shown)));
    }
    print(&format!("{}\n", advice(&shown.situation)))
}

pub async fn add(
    service: &Service,
    aor: String,
    words: &[String],
    shared: bool,
    json: bool,
) -> Result<(), Failure> {
    let mut settings = settings::parse(words).map_err(Failure::usage)?;
    if settings.insert(String::from("aor"), Variant::from(aor)).is_some() {
        return Err(Failure::usage("aor is given twice"));
    }
    let options = if shared { Options::from([("shared", Variant::from(true))]) } else { Options::new() };
    let settings = settings.iter().map(|(key, value)| Ok((key.as_str(), value.try_clone()?)));
    let settings = settings.collect::<zbus::Result<Options<'_>>>()?;
    let (id, path) = service.registry.create_profile(settings, options).await?;
    if json {
        return print(&pretty(&json!({"id": id, "path": path.as_str()})));
    }
    print(&format!("{id}\n"))
}

pub async fn set(service: &Service, id: u32, words: &[String], unset: &[String]) -> Result<(), Failure> {
    let settings = settings::parse(words).map_err(Failure::usage)?;
    if settings.is_empty() && unset.is_empty() {
        return Err(Failure::usage("nothing to change: write KEY=VALUE or --unset KEY"));
    }
    let settings = settings.iter().map(|(key, value)| Ok((key.as_str(), value.try_clone()?)));
    let settings = settings.collect::<zbus::Result<Options<'_>>>()?;
    let unset: Vec<_> = unset.iter().map(String::as_str).collect();
    Ok(service.profile(id).await?.update(settings, &unset, Options::new()).await?)
}

pub async fn default(service: &Service, id: Option<u32>, json: bool) -> Result<(), Failure> {
    if let Some(id) = id {
        let path = service.registry.get_profile(id).await?;
        return Ok(service.registry.set_default_profile(&path, Options::new()).await?);
    }
    let path = service.registry.get_default_profile().await?;
    let id = id_of(path.as_str());
    if json {
        return print(&pretty(&json!({"id": id, "path": path.as_str()})));
    }
    print(&format!("{id}\n"))
}

pub async fn remove(service: &Service, id: u32, force: bool) -> Result<(), Failure> {
    let options = if force { Options::from([("force", Variant::from(true))]) } else { Options::new() };
    Ok(service.profile(id).await?.remove(options).await?)
}

pub async fn refresh(service: &Service, id: u32) -> Result<(), Failure> {
    Ok(service.profile(id).await?.refresh(Options::new()).await?)
}
