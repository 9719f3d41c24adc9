//! When a connection is refreshed: the attempt that is under way, the margin before a token runs out, the wait after a failure.
//! The attempt stands in the connection's own document, and is the lease on the work: who holds it is found where it guards.
//!
//! Invariant: what chance spreads is drawn once and stored; no instant here is drawn anew at each look.

use serde::{Deserialize, Serialize};

use super::{AttemptId, BootId, SecretId, SecretName, StreamId, Timestamp, Ttl};

/// How long an attempt that has not begun to send is its holder's; then another may take its place.
pub const INTENT_TTL: Ttl = Ttl::seconds(10);
/// Longer than any call: by then its answer is concluded, or lost.
pub const CALL_TTL: Ttl = Ttl::seconds(90);
/// How long after it began to send an attempt of another node is left alone: that node may still hold the answer.
pub const DOUBT_TTL: Ttl = Ttl::seconds(600);

/// Between two refreshes that nobody asks for: a token that hardly lives is refreshed when it is wanted.
const APART_MIN: Ttl = Ttl::seconds(10);
const MARGIN_MIN: Ttl = Ttl::seconds(60);
const MARGIN_MAX: Ttl = Ttl::seconds(15 * 60);
/// From this lifetime on the margin is a tenth of it.
const LONG_LIFE: Ttl = Ttl::days(7);
const LONG_MARGIN_MAX: Ttl = Ttl::days(7);
/// A token whose end nobody knows is refreshed daily, so that the grant is not forgotten for lack of use.
const KEEP_ALIVE: Ttl = Ttl::days(1);
const WAIT_MIN: Ttl = Ttl::seconds(5);
const WAIT_MAX: Ttl = Ttl::seconds(15 * 60);

/// Which run of which node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// The node, by its stream.
    pub stream: StreamId,
    /// Its run.
    pub boot: BootId,
}

/// Who may begin a refresh: this run, and which run it comes after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Runner {
    /// This run.
    pub holder: Holder,
    /// The run before it in the same state directory: its process is gone, and what it had spooled was replayed.
    /// A node of the same name that was started elsewhere comes after nobody: the other's answers are not in its spool.
    pub before: Option<BootId>,
}

impl Runner {
    fn comes_after(self, earlier: Holder) -> bool {
        self.holder.stream == earlier.stream && self.before == Some(earlier.boot)
    }
}

/// A refresh that is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Its id: what is committed for it is committed only while it stands here.
    pub id: AttemptId,
    /// Who makes it.
    pub holder: Holder,
    /// When it was intended.
    pub intended_at: Timestamp,
    /// When bytes were about to leave; from then on the refresh token may be spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sending_at: Option<Timestamp>,
}

impl Attempt {
    /// Whether another attempt may take its place now. `ran_out` is when the access token that is served runs out.
    pub fn gives_way(&self, now: Timestamp, to: Runner, ran_out: Timestamp) -> bool {
        let orphaned = to.comes_after(self.holder);
        match self.sending_at {
            None => orphaned || self.intended_at.after(INTENT_TTL) <= now,
            Some(at) => ran_out <= now && (orphaned || at.after(DOUBT_TTL) <= now),
        }
    }

    /// When somebody should look whether it still stands.
    pub fn due(&self, ran_out: Timestamp) -> Timestamp {
        match self.sending_at {
            None => self.intended_at.after(INTENT_TTL),
            Some(at) => ran_out.max(at.after(DOUBT_TTL)),
        }
    }

    /// Whether its answer should have come by now: from then on it is in doubt.
    pub fn is_in_doubt(&self, now: Timestamp) -> bool {
        self.sending_at.is_some_and(|at| at.after(CALL_TTL) <= now)
    }
}

/// One attempt to refresh one set of tokens: what its later steps name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refreshing {
    /// The connection's name.
    pub name: SecretName,
    /// Which connection of that name.
    pub connection: SecretId,
    /// The set of tokens that it is to replace.
    pub revision: u64,
    /// The attempt.
    pub attempt: AttemptId,
}

/// When tokens given for a request sent at `sent_at` are to be refreshed; `chance` spreads it.
pub fn refresh_at(sent_at: Timestamp, lifetime: Option<Ttl>, chance: u32) -> Timestamp {
    let Some(lifetime) = lifetime else {
        return sent_at.after_micros(KEEP_ALIVE.micros() - share(KEEP_ALIVE.micros() / 10, chance));
    };
    let margin = margin_us(lifetime);
    let due = lifetime.micros() - margin - share(margin / 2, chance);
    sent_at.after_micros(due.max(APART_MIN.micros()))
}

/// How long before its end a token is refreshed at the latest, in microseconds.
fn margin_us(lifetime: Ttl) -> i64 {
    let life = lifetime.micros();
    let margin = if lifetime >= LONG_LIFE {
        (life / 10).min(LONG_MARGIN_MAX.micros())
    } else {
        (life / 5).clamp(MARGIN_MIN.micros(), MARGIN_MAX.micros())
    };
    // Tokens of a few seconds would be refreshed again and again.
    margin.min(life / 2)
}

