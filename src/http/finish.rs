//! A request that is being answered, once begun, goes on to its end: a client that hangs up changes nothing, and the
//! permit that the request holds is given back only then. A panic becomes a 500, and the server lives.
//!
//! Invariant: nothing that has begun is dropped half way, unless the whole process ends (HTTP/2 resets by the thousand).

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::problem::Fault;
use super::reply::Reply;

/// What a route's handler gives back.
pub(super) type Running = Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send>>;

/// Runs in the connection's task while the client listens, and in a task of its own from when it hangs up.
pub(super) struct Finish(Option<Running>);

impl Finish {
    pub(super) const fn new(running: Running) -> Self {
        Self(Some(running))
    }
}

impl Future for Finish {
    type Output = Result<Reply, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(running) = self.0.as_mut() else {
            return Poll::Ready(Err(Fault::Internal));
        };
        // Nothing is used again after a panic: the future is dropped, and what it shares is behind locks that go on.
        let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx)));
        let output = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => output,
            Err(_) => Err(Fault::Internal),
        };
        self.0 = None;
        Poll::Ready(output)
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        let Some(running) = self.0.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(running);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_hang_up_does_not_end_what_has_begun() {
        let (go, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (may_go, tell) = (Arc::clone(&go), Arc::clone(&ended));
        let mut request = Box::pin(Finish::new(Box::pin(async move {
            may_go.notified().await;
            tell.notify_one();
            Ok(Reply::empty(200))
        })));
        tokio::select! {
            biased;
            _ = &mut request => panic!("it waits"),
            () = std::future::ready(()) => {}
        }
        drop(request);
        go.notify_one();
        ended.notified().await;
    }

    #[tokio::test]
    async fn a_panic_is_a_500() {
        let fault = Finish::new(Box::pin(async { panic!("a test's panic") }))
            .await
            .err()
            .expect("a fault");
        assert_eq!(fault.status(), 500);
    }
}
