//! `messenger_profile`: ice breakers and the persistent menu (Meta, "Ice breakers", "Persistent menu"). Limits of the menu are
//! Messenger's (assumption).

use serde_json::{Map, Value, json};

use super::Outcome;
use super::accounts::need;
use super::call::Call;
use super::errors::GraphError;
use crate::world::World;

const FIELDS: [(&str, usize); 2] = [("ice_breakers", 4), ("persistent_menu", 20)];

fn invalid(what: &str) -> GraphError {
    GraphError::new(100, format!("(#100) {what}"))
}

pub(crate) fn set(world: &mut World, account: &str, call: &Call) -> Result<Outcome, GraphError> {
    let Some(account) = world.accounts.get_mut(account) else {
        return Err(GraphError::no_object(call.method.as_str(), account));
    };
    need(account, account.messaging_permission())?;
    if call.query("platform") != Some("instagram") {
        return Err(invalid("The parameter platform must be instagram"));
    }
    let mut new = Map::new();
    for (field, most) in FIELDS {
        let Some(given) = call.body.get(field) else { continue };
        let languages = given.as_array().ok_or_else(|| invalid(&format!("{field} must be an array")))?;
        if !languages.iter().any(|one| one["locale"] == "default") {
            return Err(invalid(&format!("{field} must have the locale default")));
        }
        for language in languages {
            let actions = language["call_to_actions"].as_array().map_or(0, Vec::len);
            if !(1..=most).contains(&actions) {
                return Err(invalid(&format!("{field} must have 1 to {most} call_to_actions")));
            }
        }
        new.insert(field.to_owned(), given.clone());
    }
    if new.is_empty() {
        return Err(invalid("At least one property is required"));
    }
    account.profile.extend(new);
    Ok(json!({"result": "success"}).into())
}

pub(crate) fn get(world: &World, account: &str, call: &Call) -> Result<Outcome, GraphError> {
    let Some(account) = world.accounts.get(account) else {
        return Err(GraphError::no_object(call.method.as_str(), account));
    };
    need(account, account.messaging_permission())?;
    let asked: Vec<&str> = call.query("fields").unwrap_or_default().split(',').collect();
    let shown = account.profile.iter().filter(|(name, _)| asked.contains(&name.as_str()));
    let shown: Map<String, Value> = shown.map(|(name, value)| (name.clone(), value.clone())).collect();
    let data = if shown.is_empty() { json!([]) } else { json!([shown]) };
    Ok(json!({"data": data}).into())
}

pub(crate) fn delete(world: &mut World, account: &str, call: &Call) -> Result<Outcome, GraphError> {
    let Some(account) = world.accounts.get_mut(account) else {
        return Err(GraphError::no_object(call.method.as_str(), account));
    };
    need(account, account.messaging_permission())?;
    let fields: Vec<&str> =
        call.body["fields"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if fields.is_empty() {
        return Err(invalid("The parameter fields is required"));
    }
    for field in fields {
        account.profile.remove(field);
    }
    Ok(json!({"result": "success"}).into())
}
