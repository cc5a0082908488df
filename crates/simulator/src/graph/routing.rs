//! Conversation routing: which app has a conversation (Meta, "Conversation routing"). Assumptions: the form of `thread_owner`, and that
//! the app may take what another has.

use serde_json::{Value, json};

use super::accounts::need;
use super::call::Call;
use super::errors::GraphError;
use super::send::unknown_user;
use crate::operation::Operation;
use crate::world::World;
use crate::world::account::LoginKind;
use crate::world::thread::ThreadKey;

/// The app in whose name calls are made, where none is registered for logins.
const OUR_APP: &str = "1100000000000001";

/// Another app, where it is not told which.
const OTHER_APP: &str = "2200000000000002";

pub(crate) fn owner(world: &World, account: &str, call: &Call) -> Result<Value, GraphError> {
    let ours = our_app(world, account)?;
    let key = ThreadKey::new(account, call.query("recipient").unwrap_or_default());
    let thread = world.threads.get(&key).ok_or_else(unknown_user)?;
    let owner = match (&thread.owner, thread.person.standby) {
        (Some(owner), _) => owner.clone(),
        (None, true) => OTHER_APP.to_owned(),
        (None, false) => ours,
    };
    let owners = if owner.is_empty() { json!([]) } else { json!([{"thread_owner": {"app_id": owner}}]) };
    Ok(json!({"data": owners}))
}

pub(crate) fn control(
    world: &mut World,
    account: &str,
    call: &Call,
    operation: Operation,
) -> Result<Value, GraphError> {
    let ours = our_app(world, account)?;
    let key = ThreadKey::new(account, call.body["recipient"]["id"].as_str().unwrap_or_default());
    let thread = world.threads.get_mut(&key).ok_or_else(unknown_user)?;
    if operation != Operation::TakeThread && thread.person.standby {
        let what = "(#100) The app is not the owner of the thread";
        return Err(GraphError::sub(100, 2_534_037, what));
    }
    let owner = match operation {
        Operation::TakeThread => ours.clone(),
        Operation::ReleaseThread => String::new(),
        _ => {
            let target = call.body["target_app_id"].as_str().filter(|target| !target.is_empty());
            target
                .ok_or_else(|| GraphError::new(100, "(#100) The parameter target_app_id is required"))?
                .to_owned()
        }
    };
    // Released, it goes to the default app: ours.
    thread.person.standby = !owner.is_empty() && owner != ours;
    thread.owner = Some(owner);
    Ok(json!({"success": true}))
}

fn our_app(world: &World, account: &str) -> Result<String, GraphError> {
    let Some(account) = world.accounts.get(account) else { return Ok(OUR_APP.to_owned()) };
    need(account, account.messaging_permission())?;
    let login: LoginKind = account.login;
    let app = world.settings.login.apps.iter().find(|app| app.login_kind == login);
    Ok(app.map_or_else(|| OUR_APP.to_owned(), |app| app.app_id.clone()))
}
