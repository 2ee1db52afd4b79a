//! A runner of adk-rust with a session of its own.

use std::sync::Arc;

use adk_core::{Agent, RunConfig};
use adk_runner::Runner;
use adk_session::{CreateRequest, InMemorySessionService, SessionService};

/// Makes a runner, for a user and a session.
pub(crate) async fn runner(
    app_name: &str,
    (user, session): (&str, &str),
    agent: Arc<dyn Agent>,
    config: RunConfig,
) -> Runner {
    let sessions = Arc::new(InMemorySessionService::new());
    let session = CreateRequest {
        app_name: app_name.into(),
        user_id: user.into(),
        session_id: Some(session.into()),
        state: Default::default(),
    };
    sessions.create(session).await.unwrap();
    let runner = Runner::builder().app_name(app_name).agent(agent).session_service(sessions);
    runner.run_config(config).build().unwrap()
}
