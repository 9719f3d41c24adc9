//! The first start: the world, the keys, the cluster's document, the first principal and token, and the first records.
//! All of it is one transaction, and a database that holds a cluster already refuses it.
//!
//! Invariant: the first token leaves here once, as a value; it is never stored or logged.

use std::sync::Arc;

use coffer_audit_log::{Checkpoint, Frontier, signed_note};

use super::authenticate::token_id;
use super::decision::Learned;
use super::draft::{Draft, DraftRecord};
use super::history::{Point, Relied};
use super::segments::{Gathering, Packer};
use super::shared::Shared;
use super::start::{StartError, id_bytes, verifier};
use super::state_dir::StateDir;
use super::{Caller, Cx, Decision, RequestId};
use crate::clock::Clock;
use crate::crypto::{Keyring, PlainToken, RootKey, TokenKind};
use crate::entropy::Entropy;
use crate::model::{
    Action, BootId, Cluster, ClusterId, KeyKind, KeyRow, MaybeChanges, Name, Principal,
    PrincipalId, PrincipalKind, Ref, Resource, Scope, StreamEntry, StreamId, StreamRow, Token, Ttl,
    WorldRow,
};
use crate::store::{SCHEMA, Store};

/// What a cluster is founded with.
pub struct Founding<'a> {
    /// The database, migrated.
    pub store: &'a Store,
    /// The cluster's id, which the seal may have been made for.
    pub cluster: ClusterId,
    /// The root key.
    pub root: RootKey,
    /// What the seal needs to find the root key again; stored beside the keys.
    pub seal: Vec<u8>,
    /// What time it is.
    pub clock: &'a Clock,
    /// Where random bytes come from.
    pub entropy: &'a dyn Entropy,
    /// Where this node keeps its own.
    pub state_dir: &'a StateDir,
    /// The name of the first node.
    pub node: Name,
    /// How long the first token lives.
    pub ttl: Ttl,
}

/// Everything that anybody may do: what the application `root` and the first token are bound to.
pub(crate) fn everything() -> Arc<[Scope]> {
    let actions: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
    let actions = actions.join(",");
    [format!("{actions}:**"), format!("{actions}:sys/**")]
        .iter()
        .map(|scope| {
            scope
                .parse()
                .expect("every action on everything is a scope")
        })
        .collect()
}

/// Founds a cluster and gives its first token.
///
/// # Errors
/// There is one already, or the store refused; nothing was changed.
pub async fn found(founding: Founding<'_>) -> Result<PlainToken, StartError> {
    let cluster = founding.cluster;
    let (keys, wrapped) = Keyring::generate(founding.entropy, founding.root, cluster)
        .map_err(|_| StartError("The cluster's keys could not be made.".to_owned()))?;
    let now = founding.clock.now();
    let boot = BootId::new(now, id_bytes(founding.entropy));
    let stream = StreamId::new(now, id_bytes(founding.entropy));
    let caller = Caller::System("init");
    let cx = Cx {
        now,
        entropy: founding.entropy,
        keys: &keys,
        caller: &caller,
    };
    let (plain, decision) = first_decision(&cx, (stream, &founding.node), founding.ttl)?;
    let (mut changes, digest) = (decision.changes, decision.digest);
    changes.keys.extend(wrapped);
    changes.keys.push(KeyRow {
        kind: KeyKind::Seal,
        environment: [0; 16],
        term: 1,
        wrapped: founding.seal,
    });
    let drafts = [
        draft(
            &cx,
            boot,
            0,
            ("streams", Action::Audit, Resource::STREAMS),
            None,
            MaybeChanges::default(),
        ),
        draft(
            &cx,
            boot,
            1,
            ("init", Action::Manage, Resource::TOKENS),
            digest,
            changes.clone(),
        ),
    ];
    let mut gathering = Gathering::new(stream, &Frontier::new(), now, founding.entropy);
    for draft in &drafts {
        gathering.push(draft).map_err(|error| {
            StartError(format!("The first record could not be written ({error})."))
        })?;
    }
    let tree = gathering.tree.clone();
    let sealing = |_| StartError("The first segment could not be sealed.".to_owned());
    let segment = gathering
        .seal(&keys, founding.entropy, 1, &mut Packer::new())
        .map_err(sealing)?;
    let verifier = verifier(&keys, cluster)?;
    let checkpoint = Checkpoint {
        origin: Shared::origin(cluster, stream),
        size: tree.size(),
        root: tree.root(),
    };
    let text = checkpoint.text();
    let head = signed_note(
        &text,
        verifier.name(),
        verifier.id(),
        &keys.signer().sign(text.as_bytes()),
    );
    changes.stream = Some(Box::new(StreamRow {
        id: stream,
        owner: boot,
        epoch: 1,
        beat: 0,
        size: tree.size(),
        frontier: tree.to_bytes(),
        head,
    }));
    changes.touched.sort_unstable();
    changes.touched.dedup();
    let refs: Vec<u8> = changes
        .touched
        .iter()
        .flat_map(|at| *at.as_bytes())
        .collect();
    let mut nonce = [0; 16];
    founding.entropy.fill(&mut nonce);
    let mark = keys.mark_mac().mark(&[0; 32], 1, &nonce, &refs);
    let world = WorldRow {
        cluster,
        seq: 1,
        mark,
        prev: [0; 32],
        schema: SCHEMA,
    };
    if !founding
        .store
        .found(&world, nonce, &changes, &segment)
        .await?
    {
        return Err(StartError(
            "This database already holds a cluster; start it with `coffer-server serve`."
                .to_owned(),
        ));
    }
    let kept = founding
        .state_dir
        .keep_node(&founding.node)
        .and_then(|()| founding.state_dir.keep_boot(boot));
    kept.map_err(|error| {
        StartError(format!(
            "The state directory cannot be written ({error}); check its owner and mode."
        ))
    })?;
    Ok(plain)
}

