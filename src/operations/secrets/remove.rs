//! Deleting, restoring and destroying: `rm` frees the name and keeps the versions, `undelete` brings the newest back,
//! `destroy` shreds the data keys of versions. The document remembers what was destroyed and outlives its versions.
//!
//! Invariant: what is destroyed stays destroyed, whatever rows a restore brings back.

use super::{Expected, Written, find_living};
use crate::door::{Cx, Decision, Operation, Place, View};
use crate::model::{Action, Ref, Refusal, Resource, Secret, SecretId, SecretName, State};

/// `DELETE /secrets/…`
pub struct DeleteSecret {
    /// Which secret.
    pub name: SecretName,
    /// What must be there before.
    pub expected: Expected,
}

impl Operation for DeleteSecret {
    const ACTION: Action = Action::Delete;
    type Reply = ();

    fn resource(&self) -> Resource<'_> {
        Resource::Secret(&self.name)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<()>, Refusal> {
        let place = view.place(&self.name.place).await?;
        let found = view
            .find_secret(&place, &self.name.path)
            .await?
            .ok_or(Refusal::NotFound)?;
        self.expected.check(Some(&found))?;
        let mut secret = Secret::clone(&found);
        secret.deleted_at = Some(cx.now);
        secret.updated_at = cx.now;
        let decision = Decision::new(())
            .status(204)
            .put_secret(cx, &place, &secret)?;
        Ok(decision.touch(Ref::listing(place.environment.id)))
    }
}

/// `POST /undelete/…`
pub struct UndeleteSecret {
    /// Which name.
    pub name: SecretName,
    /// Which deleted secret of that name; the newest without.
    pub id: Option<SecretId>,
}

impl Operation for UndeleteSecret {
    const ACTION: Action = Action::Write;
    type Reply = Written;

    fn resource(&self) -> Resource<'_> {
        Resource::Secret(&self.name)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Written>, Refusal> {
        let place = view.place(&self.name.place).await?;
        let taken = find_living(view, &place, &self.name.path).await?.is_some();
        let found = find_deleted(view, &place, &self.name, self.id).await?;
        if taken && (found.is_some() || self.id.is_none()) {
            let sentence = "a secret of that name is there: delete it first, or keep it".to_owned();
            return Err(Refusal::Conflict("exists", sentence));
        }
        let mut secret = found.ok_or(Refusal::NotFound)?;
        secret.deleted_at = None;
        secret.updated_at = cx.now;
        let reply = Written::of(false, &self.name, &secret, cx.now)?;
        let decision = Decision::new(reply.clone())
            .version(reply.version)
            .put_secret(cx, &place, &secret)?;
        Ok(decision.touch(Ref::listing(place.environment.id)))
    }
}

/// `POST /destroy/…`
pub struct DestroySecret {
    /// Which name.
    pub name: SecretName,
    /// These versions; all of them without.
    pub versions: Option<Vec<u64>>,
    /// The living or deleted secret of this id; without, the living one of that name, else the newest deleted.
    pub id: Option<SecretId>,
}

/// What was destroyed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destroyed {
    /// `project/environment/path`.
    pub path: String,
    /// The secret.
    pub id: SecretId,
    /// The versions that are gone by this request; those that were gone before are not named.
    pub versions: Vec<u64>,
}

impl Operation for DestroySecret {
    const ACTION: Action = Action::Destroy;
    type Reply = Destroyed;

    fn resource(&self) -> Resource<'_> {
        Resource::Secret(&self.name)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Destroyed>, Refusal> {
        let place = view.place(&self.name.place).await?;
        let mut secret = self.find(view, &place).await?.ok_or(Refusal::NotFound)?;
        let named = self.versions.as_deref().unwrap_or_default();
        self.check(&secret)?;
        let versions = doomed(&secret, named);
        let gone = secret.destroy(cx.now, named);
        let reply = Destroyed {
            path: self.name.to_string(),
            id: secret.id,
            versions,
        };
        Ok(Decision::new(reply)
            .put_secret(cx, &place, &secret)?
            .drop_versions(gone))
    }
}

impl DestroySecret {
    async fn find(&self, view: &View, place: &Place) -> Result<Option<Secret>, Refusal> {
        let living = view.find_secret(place, &self.name.path).await?;
        match living.filter(|living| self.id.is_none_or(|id| id == living.id)) {
            Some(living) => Ok(Some(Secret::clone(&living))),
            None => find_deleted(view, place, &self.name, self.id).await,
        }
    }

    /// Refuses an empty list, which could be meant for "all", and numbers that the document does not list.
    fn check(&self, secret: &Secret) -> Result<(), Refusal> {
        let Some(named) = &self.versions else {
            return Ok(());
        };
        if named.is_empty() {
            let sentence =
                "no version is named: name some, or leave `versions` out to destroy all of them"
                    .to_owned();
            return Err(Refusal::Malformed(sentence));
        }
        let listed = named.iter().all(|number| secret.version(*number).is_some());
        listed.then_some(()).ok_or(Refusal::NotFound)
    }
}

/// The numbers of the versions that `Secret::destroy` will take.
fn doomed(secret: &Secret, named: &[u64]) -> Vec<u64> {
    let alive = secret
        .versions
        .iter()
        .filter(|entry| entry.state != State::Destroyed);
    alive
        .map(|entry| entry.number)
        .filter(|number| named.is_empty() || named.contains(number))
        .collect()
}

/// The deleted secret of a name with this id, or the newest.
async fn find_deleted(
    view: &View,
    place: &Place,
    name: &SecretName,
    id: Option<SecretId>,
) -> Result<Option<Secret>, Refusal> {
    let Some(id) = id else {
        let mut deleted = view.list_deleted_secrets(place, &name.path).await?;
        return Ok(deleted.pop());
    };
    let found = view.find_secret_by_id(place, id).await?;
    Ok(found.filter(|secret| secret.deleted_at.is_some() && secret.path == name.path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Timestamp, VersionEntry, VersionId};

    fn secret() -> Secret {
        let now = Timestamp::from_micros(1);
        let mut secret = Secret::new(
            SecretId::from_bytes([1; 16]),
            "a".parse().expect("a path"),
            now,
        );
        for number in 1..=3 {
            let entry = VersionEntry {
                number,
                id: VersionId::from_bytes([number as u8; 16]),
                state: State::Current,
                created_at: now,
                valid_until: None,
                digest: [0; 32],
            };
            secret.push_version(now, entry, Vec::new(), None);
        }
        secret
    }

    fn destroy(versions: Option<Vec<u64>>) -> DestroySecret {
        let place = crate::model::EnvironmentName {
            project: "p".parse().expect("a name"),
            environment: "e".parse().expect("a name"),
        };
        DestroySecret {
            name: SecretName {
                place,
                path: "a".parse().expect("a path"),
            },
            versions,
            id: None,
        }
    }

    #[test]
    fn only_versions_that_are_listed_are_destroyed() {
        let mut secret = secret();
        assert!(destroy(None).check(&secret).is_ok());
        assert!(destroy(Some(vec![1, 3])).check(&secret).is_ok());
        assert_eq!(
            destroy(Some(vec![1, 4])).check(&secret),
            Err(Refusal::NotFound)
        );
        assert!(matches!(
            destroy(Some(vec![])).check(&secret),
            Err(Refusal::Malformed(_))
        ));
        secret.destroy(Timestamp::from_micros(2), &[2]);
        assert_eq!(doomed(&secret, &[]), [1, 3]);
        assert_eq!(doomed(&secret, &[2, 3]), [3]);
    }
}
