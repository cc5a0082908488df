//! The one listener: both hosts of the Graph API, Meta's login pages, Retell's API and the control calls, by path prefix.

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use crate::engine::Core;
use crate::{cdn, control, graph, login, retell, words};

fn router(core: Arc<Core>) -> Router {
    let api = |handler| Router::new().fallback_service(handler);
    Router::new()
        .nest_service("/graph", api(any(graph::facebook).with_state(Arc::clone(&core))))
        .nest_service("/instagram", api(any(graph::instagram).with_state(Arc::clone(&core))))
        .nest_service("/retell", api(any(retell::handle).with_state(Arc::clone(&core))))
        .nest_service("/openai", api(any(words::handle).with_state(Arc::clone(&core))))
        .nest("/login", login::routes())
        .route("/cdn/ig_messaging_cdn/", get(cdn::serve))
        .nest("/_sim", control::routes())
        .with_state(core)
}

/// Serves until the simulator stops.
pub(crate) async fn serve(listener: TcpListener, core: Arc<Core>) {
    let stop = core.stop.clone();
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
    });
    let served = axum::serve(listener, router(core)).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the simulator's server failed");
    }
}
