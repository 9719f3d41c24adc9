//! Rotation by schedule: a policy in the secret's own document, and the rotation itself, due or asked for.
//! The old value stays readable as `previous` through the grace; missed periods count once.
//!
//! Invariant: a due rotation happens once: its decision is made on the document that says it is due, and moves the date.

use super::Generate;
use super::secrets::{NextVersion, Written, find_living, new_secret, open_current};
use crate::door::{Access, Cx, Decision, KnownSecret, Operation, Place, View};
use crate::fault;
use crate::model::{
    Action, FieldName, Fields, Ref, Refusal, Resource, RotationPolicy, Secret, SecretName,
    Timestamp, Ttl,
};

/// The field of a secret that a policy makes, unless one is named.
const FIELD_DEFAULT: &str = "value";

/// `PUT /rotations/…`: makes the secret if it is absent.
pub struct SetRotation {
    /// Which secret.
    pub name: SecretName,
    /// From one rotation to the next.
    pub every: Ttl,
    /// How long the old value stays readable; a day, or half the period when that is shorter.
    pub grace: Option<Ttl>,
    /// Which field; needed when the secret has several.
    pub field: Option<FieldName>,
    /// What the new value is made of.
    pub generate: Generate,
}

/// A policy in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rotation {
    /// `project/environment/path`.
    pub path: String,
    /// The policy, every default filled in.
    pub policy: RotationPolicy,
}

impl Operation for SetRotation {
    const ACTION: Action = Action::Write;
    type Reply = Rotation;

    fn resource(&self) -> Resource<'_> {
        Resource::Secret(&self.name)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Rotation>, Refusal> {
        let place = view.place(&self.name.place).await?;
        let found = find_living(view, &place, &self.name.path).await?;
        let created = found.is_none();
        let mut secret = found.map_or_else(
            || new_secret(cx, &self.name.path),
            |known| Secret::clone(&known),
        );
        let policy = self.policy(cx.now, &secret)?;
        secret.rotation = Some(policy.clone());
        let reply = Rotation {
            path: self.name.to_string(),
            policy,
        };
        if secret.current().is_some() {
            return Decision::new(reply).put_secret(cx, &place, &secret);
        }
        let fields = first_value(cx, &reply.policy);
        let decision =
            NextVersion::seal(cx, &place, secret, &fields, None)?.put(cx, &place, reply)?;
        let created_at = Ref::listing(place.environment.id);
        Ok(if created {
            decision.status(201).touch(created_at)
        } else {
            decision
        })
    }
}

impl SetRotation {
    fn policy(&self, now: Timestamp, secret: &Secret) -> Result<RotationPolicy, Refusal> {
        let grace = grace_of(self.every, self.grace)?;
        // Without a current version there are no fields, whatever the document remembers of the last one.
        let fields = if secret.current().is_some() {
            secret.fields.as_slice()
        } else {
            &[]
        };
        Ok(RotationPolicy {
            every: self.every,
            grace,
            field: field_of(self.field.as_ref(), fields)?,
            length: self.generate.length(),
            alphabet: self.generate.alphabet().clone(),
            next_at: now.after(self.every),
            last_at: secret.rotation.as_ref().and_then(|policy| policy.last_at),
        })
    }
}

/// `GET /rotations/…`
pub struct ReadRotation {
    /// Which secret.
    pub name: SecretName,
}

impl Operation for ReadRotation {
    const ACTION: Action = Action::List;
    type Reply = Rotation;

    fn resource(&self) -> Resource<'_> {
        Resource::Secret(&self.name)
    }

    async fn decide(&self, _: &Cx<'_>, view: &View) -> Result<Decision<Rotation>, Refusal> {
        let place = view.place(&self.name.place).await?;
        let secret = view
            .find_secret(&place, &self.name.path)
            .await?
            .ok_or(Refusal::NotFound)?;
        let policy = secret.rotation.clone().ok_or(Refusal::NotFound)?;
        Ok(Decision::new(Rotation {
            path: self.name.to_string(),
            policy,
        }))
    }
}

/// `DELETE /rotations/…`: the secret stays as it is.
pub struct DeleteRotation {
    /// Which secret.
    pub name: SecretName,
}

impl Operation for DeleteRotation {
    const ACTION: Action = Action::Write;
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
        let mut secret = Secret::clone(&found);
        secret.rotation.take().ok_or(Refusal::NotFound)?;
        Decision::new(())
            .status(204)
            .put_secret(cx, &place, &secret)
    }
}

/// `POST /rotate/…`
pub struct RotateNow {
    /// Which secret.
    pub name: SecretName,
}

impl Operation for RotateNow {
    const ACTION: Action = Action::Rotate;
    type Reply = Written;

    fn resource(&self) -> Resource<'_> {
        Resource::Secret(&self.name)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Written>, Refusal> {
        let place = view.place(&self.name.place).await?;
        let secret = view
            .find_secret(&place, &self.name.path)
            .await?
            .ok_or(Refusal::NotFound)?;
        let policy = secret.rotation.clone().ok_or_else(|| {
            Refusal::Conflict(
                "no-rotation",
                "the secret has no rotation policy: set one first".to_owned(),
            )
        })?;
        let next_at = cx.now.after(policy.every);
        rotate(
            cx,
            view,
            &place,
            &self.name,
            &secret,
            RotationPolicy { next_at, ..policy },
        )
        .await
    }
}

/// A rotation by the scheduler: it happens only if the document says that it is due.
pub struct RotateDue {
    /// Which secret.
    pub name: SecretName,
}

