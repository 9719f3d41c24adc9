//! Listing an environment's connections: how each fares, by name, and only what the caller may list.
//! A page that filters all it has looked at is empty and still goes on.
//!
//! Invariant: a cursor carries an id and never the name of something that was not shown.

use std::fmt;
use std::str::FromStr;

use super::ConnectionFacts;
use crate::door::{Access, Cx, Decision, Operation, Place, View};
use crate::model::{Action, Connection, EnvironmentName, Refusal, Resource, SecretId};
use crate::operations::PageSize;

/// Rows that one decision looks at, shown or not: with a ref each, below the thousand of a decision.
const ROWS_MAX: u32 = 900;

/// `GET /connections/{p}/{e}`
pub struct ListConnections {
    /// Where.
    pub place: EnvironmentName,
    /// Behind what an earlier page ended with.
    pub after: Option<After>,
    /// How much at once.
    pub limit: PageSize,
}

/// One page.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ConnectionsPage {
    /// By name, in any case.
    pub items: Vec<ConnectionFacts>,
    /// Where the next page begins, if there is one; it may turn out empty.
    pub next: Option<After>,
}

/// The connection that a page ended with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct After(SecretId);

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for After {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().map(Self)
    }
}

impl Operation for ListConnections {
    const ACTION: Action = Action::List;
    const ACCESS: Access = Access::Reach;
    type Reply = ConnectionsPage;

    fn resource(&self) -> Resource<'_> {
        Resource::Environment(&self.place)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<ConnectionsPage>, Refusal> {
        let place = view.place(&self.place).await?;
        let mut after = self.begin(view, &place).await?;
        let (mut page, mut looked, mut last) = (ConnectionsPage::default(), 0, None);
        loop {
            let count = (self.limit.items() + 1).min(ROWS_MAX - looked);
            let rows = view.list_connections(&place, &after, count).await?;
            looked += count;
            let whole = rows.len() < count as usize;
            for connection in rows {
                if page.items.len() == self.limit.items() as usize {
                    page.next = last;
                    return Ok(Decision::new(page));
                }
                after = connection.path.folded();
                last = Some(After(connection.id));
                page.items.extend(self.shown(cx, &connection));
            }
            if whole {
                return Ok(Decision::new(page));
            }
            if looked == ROWS_MAX {
                page.next = last;
                return Ok(Decision::new(page));
            }
        }
    }
}

impl ListConnections {
    async fn begin(&self, view: &View, place: &Place) -> Result<String, Refusal> {
        let Some(After(id)) = self.after else {
            return Ok(String::new());
        };
        let found = view.find_connection_by_id(place, id).await?;
        let connection = found.ok_or_else(|| {
            let sentence = "the cursor leads nowhere any more: list again from the beginning";
            Refusal::Malformed(sentence.to_owned())
        })?;
        Ok(connection.path.folded())
    }

    fn shown(&self, cx: &Cx<'_>, connection: &Connection) -> Option<ConnectionFacts> {
        let path = format!("{}/{}", self.place, connection.path);
        if !cx.caller.allows(Action::List, &path) {
            return None;
        }
        ConnectionFacts::of(path, connection, cx.now)
    }
}
