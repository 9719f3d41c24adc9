//! One attempt from its intention to its conclusion: sending is committed, the call is made, its answer is spooled and concluded.
//! Whatever happens in between, what may have left is never sent again by this attempt, and what came is never lost by it.
//!
//! Invariant: bytes leave only after the commit that says so, and only while that commit is fresh.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::PART;
use super::calls::Permit;
use crate::door::{Door, Spooled};
use crate::fault;
use crate::model::{Exchange, Refreshing, Refusal, Timestamp};
use crate::operations::connections::{ConcludeRefresh, Concluded, Outgoing, SendRefresh};
use crate::outbound::{Outbound, RefreshRequest};

/// From before sending is committed to the first byte: a process that stood still longer does not send.
const SEND_WITHIN: Duration = Duration::from_secs(30);
const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Carries an attempt out.
///
/// # Errors
/// It was not sent, or could not be concluded here.
pub(super) async fn carry_out(
    door: &Door,
    outbound: &Outbound,
    refreshing: Refreshing,
    permit: Permit,
) -> Result<Concluded, Refusal> {
    fault::pause("intended").await;
    let began = Instant::now();
    let send = SendRefresh {
        refreshing: refreshing.clone(),
    };
    let outgoing = match door.run_system(PART, send).await {
        Ok(answer) => answer.reply,
        Err(refusal) => {
            door.metrics().refreshes.not_sent.one();
            tracing::warn!(connection = %refreshing.name, code = refusal.code(), "a refresh was not sent");
            return Err(refusal);
        }
    };
    fault::pause("sending").await;
    let sent_at = outgoing.sent_at;
    match call(outbound, outgoing, began + SEND_WITHIN).await {
        Exchange::Tokens(answer) => {
            let spooled = Spooled {
                refreshing,
                sent_at,
                answer,
            };
            let unsafe_yet = match door.spool(&spooled).await {
                Ok(()) => {
                    drop(permit);
                    None
                }
                Err(error) => {
                    // It is in memory alone, and concluded from there: a stop waits for that.
                    tracing::error!(%error, "an answer could not be spooled");
                    Some(permit)
                }
            };
            fault::pause("spooled").await;
            let concluded = conclude_spooled(door, spooled).await;
            drop(unsafe_yet);
            concluded
        }
        other => {
            let concluded = conclude(door, of(refreshing, sent_at, other)).await;
            drop(permit);
            concluded
        }
    }
}

async fn call(outbound: &Outbound, outgoing: Outgoing, send_by: Instant) -> Exchange {
    let Outgoing {
        client,
        client_secret,
        refresh_token,
        sent_at,
    } = &outgoing;
    let request = RefreshRequest {
        url: &client.token_url,
        auth: client.auth,
        client_id: &client.client_id,
        client_secret: client_secret.as_ref(),
        refresh_token,
        scope: client.scope.as_deref(),
        now: *sent_at,
        send_by,
    };
    outbound.exchange(request).await
}

/// Concludes an answer that is in the spool, and takes it from there.
///
/// # Errors
/// It could not be concluded, and stays.
pub(super) async fn conclude_spooled(door: &Door, spooled: Spooled) -> Result<Concluded, Refusal> {
    let Spooled {
        refreshing,
        sent_at,
        answer,
    } = spooled;
    let attempt = refreshing.attempt;
    let concluded = conclude(door, of(refreshing, sent_at, Exchange::Tokens(answer))).await?;
    match door.unspool(attempt).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, "a concluded answer stays in the spool, and does no harm there");
        }
        _ => {}
    }
    Ok(concluded)
}

fn of(refreshing: Refreshing, sent_at: Timestamp, exchange: Exchange) -> ConcludeRefresh {
    ConcludeRefresh {
        refreshing,
        sent_at,
        exchange: Arc::new(exchange),
    }
}

/// Concludes an attempt, as soon as the store takes it.
async fn conclude(door: &Door, conclude: ConcludeRefresh) -> Result<Concluded, Refusal> {
    let name = &conclude.refreshing.name;
    let mut wait = WAIT_MIN;
    loop {
        fault::pause("concluding").await;
        match door.run_system(PART, conclude.clone()).await {
            Ok(answer) => {
                fault::pause("concluded").await;
                let counted = &door.metrics().refreshes;
                match &answer.reply {
                    Concluded::Refreshed => {
                        counted.refreshed.one();
                        tracing::info!(connection = %name, "refreshed");
                    }
                    Concluded::Refused(code) => {
                        counted.refused.one();
                        tracing::warn!(connection = %name, code, "the provider refused a refresh");
                    }
                    Concluded::Failed(why) => {
                        counted.failed.one();
                        tracing::warn!(connection = %name, why, "a refresh failed");
                    }
                    Concluded::Superseded => {
                        counted.superseded.one();
                        tracing::warn!(connection = %name, "a refresh came too late, or for nobody");
                    }
                }
                return Ok(answer.reply);
            }
            Err(fenced @ Refusal::Unavailable(_)) if door.is_fenced() => return Err(fenced),
            Err(Refusal::Unavailable(why)) => {
                tracing::warn!(connection = %name, why, "a refresh is not concluded yet");
                sleep(wait).await;
                wait = (wait * 2).min(WAIT_MAX);
            }
            Err(refusal) => {
                tracing::error!(connection = %name, code = refusal.code(), "a refresh cannot be concluded");
                return Err(refusal);
            }
        }
    }
}