fn first_decision(
    cx: &Cx<'_>,
    (stream, node): (StreamId, &Name),
    ttl: Ttl,
) -> Result<(PlainToken, Decision<()>), StartError> {
    let principal = Principal {
        id: PrincipalId::new(cx.now, cx.id_bytes()),
        kind: PrincipalKind::Application,
        name: Principal::FIRST.parse().expect("it is a name"),
        bindings: everything(),
        created_at: cx.now,
    };
    let plain = PlainToken::generate(cx.entropy, TokenKind::Root);
    let mac = *cx.keys.token_mac().hash(&plain).bytes();
    let token = Token {
        id: token_id(&mac),
        mac,
        principal: principal.id,
        parent: None,
        depth: 0,
        scopes: everything(),
        created_at: cx.now,
        expires_at: cx.now.after(ttl),
        revoked_at: None,
    };
    let cluster = Cluster {
        streams: vec![StreamEntry {
            id: stream,
            node: node.clone(),
        }],
        created_at: cx.now,
    };
    let sealed = Decision::new(())
        .put_token(cx, &token)
        .and_then(|decision| decision.put_principal(cx, &principal))
        .and_then(|decision| decision.put_cluster(cx, &cluster));
    let decision =
        sealed.map_err(|_| StartError("The first documents could not be sealed.".to_owned()))?;
    Ok((plain, decision.touch(Ref::PLACES)))
}

fn draft(
    cx: &Cx<'_>,
    boot: BootId,
    counter: u64,
    (part, action, resource): (&'static str, Action, Resource<'_>),
    digest: Option<[u8; 32]>,
    changes: MaybeChanges,
) -> Draft {
    let id = RequestId {
        boot: boot.uuid().as_u64_pair().0,
        counter,
    };
    Draft {
        record: Box::new(DraftRecord {
            id,
            time: cx.now,
            principal: Some(format!("system/{part}").into()),
            token: None,
            source: None,
            user_agent: None,
            action: action.as_str(),
            resource: resource.to_string(),
            version: None,
            allowed: true,
            scope: None,
            status: 201,
            code: "ok",
            metadata: None,
            digest,
        }),
        relied: Relied {
            point: Point {
                generation: 0,
                seq: 0,
            },
            refs: Vec::new(),
            ahead: Vec::new(),
        },
        changes,
        learned: Learned::default(),
    }
}