impl Operation for RotateDue {
    const ACTION: Action = Action::Rotate;
    const ACCESS: Access = Access::System;
    type Reply = Written;

    fn resource(&self) -> Resource<'_> {
        Resource::Secret(&self.name)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Written>, Refusal> {
        let place = view.place(&self.name.place).await?;
        let secret = view
            .find_secret(&place, &self.name.path)
            .await?
            .ok_or(Refusal::NotFound)?;
        let policy = due(&secret, cx.now).cloned().ok_or_else(|| {
            Refusal::Conflict(
                "not-due",
                "the secret is not due: another node was faster, or it was set anew".to_owned(),
            )
        })?;
        let next_at = policy.next_after(cx.now);
        let decision = rotate(
            cx,
            view,
            &place,
            &self.name,
            &secret,
            RotationPolicy { next_at, ..policy },
        )
        .await?;
        fault::point("rotation decided")
            .map_err(|_| Refusal::Unavailable("a fault was injected"))?;
        Ok(decision)
    }
}

/// The policy, if it is due.
fn due(secret: &Secret, now: Timestamp) -> Option<&RotationPolicy> {
    secret
        .rotation
        .as_ref()
        .filter(|policy| policy.next_at <= now)
}

/// A new value for the policy's field; the others go over into the new version, and the old one lasts its grace.
async fn rotate(
    cx: &Cx<'_>,
    view: &View,
    place: &Place,
    name: &SecretName,
    secret: &KnownSecret,
    policy: RotationPolicy,
) -> Result<Decision<Written>, Refusal> {
    let mut fields = open_current(view, place, secret).await?;
    fields.put(policy.field.clone(), Generate::of(&policy).draw(cx.entropy));
    let valid_until = cx.now.after(policy.grace);
    let rotation = Some(RotationPolicy {
        last_at: Some(cx.now),
        ..policy
    });
    let secret = Secret {
        rotation,
        ..Secret::clone(secret)
    };
    let next = NextVersion::seal(cx, place, secret, &fields, Some(valid_until))?;
    let reply = Written::of(false, name, &next.secret, cx.now)?;
    next.put(cx, place, reply)
}

fn first_value(cx: &Cx<'_>, policy: &RotationPolicy) -> Fields {
    let mut fields = Fields::default();
    fields.put(policy.field.clone(), Generate::of(policy).draw(cx.entropy));
    fields
}

/// The grace, by default a day or half the period when that is shorter; the period must be longer.
fn grace_of(every: Ttl, grace: Option<Ttl>) -> Result<Ttl, Refusal> {
    let least = RotationPolicy::EVERY_MIN.as_seconds();
    if every < RotationPolicy::EVERY_MIN || every > Ttl::MAX {
        let most = Ttl::MAX.as_seconds();
        return Err(Refusal::Malformed(format!(
            "a rotation's period is between {least} and {most} seconds"
        )));
    }
    let half = Ttl::seconds(every.as_seconds() / 2);
    let grace = grace.unwrap_or(half.min(RotationPolicy::GRACE_DEFAULT));
    if grace >= every {
        let sentence =
            "the period must be longer than the grace: rotate less often, or shorten the grace";
        return Err(Refusal::Malformed(sentence.to_owned()));
    }
    Ok(grace)
}

/// The field to make anew: the one that is named, the only one, or `value` in a secret without any.
fn field_of(named: Option<&FieldName>, fields: &[FieldName]) -> Result<FieldName, Refusal> {
    match (named, fields) {
        (Some(named), []) => Ok(named.clone()),
        (Some(named), fields) if fields.contains(named) => Ok(named.clone()),
        (Some(_), _) => Err(Refusal::Malformed(
            "the secret has no field of that name: name one that it has".to_owned(),
        )),
        (None, [only]) => Ok(only.clone()),
        (None, []) => Ok(FIELD_DEFAULT.parse().expect("a field's name")),
        (None, _) => Err(Refusal::Malformed(
            "the secret has several fields: name the one to rotate".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_is_shorter_than_the_period() {
        let grace =
            |every, grace: Option<u64>| grace_of(Ttl::seconds(every), grace.map(Ttl::seconds)).ok();
        assert_eq!(grace(60, None), Some(Ttl::seconds(30)));
        assert_eq!(grace(30 * 86_400, None), Some(Ttl::days(1)));
        assert_eq!(grace(86_400, None), Some(Ttl::seconds(43_200)));
        assert_eq!(grace(60, Some(59)), Some(Ttl::seconds(59)));
        assert_eq!(grace(60, Some(0)), Some(Ttl::seconds(0)));
        for (every, given) in [
            (59, None),
            (60, Some(60)),
            (60, Some(61)),
            (0, None),
            (u64::MAX, None),
        ] {
            assert_eq!(grace(every, given), None, "{every} {given:?}");
        }
    }

    #[test]
    fn a_field_is_named_when_there_are_several() {
        let name = |text: &str| text.parse::<FieldName>().expect("a field");
        let (user, password) = (name("user"), name("password"));
        let both = [user.clone(), password.clone()];
        assert_eq!(field_of(None, &[]), Ok(name("value")));
        assert_eq!(field_of(Some(&user), &[]), Ok(user.clone()));
        assert_eq!(
            field_of(None, std::slice::from_ref(&password)),
            Ok(password.clone())
        );
        assert_eq!(field_of(Some(&password), &both), Ok(password));
        assert!(field_of(None, &both).is_err());
        assert!(field_of(Some(&name("other")), &both).is_err());
    }
}
