//! Making a token: for oneself or for an application, as a child or as an orphan.
//! What it may do is refused unless every list of its maker's chain contains it.
//!
//! Invariant: no refusal that binds the maker is lost: ancestors carry it, or the new token does.

use std::sync::Arc;

use super::id_of;
use crate::crypto::{PlainToken, TokenKind};
use crate::door::{Access, Bearer, Cx, Decision, Operation, View};
use crate::model::{
    Action, Grant, Lacking, Name, Principal, PrincipalId, PrincipalKind, Refusal, Resource, Scope,
    Timestamp, Token, TokenId, Ttl,
};
use crate::operations::demand;

/// The most scopes that an application is bound by.
const BINDINGS_MAX: usize = 256;

/// `POST /tokens`
pub struct CreateToken {
    /// What it may do, refusals included.
    pub scopes: Vec<Scope>,
    /// How long it lives at most; a child ends with its parent all the same.
    pub ttl: Ttl,
    /// The application it stands for, made if absent; its maker's principal without.
    pub app: Option<Name>,
    /// Without a parent, so that it outlives its maker.
    pub orphan: bool,
}

/// The new token, shown once.
pub struct CreatedToken {
    /// Its text.
    pub token: PlainToken,
    /// Its id.
    pub id: TokenId,
    /// Its scopes, with the refusals it had to take over.
    pub scopes: Arc<[Scope]>,
    /// From when on it is refused.
    pub expires_at: Timestamp,
}

impl Operation for CreateToken {
    const ACTION: Action = Action::Manage;
    const ACCESS: Access = Access::Caller;
    type Reply = CreatedToken;

    fn resource(&self) -> Resource<'_> {
        Resource::TOKENS
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<CreatedToken>, Refusal> {
        let maker = cx.caller.bearer()?;
        check_asked(&self.scopes, self.ttl)?;
        self.check_allowed(cx, maker)?;
        let parent = self.parent(cx, view, maker).await?;
        let scopes = carried(
            &maker.grant,
            &self.scopes,
            self.orphan || self.app.is_some(),
        )?;
        let (principal, changed) = self.principal(cx, view, maker).await?;
        let plain = PlainToken::generate(cx.entropy, TokenKind::App);
        let token = self.token(cx, &plain, parent, principal, scopes);
        let decision = said(&token, self.app.as_ref());
        let decision = decision.put_token(cx, &token)?;
        let decision = match changed {
            Some(principal) => decision.put_principal(cx, &principal)?,
            None => decision,
        };
        Ok(decision.with(CreatedToken {
            token: plain,
            id: token.id,
            scopes: token.scopes,
            expires_at: token.expires_at,
        }))
    }
}

impl CreateToken {
    /// What needs more than one's own token, and what nobody may give.
    fn check_allowed(&self, cx: &Cx<'_>, maker: &Bearer) -> Result<(), Refusal> {
        if self.orphan {
            demand(cx.caller, Action::Manage, &Resource::TOKENS)?;
        }
        if self.app.is_some() {
            demand(cx.caller, Action::Manage, &Resource::APPS)?;
            self.check_app(maker)?;
        }
        let given = self
            .scopes
            .iter()
            .filter(|scope| !scope.refuses())
            .all(|scope| maker.grant.contains(scope));
        given
            .then_some(())
            .ok_or(Refusal::Forbidden(Lacking::GivenScope))
    }

    /// Records name the first token's application: only who acts for it may have others act for it.
    fn check_app(&self, maker: &Bearer) -> Result<(), Refusal> {
        let is_first = |app: &Name| app.as_str() == Principal::FIRST;
        let by_itself = *maker.display == *format!("app/{}", Principal::FIRST);
        if self.app.as_ref().is_some_and(is_first) && !by_itself {
            return Err(Refusal::Forbidden(Lacking::First));
        }
        Ok(())
    }

