//! Meta's Graph API, on both hosts.
//!
//! Sources: Meta's pages "Instagram API with Instagram Login" (Messaging API, Conversations API, Business Login),
//! "Messenger Platform: Instagram" and "Graph API: Error handling".

mod accounts;
pub(crate) mod call;
mod comments;
mod compose;
mod conversations;
pub(crate) mod errors;
pub(crate) mod fields;
mod form;
mod limits;
mod messenger_profile;
mod route;
mod routing;
mod send;
mod sender_action;
mod subscriptions;
mod tokens;
pub(crate) mod uploads;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::engine::Core;
use crate::faults::{self, Subject};
use crate::login;
use crate::operation::{Operation, Service};
use crate::settings::Echo;
use crate::webhook::{self, Update};
use crate::world::World;

use call::Call;
use errors::GraphError;
use route::Routed;

/// The host that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// graph.facebook.com.
    Facebook,
    /// graph.instagram.com.
    Instagram,
}

/// The result of a call.
struct Outcome {
    body: Value,
    /// The echo of an accepted send.
    echo: Option<Update>,
}

impl From<Value> for Outcome {
    fn from(body: Value) -> Self {
        Self { body, echo: None }
    }
}

/// `/graph/…`.
pub(crate) async fn facebook(State(core): State<Arc<Core>>, request: Request) -> Response {
    answer(core, Host::Facebook, request).await
}

/// `/instagram/…`.
pub(crate) async fn instagram(State(core): State<Arc<Core>>, request: Request) -> Response {
    answer(core, Host::Instagram, request).await
}

async fn answer(core: Arc<Core>, host: Host, request: Request) -> Response {
    let call = match Call::read(host, request).await {
        Ok(call) => call,
        Err(error) => return core.read(|world| error.respond(host, &world.settings.graph)),
    };
    let (routed, fault, latency_ms) = core.change(|world| {
        let routed = route::route(world, &call, core.clock.now_ms());
        let operation = routed.as_ref().map_or(route::edge(&call), |routed| Some(routed.operation));
        let mut subject = Subject::new(Service::Graph, operation.unwrap_or(Operation::Unknown));
        if let Ok(routed) = &routed {
            (subject.account, subject.user) = (routed.account.clone(), routed.user.clone());
        }
        world.record.count_call(subject.operation.key());
        let routed = routed.and_then(|routed| match &routed.account {
            Some(account) => proven(world, &call, account).map(|()| routed),
            None => Ok(routed),
        });
        let fault = world.faults.strike(&subject);
        let restricted = world.settings.graph.app_restricted;
        let restricted = restricted.then(|| Err(GraphError::app_restricted(call.method.as_str())));
        (restricted.unwrap_or(routed), fault, world.settings.graph.latency_ms)
    });
    if fault.is_none() && latency_ms == 0 {
        return perform(&core, &call, routed).await;
    }
    let shared = Arc::clone(&core);
    core.see_through(async move {
        tokio::time::sleep(Duration::from_millis(latency_ms)).await;
        let Some(fault) = fault else { return perform(&shared, &call, routed).await };
        let settings = shared.read(|world| world.settings.graph.clone());
        let work = perform(&shared, &call, routed);
        faults::play(fault, work, |fault| GraphError::of_fault(fault).respond(host, &settings)).await
    })
    .await
}

/// Whether the call carries the proof of the app that its token belongs to, or none where none is asked for.
fn proven(world: &World, call: &Call, account: &str) -> Result<(), GraphError> {
    let Some(proof) = call.query("appsecret_proof") else {
        if world.settings.graph.require_proof {
            let what = "API calls from the server require an appsecret_proof argument";
            return Err(GraphError::new(100, what));
        }
        return Ok(());
    };
    let app = webhook::target_of(world, account);
    let token = call.token.as_deref().unwrap_or_default();
    let is_right = app.is_some_and(|app| webhook::proof(&app.app_secret, token) == proof);
    if is_right {
        Ok(())
    } else {
        Err(GraphError::new(100, "Invalid appsecret_proof provided in the API argument"))
    }
}

