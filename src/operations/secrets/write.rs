//! Writing a secret: a new version, made of what was sent, what was generated and, when merging, what was there.
//! The name that was free gets a new secret with version 1; the old version of a living one retires at once.
//!
//! Invariant: a version has at least one field.

use super::{Expected, NextVersion, Written, find_living, new_secret, open_current};
use crate::door::{Cx, Decision, KnownSecret, Operation, Place, View};
use crate::model::{Action, FieldName, Fields, Ref, Refusal, Resource, Secret, SecretName, Value};
use crate::operations::Generate;

/// What becomes of the fields that a write does not name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// They are dropped.
    Replace,
    /// They are kept.
    Merge,
}

/// `PUT` and `PATCH /secrets/…`
pub struct WriteSecret {
    /// Which secret.
    pub name: SecretName,
    /// What becomes of the other fields.
    pub mode: Mode,
    /// Values; `None` takes the field away.
    pub fields: Vec<(FieldName, Option<Value>)>,
    /// Values to make up.
    pub generate: Vec<(FieldName, Generate)>,
    /// What must be there before.
    pub expected: Expected,
}

impl Operation for WriteSecret {
    const ACTION: Action = Action::Write;
    type Reply = Written;

    fn resource(&self) -> Resource<'_> {
        Resource::Secret(&self.name)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Written>, Refusal> {
        let place = view.place(&self.name.place).await?;
        let found = find_living(view, &place, &self.name.path).await?;
        self.expected.check(found.as_ref().map(|known| &***known))?;
        let fields = self.compose(cx, self.kept(view, &place, found.as_deref()).await?)?;
        let created = found.is_none();
        let secret = found.map_or_else(
            || new_secret(cx, &self.name.path),
            |known| Secret::clone(&known),
        );
        let next = NextVersion::seal(cx, &place, secret, &fields, None)?;
        let reply = Written::of(created, &self.name, &next.secret, cx.now)?;
        let status = reply.status();
        let decision = next.put(cx, &place, reply)?.status(status);
        Ok(if created {
            decision.touch(Ref::listing(place.environment.id))
        } else {
            decision
        })
    }
}

impl WriteSecret {
    /// What is there and stays.
    async fn kept(
        &self,
        view: &View,
        place: &Place,
        found: Option<&KnownSecret>,
    ) -> Result<Fields, Refusal> {
        match found {
            Some(secret) if self.mode == Mode::Merge => open_current(view, place, secret).await,
            _ => Ok(Fields::default()),
        }
    }

    /// The new version's fields.
    fn compose(&self, cx: &Cx<'_>, mut fields: Fields) -> Result<Fields, Refusal> {
        if self.fields.is_empty() && self.generate.is_empty() {
            return Err(malformed("nothing is written: name at least one field"));
        }
        for (name, value) in &self.fields {
            match value {
                Some(value) => fields.put(name.clone(), value.copy()),
                None => fields.remove(name),
            }
        }
        for (name, generate) in &self.generate {
            if self.fields.iter().any(|(given, _)| given == name) {
                return Err(malformed(
                    "a field is given and generated at once: do one of the two",
                ));
            }
            fields.put(name.clone(), generate.draw(cx.entropy));
        }
        if fields.is_empty() {
            return Err(malformed(
                "no field would be left: keep one, or delete the secret",
            ));
        }
        Ok(fields)
    }
}

fn malformed(sentence: &str) -> Refusal {
    Refusal::Malformed(sentence.to_owned())
}
