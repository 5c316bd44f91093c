//! Finds the place in a scenario that netbench would not understand.
//!
//! The parser itself knows only a line and a column, and generated scenarios are a single line. So when it
//! refuses a file, the file is read once more as plain JSON and followed down to the first thing that is
//! wrong.

use super::error::Problem;
use super::format::{
    CLIENT_OPERATIONS, Client, ClientOperation, Connection, File, OPERATIONS, Operation, Server,
};
use serde::Deserialize;
use serde_json::Value;

/// Says what is wrong with `file` and where; `None` if it is a scenario after all.
pub(super) fn explain(file: &Value) -> Option<Problem> {
    if !file.is_object() {
        return Some(Problem::NotAnObject { found: kind(file) });
    }
    missing_key("the file", file, &["id", "clients", "servers"])
        .or_else(|| first_wrong("clients", &file["clients"], client))
        .or_else(|| first_wrong("servers", &file["servers"], server))
        .or_else(|| refused::<File>("the file", file))
}

fn client(at: &str, value: &Value) -> Option<Problem> {
    missing_key(at, value, &["scenario", "connections"])
        .or_else(|| first_wrong(&format!("{at}.scenario"), &value["scenario"], operation::<ClientOperation>))
        .or_else(|| first_wrong(&format!("{at}.connections"), &value["connections"], connection))
        .or_else(|| refused::<Client>(at, value))
}

fn server(at: &str, value: &Value) -> Option<Problem> {
    missing_key(at, value, &["connections", "private_key", "certificate", "certificate_authority"])
        .or_else(|| first_wrong(&format!("{at}.connections"), &value["connections"], connection))
        .or_else(|| refused::<Server>(at, value))
}

fn connection(at: &str, value: &Value) -> Option<Problem> {
    first_wrong(&format!("{at}.ops"), &value["ops"], operation::<Operation>)
        .or_else(|| first_wrong(&format!("{at}.peer_streams"), &value["peer_streams"], script::<Operation>))
        .or_else(|| refused::<Connection>(at, value))
}

fn script<O: Step>(at: &str, value: &Value) -> Option<Problem> {
    first_wrong(at, value, operation::<O>)
}

fn operation<O: Step>(at: &str, value: &Value) -> Option<Problem> {
    let name = match value {
        Value::String(name) => Some(name),
        Value::Object(fields) if fields.len() == 1 => fields.keys().next(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let Some(name) = name else {
        let expected = format!("an operation, one of {} as the only key of an object", O::NAMES.join(", "));
        return Some(unexpected(at.into(), value, &expected));
    };
    if !O::NAMES.contains(&name.as_str()) {
        let operation = name.clone();
        return Some(Problem::UnknownOperation { at: at.into(), operation, known: O::NAMES });
    }
    let at = format!("{at}.{name}");
    let body = value.get(name).unwrap_or(&Value::Null);
    if !body.is_object() {
        return Some(unexpected(at, body, &format!("an object, as in {{\"{name}\": {{...}}}}")));
    }
    first_wrong(&format!("{at}.operations"), &body["operations"], operation::<O>)
        .or_else(|| first_wrong(&format!("{at}.threads"), &body["threads"], script::<O>))
        .or_else(|| (name == "iterate").then(|| times(&format!("{at}.value"), body.get("value")?))?)
        .or_else(|| refused::<O>(&at, value))
}

/// How often an `iterate` repeats. What the parser says of it names its own types, not the file's.
fn times(at: &str, value: &Value) -> Option<Problem> {
    const EXPECTED: &str = r#"{"count": {"amount": N}} or {"time": {"amount_ms": N}}"#;

    let only = value.as_object().filter(|fields| fields.len() == 1).and_then(|fields| fields.iter().next());
    match only {
        Some((key, inner)) if key == "count" || key == "time" => {
            (!inner.is_object()).then(|| unexpected(format!("{at}.{key}"), inner, EXPECTED))
        }
        Some((key, _)) => Some(Problem::Malformed {
            at: at.into(),
            detail: format!("found the key \"{key}\", expected {EXPECTED}"),
        }),
        None => Some(unexpected(at.into(), value, EXPECTED)),
    }
}

/// An operation of a script, of a client or of a connection.
trait Step: for<'de> Deserialize<'de> {
    /// The names of all operations that may stand here.
    const NAMES: &'static [&'static str];
}

impl Step for ClientOperation {
    const NAMES: &'static [&'static str] = CLIENT_OPERATIONS;
}

impl Step for Operation {
    const NAMES: &'static [&'static str] = OPERATIONS;
}

/// Looks at each entry if `list` is a list; if it is not, whoever holds it is refused as a whole later on.
fn first_wrong(at: &str, list: &Value, look: fn(&str, &Value) -> Option<Problem>) -> Option<Problem> {
    let entries = list.as_array()?;
    entries.iter().enumerate().find_map(|(index, entry)| look(&format!("{at}[{index}]"), entry))
}

fn missing_key(at: &str, value: &Value, keys: &[&'static str]) -> Option<Problem> {
    let fields = value.as_object()?;
    let key = keys.iter().find(|key| !fields.contains_key(**key))?;
    Some(Problem::MissingKey { at: at.into(), key })
}

fn refused<'de, T: Deserialize<'de>>(at: &str, value: &'de Value) -> Option<Problem> {
    let error = T::deserialize(value).err()?;
    Some(Problem::Malformed { at: at.into(), detail: error.to_string() })
}

fn unexpected(at: String, value: &Value, expected: &str) -> Problem {
    let found = match value {
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => kind(value).to_owned(),
    };
    Problem::Malformed { at, detail: format!("found {found}, expected {expected}") }
}

/// The kind of a JSON value, with its article.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