/// Executes the call, and sends its echo.
async fn perform(core: &Arc<Core>, call: &Call, routed: Result<Routed, GraphError>) -> Response {
    let now = core.clock.now_ms();
    let (response, echo) = core.change(|world| {
        let done = routed.and_then(|routed| {
            let account = routed.account.clone().unwrap_or_default();
            execute(world, call, &routed, (now, &core.base_url)).map(|outcome| (outcome, account))
        });
        let settings = &world.settings.graph;
        match done {
            Ok((outcome, account)) => {
                let mut response = Json(outcome.body).into_response();
                add_usage(&mut response, &account, settings.usage_percent, settings.regain_access_minutes);
                let echo = outcome.echo.filter(|_| settings.echo != Echo::Never);
                let first = settings.echo == Echo::First;
                (response, echo.map(|echo| (echo, settings.echo_delay_ms, first)))
            }
            Err(error) => (error.respond(call.host, settings), None),
        }
    });
    if let Some((echo, delay_ms, first)) = echo {
        send_echo(core, echo, Duration::from_millis(delay_ms), first).await;
    }
    response
}

/// The echo comes before the response, right after it, or late.
async fn send_echo(core: &Arc<Core>, echo: Update, delay: Duration, first: bool) {
    if first {
        for delivered in webhook::dispatch(core, vec![echo], 1, 0) {
            let _ = tokio::time::timeout(Duration::from_secs(5), delivered.cancelled()).await;
        }
    } else if delay.is_zero() {
        webhook::dispatch(core, vec![echo], 1, 0);
    } else {
        let shared = Arc::clone(core);
        core.spawn(async move {
            tokio::time::sleep(delay).await;
            webhook::dispatch(&shared, vec![echo], 1, 0);
        });
    }
}

fn execute(
    world: &mut World,
    call: &Call,
    routed: &Routed,
    (now, base_url): (i64, &str),
) -> Result<Outcome, GraphError> {
    let Some(account) = routed.account.as_deref() else {
        return login::execute(world, call, routed.operation, now).map(Outcome::from);
    };
    match routed.operation {
        Operation::Me => accounts::read(world, account, &routed.object, call),
        Operation::Permissions => Ok(accounts::permissions(world, account)),
        Operation::RefreshToken => tokens::refresh(world, call, now),
        Operation::ExchangeToken => tokens::exchange(world, call, now),
        Operation::Subscribe => subscriptions::subscribe(world, account, call),
        Operation::Subscriptions => Ok(subscriptions::list(world, account)),
        Operation::Unsubscribe => Ok(subscriptions::unsubscribe(world, account)),
        Operation::ThreadOwner => routing::owner(world, account, call).map(Outcome::from),
        operation @ (Operation::TakeThread | Operation::ReleaseThread | Operation::PassThread) => {
            routing::control(world, account, call, operation).map(Outcome::from)
        }
        Operation::SetProfile => messenger_profile::set(world, account, call),
        Operation::GetProfile => messenger_profile::get(world, account, call),
        Operation::DeleteProfile => messenger_profile::delete(world, account, call),
        Operation::Send => send::send(world, account, call, now),
        Operation::Upload => uploads::upload(world, account, call).map(Outcome::from),
        Operation::Comment => comments::read(world, &routed.object, call).map(Outcome::from),
        Operation::ModerateComment => comments::change(world, &routed.object, call).map(Outcome::from),
        Operation::SenderAction => sender_action::act(world, account, call, now).map(Outcome::from),
        Operation::Profile => accounts::profile(world, account, &routed.object, call),
        Operation::Conversations => conversations::list(world, account, call, (now, base_url)),
        Operation::Conversation => {
            limits::conversation_call(world, account, now)?;
            conversations::conversation(world, &routed.object, call, base_url)
        }
        Operation::Message => {
            limits::conversation_call(world, account, now)?;
            conversations::message(world, &routed.object, call)
        }
        _ => Err(GraphError::no_object(call.method.as_str(), &routed.object)),
    }
}

/// Usage headers (Graph API, "Rate limits").
fn add_usage(response: &mut Response, account: &str, percent: u8, regain_minutes: u32) {
    let app = json!({"call_count": percent, "total_time": percent, "total_cputime": percent});
    let business = json!({account: [{
        "type": "instagram", "call_count": percent, "total_cputime": percent, "total_time": percent,
        "estimated_time_to_regain_access": regain_minutes,
    }]});
    for (name, value) in [("x-app-usage", app), ("x-business-use-case-usage", business)] {
        if let Ok(value) = HeaderValue::try_from(value.to_string()) {
            response.headers_mut().insert(name, value);
        }
    }
}