    /// The parent, if it may have one more child.
    async fn parent<'a>(
        &self,
        cx: &Cx<'_>,
        view: &View,
        maker: &'a Bearer,
    ) -> Result<Option<&'a Token>, Refusal> {
        if self.orphan {
            return Ok(None);
        }
        if maker.token.depth >= Token::DEPTH_MAX {
            let sentence = format!(
                "a token has at most {} ancestors: let one of them make it",
                Token::DEPTH_MAX
            );
            return Err(Refusal::Conflict("token-depth", sentence));
        }
        if view.count_children(maker.token.id, cx.now).await? >= Token::CHILDREN_MAX {
            let sentence = format!(
                "a token has at most {} living children: revoke some first",
                Token::CHILDREN_MAX
            );
            return Err(Refusal::Conflict("too-many-children", sentence));
        }
        Ok(Some(&*maker.token))
    }

    /// Whom the token stands for, and the principal's document if it is made or extended.
    async fn principal(
        &self,
        cx: &Cx<'_>,
        view: &View,
        maker: &Bearer,
    ) -> Result<(PrincipalId, Option<Principal>), Refusal> {
        let Some(app) = &self.app else {
            return Ok((maker.principal, None));
        };
        let Some(found) = view.find_application(app).await? else {
            let made = Principal {
                id: PrincipalId::new(cx.now, cx.id_bytes()),
                kind: PrincipalKind::Application,
                name: app.clone(),
                bindings: self
                    .scopes
                    .iter()
                    .filter(|scope| !scope.refuses())
                    .cloned()
                    .collect(),
                created_at: cx.now,
            };
            return Ok((made.id, Some(made)));
        };
        let bindings = extended(&found.bindings, &self.scopes)?;
        let changed = bindings.map(|bindings| Principal {
            bindings,
            ..Principal::clone(&found)
        });
        Ok((found.id, changed))
    }

    fn token(
        &self,
        cx: &Cx<'_>,
        plain: &PlainToken,
        parent: Option<&Token>,
        principal: PrincipalId,
        scopes: Arc<[Scope]>,
    ) -> Token {
        let (id, mac) = id_of(cx.keys, plain);
        let asked = cx.now.after(self.ttl);
        Token {
            id,
            mac,
            principal,
            parent: parent.map(|parent| parent.id),
            depth: parent.map_or(0, |parent| parent.depth + 1),
            scopes,
            created_at: cx.now,
            expires_at: parent.map_or(asked, |parent| asked.min(parent.expires_at)),
            revoked_at: None,
        }
    }
}

/// What the record says besides who asked: which token was made, and for whom.
fn said(token: &Token, app: Option<&Name>) -> Decision<()> {
    let decision = Decision::new(()).status(201).say("coffer.token", token.id);
    match app {
        Some(app) => decision.say("coffer.app", app),
        None => decision,
    }
}

fn check_asked(scopes: &[Scope], ttl: Ttl) -> Result<(), Refusal> {
    if scopes.iter().all(Scope::refuses) {
        return Err(malformed(
            "a token needs at least one scope that allows something".to_owned(),
        ));
    }
    if scopes.len() > Token::SCOPES_MAX {
        return Err(too_many_scopes());
    }
    if ttl.as_seconds() == 0 || ttl > Ttl::MAX {
        let most = Ttl::MAX.as_seconds();
        return Err(malformed(format!(
            "a token's ttl is between 1 and {most} seconds"
        )));
    }
    Ok(())
}

/// The new token's scopes. Where the maker's own chain does not bind it (an orphan, or another principal's token), it
/// carries each refusal of that chain itself.
fn carried(maker: &Grant, asked: &[Scope], carries: bool) -> Result<Arc<[Scope]>, Refusal> {
    let mut scopes = asked.to_vec();
    for refusal in maker.refusals().filter(|_| carries) {
        if !scopes.contains(refusal) {
            scopes.push(refusal.clone());
        }
    }
    (scopes.len() <= Token::SCOPES_MAX)
        .then(|| scopes.into())
        .ok_or_else(too_many_scopes)
}

