//! Documents to rows and back: each sealed under its kind, place, id and name, in the newest format.
//! A row that does not open exactly so is no document.
//!
//! Invariant: `open` never gives a document under another id, name or space than it was sealed for.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{Cx, Lease, Place};
use crate::crypto::{CryptoError, DocumentContext, Keyring};
use crate::model::{
    Cluster, Connection, DocumentKind, DocumentRow, Environment, EnvironmentId, Principal, Project,
    ProjectId, Receipt, Secret, Timestamp, Token,
};

/// The format that is written; older ones would be read beside it.
const FORMAT: u32 = 1;
/// The space of documents that belong to the cluster itself.
pub(super) const NO_SPACE: [u8; 16] = [0; 16];
/// The id of the cluster's own document.
pub(super) const CLUSTER_ID: [u8; 16] = [0; 16];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<T> {
    format: u32,
    document: T,
}

/// Where a document belongs: project and environment of its context.
#[derive(Clone, Copy, Default)]
pub(super) struct Within {
    pub(super) project: Option<ProjectId>,
    pub(super) environment: Option<EnvironmentId>,
}

impl Within {
    /// The place of what an environment holds.
    pub(super) fn of(place: &Place) -> Self {
        Self {
            project: Some(place.project.id),
            environment: Some(place.environment.id),
        }
    }
}

/// A row to be sealed.
struct Unsealed<'a> {
    kind: DocumentKind,
    within: Within,
    id: [u8; 16],
    space: [u8; 16],
    /// As looked up; the sealed name may differ from it only in case.
    name: String,
    sealed_name: &'a str,
    grave: bool,
    due: Option<Timestamp>,
}

fn seal<T: Serialize>(
    cx: &Cx<'_>,
    row: Unsealed<'_>,
    document: &T,
) -> Result<DocumentRow, CryptoError> {
    let plain = encode(document)?;
    let context = DocumentContext {
        kind: row.kind,
        project: row.within.project,
        environment: row.within.environment,
        id: row.id,
        name: row.sealed_name,
    };
    let sealed = cx.keys.seal_document(cx.entropy, &context, &plain)?;
    Ok(DocumentRow {
        kind: row.kind,
        id: row.id,
        space: row.space,
        name: row.name,
        grave: if row.grave {
            row.id.to_vec()
        } else {
            Vec::new()
        },
        due: row.due,
        sealed,
    })
}

/// Opens a row's document, sealed under `name`.
pub(super) fn open<T: DeserializeOwned>(
    keys: &Keyring,
    row: &DocumentRow,
    within: Within,
    name: &str,
) -> Result<T, CryptoError> {
    let context = DocumentContext {
        kind: row.kind,
        project: within.project,
        environment: within.environment,
        id: row.id,
        name,
    };
    let plain = keys.open_document(&context, &row.sealed)?;
    decode(plain.expose())
}

/// A document as it is sealed.
pub(super) fn encode<T: Serialize>(document: &T) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let written = Written {
        format: FORMAT,
        document,
    };
    let plain = serde_json::to_vec(&written);
    plain.map(Zeroizing::new).map_err(|_| CryptoError)
}

/// What was sealed, as a document of a known format.
pub(super) fn decode<T: DeserializeOwned>(plain: &[u8]) -> Result<T, CryptoError> {
    let written: Written<T> = serde_json::from_slice(plain).map_err(|_| CryptoError)?;
    (written.format == FORMAT)
        .then_some(written.document)
        .ok_or(CryptoError)
}

pub(super) fn secret(
    cx: &Cx<'_>,
    place: &Place,
    secret: &Secret,
) -> Result<DocumentRow, CryptoError> {
    // The path is sealed folded: both spellings lead to one row, and the document says which one was written.
    let name = secret.path.folded();
    let row = Unsealed {
        kind: DocumentKind::Secret,
        within: Within::of(place),
        id: *secret.id.as_bytes(),
        space: *place.environment.id.as_bytes(),
        name: name.clone(),
        sealed_name: &name,
        grave: secret.deleted_at.is_some(),
        due: due_of(secret),
    };
    seal(cx, row, secret)
}