/// When to try again after this many failures: longer each time, spread over the whole wait, and not before `asked`.
pub fn retry_at(now: Timestamp, failures: u32, asked: Option<Ttl>, chance: u32) -> Timestamp {
    let doubled = WAIT_MIN.as_seconds() << failures.saturating_sub(1).min(16);
    let wait = Ttl::seconds(doubled).min(WAIT_MAX);
    let least = asked.unwrap_or(Ttl::seconds(1)).max(Ttl::seconds(1));
    now.after_micros(share(wait.micros(), chance).max(least.micros()))
}

/// `chance`'s share of a span.
fn share(span_us: i64, chance: u32) -> i64 {
    ((i128::from(span_us) * i128::from(chance)) >> 32) as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: Runner = Runner {
        holder: Holder {
            stream: StreamId::from_bytes([1; 16]),
            boot: BootId::from_bytes([1; 16]),
        },
        before: None,
    };
    const REBORN: Runner = Runner {
        holder: Holder {
            boot: BootId::from_bytes([2; 16]),
            ..HERE.holder
        },
        before: Some(HERE.holder.boot),
    };
    /// The same node by its name, with a state directory that is not the one of the run before.
    const NAMESAKE: Runner = Runner {
        before: None,
        ..REBORN
    };
    const ELSEWHERE: Runner = Runner {
        holder: Holder {
            stream: StreamId::from_bytes([9; 16]),
            boot: BootId::from_bytes([9; 16]),
        },
        before: Some(BootId::from_bytes([8; 16])),
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(0).after(Ttl::seconds(seconds))
    }

    fn attempt(sending_at: Option<Timestamp>) -> Attempt {
        Attempt {
            id: AttemptId::from_bytes([7; 16]),
            holder: HERE.holder,
            intended_at: at(100),
            sending_at,
        }
    }

    #[test]
    fn what_was_not_sent_gives_way_after_its_time_or_its_process() {
        let intended = attempt(None);
        assert!(!intended.gives_way(at(109), ELSEWHERE, at(0)));
        assert!(intended.gives_way(at(110), ELSEWHERE, at(0)));
        assert!(intended.gives_way(at(101), REBORN, at(0)));
        assert!(!intended.gives_way(at(109), HERE, at(0)));
        assert_eq!(intended.due(at(999)), at(110));
    }

    #[test]
    fn what_may_have_been_sent_gives_way_only_when_nothing_is_left_to_serve() {
        let sending = attempt(Some(at(101)));
        assert!(!sending.gives_way(at(5000), ELSEWHERE, at(5001)));
        assert!(sending.gives_way(at(5001), ELSEWHERE, at(5001)));
        assert!(!sending.gives_way(at(700), ELSEWHERE, at(0)));
        assert!(sending.gives_way(at(701), ELSEWHERE, at(0)));
        // Its own node has replayed its spool, and there was no answer.
        assert!(sending.gives_way(at(200), REBORN, at(150)));
        // Whoever has only its name has not seen its spool.
        assert!(!sending.gives_way(at(200), NAMESAKE, at(150)));
        assert!(sending.gives_way(at(701), NAMESAKE, at(150)));
        assert!(!sending.gives_way(at(200), REBORN, at(250)));
        assert!(!sending.gives_way(at(200), HERE, at(150)));
        assert_eq!(sending.due(at(150)), at(701));
        assert_eq!(sending.due(at(5000)), at(5000));
        assert!(!sending.is_in_doubt(at(190)) && sending.is_in_doubt(at(191)));
    }

    #[test]
    fn the_margin_follows_the_lifetime() {
        for (lifetime, margin) in [
            (Ttl::seconds(5), 2),
            (Ttl::seconds(60), 30),
            (Ttl::seconds(200), 60),
            (Ttl::seconds(1000), 200),
            (Ttl::seconds(3600), 720),
            (Ttl::days(1), 900),
            (Ttl::days(10), 86_400),
            (Ttl::days(365), 7 * 86_400),
        ] {
            assert_eq!(margin_us(lifetime) / 1_000_000, margin, "{lifetime:?}");
        }
    }

    #[test]
    fn waits_grow_to_their_limit_and_honour_what_was_asked() {
        let most = |failures| retry_at(at(0), failures, None, u32::MAX).micros() / 1_000_000;
        assert_eq!([1, 2, 3, 8, 9, 400].map(most), [4, 9, 19, 639, 899, 899]);
        assert_eq!(retry_at(at(0), 1, Some(Ttl::seconds(90)), 0), at(90));
        assert_eq!(retry_at(at(0), 1, None, 0), at(1));
    }

    proptest! {
        #[test]
        fn a_refresh_comes_after_half_a_life_or_more_and_before_its_end(seconds in 1_u64..400 * 86_400, chance: u32) {
            let lifetime = Ttl::seconds(seconds);
            let (due, least) = (refresh_at(at(0), Some(lifetime), chance).micros(), APART_MIN.micros());
            prop_assert!(due < lifetime.micros() || due == least);
            prop_assert!(due >= least.max(lifetime.micros() / 4));
        }

        #[test]
        fn ten_thousand_of_one_minute_are_spread(seconds in 600_u64..86_400) {
            let lifetime = Ttl::seconds(seconds);
            let due = |n: u32| refresh_at(at(0), Some(lifetime), n * (u32::MAX / 10_000)).micros();
            let spread = due(0) - due(9_999);
            prop_assert!(spread >= margin_us(lifetime) / 2 - 1_000_000);
        }
    }
}
