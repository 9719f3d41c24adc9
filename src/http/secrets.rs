//! Secrets over HTTP: bodies into fields, replies into JSON, conditions into what is expected.
//! A value passes through here once in each direction, in memory that wipes itself.
//!
//! Invariant: only the answer to a read holds values.

use coffer_api::{
    self as api, FieldValue, History, PatchSecret, PutSecret, SecretEntry, SecretList,
    WrittenSecret,
};
use hyper::Method;

use super::endpoint::{Answered, Asked, Endpoint, id, named};
use super::headers;
use super::limits::BODY_BYTES_MAX;
use super::once::Change;
use super::reply::Reply;
use super::url::wrong;
use crate::model::{FieldName, Fields, Refusal, State, Value};
use crate::operations::Generate;
use crate::operations::secrets::{
    DeleteSecret, DestroySecret, Destroyed, FoundSecret, History as Told, ListSecrets,
    ListedSecret, Mode, ReadHistory, ReadReply, ReadSecret, SecretsPage, UndeleteSecret,
    VersionFacts, Which, WriteSecret, Written,
};

/// Versions that one `destroy` may name.
const NAMED_VERSIONS_MAX: usize = 100;
const A_VERSION: &str = "a version's number, from 1";

impl Endpoint for ReadSecret {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let number = asked.query.take_as::<u64>("version", A_VERSION)?;
        let which = match (number, asked.query.take_flag("previous")?) {
            (None, false) => Which::Current,
            (None, true) => Which::Previous,
            (Some(0), false) => return Err(wrong("version", A_VERSION)),
            (Some(number), false) => Which::Number(number),
            (Some(_), true) => return Err(wrong("previous", "no `version` beside it")),
        };
        let fields = asked.query.take("fields").map(|fields| {
            let names = fields
                .split(',')
                .map(|name| named::<FieldName>("field", name));
            names.collect::<Result<Vec<_>, _>>()
        });
        let fields = fields.transpose()?;
        if fields
            .as_ref()
            .is_some_and(|fields| fields.len() > Fields::COUNT_MAX)
        {
            return Err(wrong("fields", "at most 256 names"));
        }
        Ok(Self {
            name: asked.secret()?,
            which,
            fields,
            if_none_match: headers::known_versions(asked.headers)?,
        })
    }

    async fn reply(reply: ReadReply, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(match reply {
            ReadReply::NotModified(etag) => Reply::empty(304).etag(etag.to_string()),
            ReadReply::Found(found) => {
                let etag = found.etag.to_string();
                answered.json(&read(found)).etag(etag)
            }
        })
    }
}

fn read(found: FoundSecret) -> api::Secret {
    api::Secret {
        path: found.path,
        version: found.version,
        state: state(found.state),
        fields: found
            .fields
            .into_iter()
            .map(|(name, value)| (String::from(name), wire(value)))
            .collect(),
        created_at: found.created_at.to_string(),
        rotates_at: found.rotates_at.map(|at| at.to_string()),
        valid_until: found.valid_until.map(|at| at.to_string()),
    }
}

fn wire(value: Value) -> FieldValue {
    match value.expose_owned() {
        Ok(text) => FieldValue::Text(text),
        Err(bytes) => FieldValue::Bytes(bytes),
    }
}

const fn state(state: State) -> api::VersionState {
    match state {
        State::Current => api::VersionState::Current,
        State::Previous => api::VersionState::Previous,
        State::Retired => api::VersionState::Retired,
        State::Destroyed => api::VersionState::Destroyed,
    }
}

impl Change for WriteSecret {}

impl Endpoint for WriteSecret {
    const BODY_BYTES_MAX: usize = BODY_BYTES_MAX;

    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let name = asked.secret()?;
        let expected = headers::expected(asked.headers, &mut asked.query)?;
        let (mode, fields, generate) = if asked.method() == Method::PATCH {
            let PatchSecret { fields, generate } = asked.body()?;
            (Mode::Merge, fields.0, generate)
        } else {
            let PutSecret { fields, generate } = asked.body()?;
            (
                Mode::Replace,
                fields
                    .0
                    .into_iter()
                    .map(|(name, value)| (name, Some(value)))
                    .collect(),
                generate,
            )
        };
        let fields = fields
            .into_iter()
            .map(|(name, value)| Ok((named("field", &name)?, value.map(given))));
        let generate = generate.into_iter().map(|(name, how)| {
            let how = Generate::new(Some(how.length), how.alphabet).map_err(Refusal::Malformed)?;
            Ok((named("field", &name)?, how))
        });
        let (fields, generate) = (
            fields.collect::<Result<_, Refusal>>()?,
            generate.collect::<Result<_, Refusal>>()?,
        );
        Ok(Self {
            name,
            mode,
            fields,
            generate,
            expected,
        })
    }

    async fn reply(reply: Written, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(written(reply, answered))
    }
}