/// The bindings with those of `asked` that they lack; nothing when they lack none.
fn extended(bindings: &Arc<[Scope]>, asked: &[Scope]) -> Result<Option<Arc<[Scope]>>, Refusal> {
    let bound = Grant::new(vec![Arc::clone(bindings)]);
    let mut lacking: Vec<Scope> = Vec::new();
    for scope in asked
        .iter()
        .filter(|scope| !scope.refuses() && !bound.contains(scope))
    {
        if !lacking.contains(scope) {
            lacking.push(scope.clone());
        }
    }
    if lacking.is_empty() {
        return Ok(None);
    }
    if bindings.len() + lacking.len() > BINDINGS_MAX {
        let sentence = format!("an application has at most {BINDINGS_MAX} scopes: use wider ones");
        return Err(Refusal::Conflict("too-many-scopes", sentence));
    }
    Ok(Some(bindings.iter().cloned().chain(lacking).collect()))
}

fn too_many_scopes() -> Refusal {
    malformed(format!(
        "a token has at most {} scopes, the refusals it takes over included",
        Token::SCOPES_MAX
    ))
}

fn malformed(sentence: String) -> Refusal {
    Refusal::Malformed(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(texts: &[&str]) -> Arc<[Scope]> {
        texts
            .iter()
            .map(|text| text.parse().expect("a scope"))
            .collect()
    }

    fn texts(scopes: &[Scope]) -> Vec<&str> {
        scopes.iter().map(Scope::as_str).collect()
    }

    #[test]
    fn what_is_asked_makes_a_token() {
        let day = Ttl::days(1);
        assert!(check_asked(&scopes(&["read:a/**"]), day).is_ok());
        assert!(check_asked(&scopes(&["!read:a/**", "read:a/b"]), day).is_ok());
        assert!(check_asked(&[], day).is_err());
        assert!(check_asked(&scopes(&["!read:a/**"]), day).is_err());
        assert!(check_asked(&scopes(&["read:a"]), Ttl::seconds(0)).is_err());
        assert!(check_asked(&scopes(&["read:a"]), Ttl::seconds(u64::MAX)).is_err());
        assert!(check_asked(&scopes(&["read:a"; 65]), day).is_err());
    }

    #[test]
    fn refusals_are_never_left_behind() {
        let maker = Grant::new(vec![
            scopes(&["read:**", "!read:a/root/**"]),
            scopes(&["read:**", "!read:b/**", "!read:a/root/**"]),
        ]);
        let asked = scopes(&["read:a/**", "!read:b/**"]);
        let orphan = carried(&maker, &asked, true).expect("few scopes");
        assert_eq!(
            texts(&orphan),
            ["read:a/**", "!read:b/**", "!read:a/root/**"]
        );
        let child = carried(&maker, &asked, false).expect("few scopes");
        assert_eq!(texts(&child), ["read:a/**", "!read:b/**"]);
        let full = scopes(&["read:a/x"; 64]);
        assert!(carried(&maker, &full, false).is_ok());
        assert!(carried(&maker, &full, true).is_err());
    }

    #[test]
    fn an_application_gains_only_what_it_lacks() {
        let bound = scopes(&["read:a/**", "!read:a/root"]);
        assert_eq!(
            extended(&bound, &scopes(&["read:a/b", "!read:c"])),
            Ok(None)
        );
        let more =
            extended(&bound, &scopes(&["write:a/b", "read:a/c", "write:a/b"])).expect("few scopes");
        assert_eq!(
            texts(&more.expect("one lacks")),
            ["read:a/**", "!read:a/root", "write:a/b"]
        );
        let many: Vec<String> = (0..300).map(|number| format!("read:p/e{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(extended(&bound, &scopes(&many)).is_err());
    }
}