/// When a secret's document wants attention: while it lives, at its next rotation.
pub(super) fn due_of(secret: &Secret) -> Option<Timestamp> {
    secret
        .rotation
        .as_ref()
        .filter(|_| secret.deleted_at.is_none())
        .map(|policy| policy.next_at)
}

pub(super) fn connection(
    cx: &Cx<'_>,
    place: &Place,
    connection: &Connection,
) -> Result<DocumentRow, CryptoError> {
    let name = connection.path.folded();
    let row = Unsealed {
        kind: DocumentKind::Connection,
        within: Within::of(place),
        id: *connection.id.as_bytes(),
        space: *place.environment.id.as_bytes(),
        name: name.clone(),
        sealed_name: &name,
        grave: false,
        due: connection.due(),
    };
    seal(cx, row, connection)
}

pub(super) fn token(cx: &Cx<'_>, token: &Token) -> Result<DocumentRow, CryptoError> {
    let row = Unsealed {
        kind: DocumentKind::Token,
        within: Within::default(),
        id: *token.id.as_bytes(),
        space: token.parent.map_or(NO_SPACE, |parent| *parent.as_bytes()),
        name: token.id.to_string(),
        sealed_name: "",
        grave: token.revoked_at.is_some(),
        due: Some(token.died_at()),
    };
    seal(cx, row, token)
}

pub(super) fn principal(cx: &Cx<'_>, principal: &Principal) -> Result<DocumentRow, CryptoError> {
    plain(
        cx,
        DocumentKind::Principal,
        *principal.id.as_bytes(),
        principal.name.as_str(),
        principal,
    )
}

pub(super) fn project(cx: &Cx<'_>, project: &Project) -> Result<DocumentRow, CryptoError> {
    plain(
        cx,
        DocumentKind::Project,
        *project.id.as_bytes(),
        project.name.as_str(),
        project,
    )
}

pub(super) fn environment(
    cx: &Cx<'_>,
    environment: &Environment,
) -> Result<DocumentRow, CryptoError> {
    let row = Unsealed {
        kind: DocumentKind::Environment,
        within: Within {
            project: Some(environment.project),
            environment: None,
        },
        id: *environment.id.as_bytes(),
        space: *environment.project.as_bytes(),
        name: environment.name.to_string(),
        sealed_name: environment.name.as_str(),
        grave: false,
        due: None,
    };
    seal(cx, row, environment)
}

pub(super) fn cluster(cx: &Cx<'_>, cluster: &Cluster) -> Result<DocumentRow, CryptoError> {
    plain(cx, DocumentKind::Cluster, CLUSTER_ID, "", cluster)
}

pub(super) fn lease(cx: &Cx<'_>, lease: &Lease) -> Result<DocumentRow, CryptoError> {
    plain(
        cx,
        DocumentKind::Lease,
        *lease.id.as_bytes(),
        &lease.name,
        lease,
    )
}

pub(super) fn receipt(cx: &Cx<'_>, receipt: &Receipt) -> Result<DocumentRow, CryptoError> {
    let row = Unsealed {
        kind: DocumentKind::Receipt,
        within: Within::default(),
        id: *receipt.id.as_bytes(),
        space: NO_SPACE,
        name: receipt.id.to_string(),
        sealed_name: "",
        grave: false,
        due: Some(receipt.until),
    };
    seal(cx, row, receipt)
}

/// A document that belongs to the cluster itself, found by its plain name.
fn plain<T: Serialize>(
    cx: &Cx<'_>,
    kind: DocumentKind,
    id: [u8; 16],
    name: &str,
    document: &T,
) -> Result<DocumentRow, CryptoError> {
    let row = Unsealed {
        kind,
        within: Within::default(),
        id,
        space: NO_SPACE,
        name: name.to_owned(),
        sealed_name: name,
        grave: false,
        due: None,
    };
    seal(cx, row, document)
}

/// How an operator finds a row again: kind, id and name.
pub(super) fn name_of(row: &DocumentRow) -> String {
    format!(
        "{} {} ({})",
        row.kind.as_str(),
        hex(&row.id),
        row.name.escape_default()
    )
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
