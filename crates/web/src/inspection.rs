//! `/api/v1/` of the inspection: an upload's status, notices, verdicts and decisions, checks, jobs. JSON; what the
//! token's holder may do is asked in the domain.

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::Response;
use index::model::{Actor, CheckState, Decision};
use index::ops::{checks as check_verbs, jobs as job_verbs, notices as notice_verbs, verdicts as verdict_verbs};
use serde::Deserialize;
use serde_json::json;

use crate::api::{Call, Nothing};
use crate::app::App;
use crate::routes::Site;

/// Verdicts of one answer, when nothing else was asked.
const LISTED: i64 = 100;

/// Reads the call, does `$work` with it, answers.
macro_rules! handler {
    ($(#[$doc:meta])* $name:ident, $body:ty, |$call:ident| $work:block) => {
        $(#[$doc])*
        pub(crate) async fn $name(State(app): State<App>, site: Site, request: Request<Body>) -> Response {
            let $call = match Call::<$body>::read(app, site, request).await {
                Ok(call) => call,
                Err(response) => return response,
            };
            let outcome = async { $work };
            let outcome = outcome.await;
            $call.answer(outcome)
        }
    };
}

handler! {
    /// `GET /api/v1/uploads/{upload}`: where an upload stands, for its account's tokens.
    upload, Nothing, |call| {
        let id = call.site.param("upload").unwrap_or_default();
        Ok(json!(notice_verbs::status(call.app.installation(), &call.site.index, &id, &call.actor).await?))
    }
}

handler! {
    /// `GET /api/v1/notices?unread=true&before=ID`
    notices, Nothing, |call| {
        let (unread, before) = (call.asked("unread")?.unwrap_or(false), call.asked("before")?);
        let (installation, index) = (call.app.installation(), &call.site.index);
        let list = notice_verbs::list(installation, index, &call.actor, unread, before).await?;
        Ok(json!({ "notices": list }))
    }
}

handler! {
    /// `POST /api/v1/notices/{notice}/read`
    read_notice, Nothing, |call| {
        let id = call.number("notice")?;
        notice_verbs::read(call.app.installation(), &call.site.index, &call.actor, id).await?;
        Ok(json!({ "read": id }))
    }
}

handler! {
    /// `GET /api/v1/verdicts?open=true&before=ID&limit=N`
    verdicts, Nothing, |call| {
        let (open, before) = (call.asked("open")?.unwrap_or(false), call.asked("before")?);
        let most = call.asked("limit")?.unwrap_or(LISTED);
        let actor = Actor::Token(call.actor.clone());
        let (installation, index) = (call.app.installation(), &call.site.index);
        Ok(json!({ "verdicts": verdict_verbs::list(installation, index, open, before, most, &actor).await? }))
    }
}

handler! {
    /// `GET /api/v1/verdicts/{verdict}`: by id, or the latest on the file of that name.
    verdict, Nothing, |call| {
        let which = call.site.param("verdict").unwrap_or_default();
        let actor = Actor::Token(call.actor.clone());
        Ok(json!(verdict_verbs::show(call.app.installation(), &call.site.index, &which, &actor).await?))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDecision {
    decision: Decision,
    #[serde(default)]
    reason: Option<String>,
}

handler! {
    /// `POST /api/v1/verdicts/{verdict}/decide` `{"decision", "reason"}`
    decide, NewDecision, |call| {
        let which = call.site.param("verdict").unwrap_or_default();
        let NewDecision { decision, reason } = &call.body;
        let actor = Actor::Token(call.actor.clone());
        let (installation, index) = (call.app.installation(), &call.site.index);
        let decided = verdict_verbs::decide(installation, index, &which, *decision, reason.as_deref(), &actor);
        Ok(json!(decided.await?))
    }
}

handler! {
    /// `POST /api/v1/reinspect`
    reinspect, Nothing, |call| {
        let actor = Actor::Token(call.actor.clone());
        verdict_verbs::reinspect(call.app.installation(), &call.site.index, &actor).await?;
        Ok(json!({ "reinspecting": call.site.index }))
    }
}

handler! {
    /// `GET /api/v1/checks`
    checks, Nothing, |call| {
        let actor = Actor::Token(call.actor.clone());
        Ok(json!({ "checks": check_verbs::list(call.app.installation(), &actor).await? }))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewState {
    state: CheckState,
}

handler! {
    /// `POST /api/v1/checks/{check}` `{"state"}`
    set_check, NewState, |call| {
        let check = call.site.param("check").unwrap_or_default();
        let actor = Actor::Token(call.actor.clone());
        check_verbs::set(call.app.installation(), &check, call.body.state, &actor).await?;
        Ok(json!({ "check": check, "state": call.body.state }))
    }
}

handler! {
    /// `GET /api/v1/jobs`
    jobs, Nothing, |call| {
        let actor = Actor::Token(call.actor.clone());
        Ok(json!({ "jobs": job_verbs::list(call.app.installation(), &call.site.index, &actor).await? }))
    }
}

handler! {
    /// `POST /api/v1/jobs/{job}/retry`
    retry, Nothing, |call| {
        let id = call.number("job")?;
        let actor = Actor::Token(call.actor.clone());
        let count = job_verbs::retry(call.app.installation(), &call.site.index, Some(id), &actor).await?;
        Ok(json!({ "retried": count }))
    }
}