fn given(value: FieldValue) -> Value {
    match value {
        FieldValue::Text(text) => Value::text(text),
        FieldValue::Bytes(bytes) => Value::bytes(bytes),
    }
}

pub(super) fn written(reply: Written, answered: &Answered<'_>) -> Reply {
    let etag = reply.etag.to_string();
    let body = WrittenSecret {
        path: reply.path,
        version: reply.version,
        state: state(reply.state),
        created_at: reply.created_at.to_string(),
    };
    answered.json(&body).etag(etag)
}

impl Change for DeleteSecret {}

impl Endpoint for DeleteSecret {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let expected = headers::expected(asked.headers, &mut asked.query)?;
        Ok(Self {
            name: asked.secret()?,
            expected,
        })
    }

    async fn reply((): (), answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(Reply::empty(answered.status))
    }
}

impl Endpoint for ListSecrets {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let place = asked.environment()?;
        let prefix = asked.query.take("prefix").unwrap_or_default();
        let prefix = named("parameter `prefix`", &prefix)?;
        let recursive = asked.query.take_flag("recursive")?;
        let list = Self {
            place,
            prefix,
            recursive,
            after: None,
            limit: Default::default(),
        };
        let (limit, after) = asked.page(&list.listing())?;
        Ok(Self {
            after,
            limit,
            ..list
        })
    }

    fn listing(&self) -> String {
        format!(
            "secrets {} {} {}",
            self.place,
            if self.recursive { "all" } else { "level" },
            self.prefix
        )
    }

    async fn reply(reply: SecretsPage, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        let list = SecretList {
            items: reply.items.into_iter().map(listed).collect(),
            folders: reply.folders,
            next_cursor: answered.cursor(reply.next),
        };
        Ok(answered.json(&list))
    }
}

fn listed(secret: ListedSecret) -> SecretEntry {
    SecretEntry {
        path: secret.path,
        version: secret.version,
        state: state(secret.state),
        created_at: secret.created_at.to_string(),
        updated_at: secret.updated_at.to_string(),
        rotates_at: secret.rotates_at.map(|at| at.to_string()),
    }
}

impl Endpoint for ReadHistory {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            name: asked.secret()?,
        })
    }

    async fn reply(reply: Told, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        let deleted = reply.deleted.into_iter().map(|secret| api::DeletedSecret {
            id: secret.id.to_string(),
            deleted_at: secret.deleted_at.to_string(),
            versions: secret.versions.into_iter().map(version).collect(),
        });
        let history = History {
            path: reply.path,
            id: reply.id.map(|id| id.to_string()),
            versions: reply.versions.into_iter().map(version).collect(),
            deleted: deleted.collect(),
        };
        Ok(answered.json(&history))
    }
}

fn version(facts: VersionFacts) -> api::VersionEntry {
    api::VersionEntry {
        version: facts.version,
        state: state(facts.state),
        created_at: facts.created_at.to_string(),
        valid_until: facts.valid_until.map(|at| at.to_string()),
    }
}

impl Change for UndeleteSecret {}

impl Endpoint for UndeleteSecret {
    const BODY_BYTES_MAX: usize = BODY_BYTES_MAX;

    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let body: api::UndeleteSecret = asked.body()?;
        Ok(Self {
            name: asked.secret()?,
            id: body.id.as_deref().map(id).transpose()?,
        })
    }

    async fn reply(reply: Written, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(written(reply, answered))
    }
}

impl Change for DestroySecret {}

impl Endpoint for DestroySecret {
    const BODY_BYTES_MAX: usize = BODY_BYTES_MAX;

    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let body: api::DestroySecret = asked.body()?;
        // An empty list names no version; it must not mean all of them (advisory D13).
        let named = |versions: &Vec<u64>| {
            !versions.is_empty() && versions.len() <= NAMED_VERSIONS_MAX && !versions.contains(&0)
        };
        if body
            .versions
            .as_ref()
            .is_some_and(|versions| !named(versions))
        {
            return Err(Refusal::Malformed(
                "the key `versions` takes 1 to 100 numbers of versions; without it all are destroyed".to_owned(),
            ));
        }
        Ok(Self {
            name: asked.secret()?,
            versions: body.versions,
            id: body.id.as_deref().map(id).transpose()?,
        })
    }

    async fn reply(reply: Destroyed, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        let body = api::DestroyedVersions {
            path: reply.path,
            id: reply.id.to_string(),
            versions: reply.versions,
        };
        Ok(answered.json(&body))
    }
}
