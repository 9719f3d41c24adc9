//! Reading one version of a secret, all its fields or some.
//! "Not modified" is recorded like any read: who holds the value is known either way.
//!
//! Invariant: the fields of a reply are of one version.

use super::Etag;
use crate::door::{Cx, Decision, Operation, View};
use crate::model::{
    Action, FieldName, Fields, Refusal, Resource, Secret, SecretName, State, Timestamp,
    VersionEntry,
};

/// Which version is read.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Which {
    /// What readers get.
    #[default]
    Current,
    /// The one before, while it is valid.
    Previous,
    /// Any that is not destroyed, by its number.
    Number(u64),
}

impl Which {
    fn find(self, secret: &Secret, now: Timestamp) -> Option<&VersionEntry> {
        match self {
            Self::Current => secret.current(),
            Self::Previous => secret.previous(now),
            Self::Number(number) => secret.version(number),
        }
    }
}

/// `GET /secrets/…`
pub struct ReadSecret {
    /// Which secret.
    pub name: SecretName,
    /// Which version of it.
    pub which: Which,
    /// Only these fields; 404 when one is not there.
    pub fields: Option<Vec<FieldName>>,
    /// What the client has already.
    pub if_none_match: Vec<Etag>,
}

/// The answer to a read.
pub enum ReadReply {
    /// 304: the client has it already.
    NotModified(Etag),
    /// 200: the values.
    Found(FoundSecret),
}

/// One version with its values.
pub struct FoundSecret {
    /// `project/environment/path`.
    pub path: String,
    /// Its number.
    pub version: u64,
    /// Its state now.
    pub state: State,
    /// Its values, or those that were asked for.
    pub fields: Fields,
    /// When it was written.
    pub created_at: Timestamp,
    /// When the next rotation is due, if this is the current one and it rotates.
    pub rotates_at: Option<Timestamp>,
    /// Until when it stays readable as previous, if it is.
    pub valid_until: Option<Timestamp>,
    /// Names secret and version.
    pub etag: Etag,
}

impl Operation for ReadSecret {
    const ACTION: Action = Action::Read;
    type Reply = ReadReply;

    fn resource(&self) -> Resource<'_> {
        Resource::Secret(&self.name)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<ReadReply>, Refusal> {
        let place = view.place(&self.name.place).await?;
        let secret = view
            .find_secret(&place, &self.name.path)
            .await?
            .ok_or(Refusal::NotFound)?;
        let entry = self.which.find(&secret, cx.now).ok_or(Refusal::NotFound)?;
        let etag = Etag::of(secret.id, entry.number);
        if entry.state != State::Destroyed && self.if_none_match.contains(&etag) {
            return Ok(Decision::new(ReadReply::NotModified(etag))
                .status(304)
                .version(entry.number));
        }
        let fields = self.select(view.open_version(&place, &secret, entry).await?)?;
        let found = FoundSecret::of(&self.name, &secret, entry, fields, cx.now);
        Ok(Decision::new(ReadReply::Found(found)).version(entry.number))
    }
}

impl ReadSecret {
    fn select(&self, mut fields: Fields) -> Result<Fields, Refusal> {
        let Some(wanted) = &self.fields else {
            return Ok(fields);
        };
        if wanted.iter().any(|name| fields.find(name).is_none()) {
            return Err(Refusal::NotFound);
        }
        let unwanted: Vec<_> = fields
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !wanted.contains(name))
            .cloned()
            .collect();
        unwanted.iter().for_each(|name| fields.remove(name));
        Ok(fields)
    }
}

impl FoundSecret {
    fn of(
        name: &SecretName,
        secret: &Secret,
        entry: &VersionEntry,
        fields: Fields,
        now: Timestamp,
    ) -> Self {
        let state = Secret::state_of(entry, now);
        let rotation = secret.rotation.as_ref().filter(|_| state == State::Current);
        Self {
            path: name.text(),
            version: entry.number,
            state,
            fields,
            created_at: entry.created_at,
            rotates_at: rotation.map(|policy| policy.next_at),
            valid_until: entry.valid_until.filter(|_| state == State::Previous),
            etag: Etag::of(secret.id, entry.number),
        }
    }
}
