//! Secrets as they are written, read, listed, and as their history is told.
//! Of all replies only [`Secret`] carries values.
//!
//! Invariant: `path` is the whole resource, `project/environment/path`, in its decoded form.

use crate::values::named;
use crate::{FieldPatches, Fields};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `PUT /secrets/…`: the new version holds these fields and no others.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PutSecret {
    /// Given values.
    #[serde(default)]
    pub fields: Fields,
    /// Fields that the server makes up; none of them is in `fields`.
    #[serde(
        default,
        deserialize_with = "named",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub generate: BTreeMap<String, Generate>,
}

/// `PATCH /secrets/…`: the new version keeps the fields that are not named.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PatchSecret {
    /// Given values; `None` (`null` on the wire) removes the field.
    #[serde(default)]
    pub fields: FieldPatches,
    /// Fields that the server makes up; none of them is in `fields`.
    #[serde(
        default,
        deserialize_with = "named",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub generate: BTreeMap<String, Generate>,
}

/// How a value is made up.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// Characters.
    pub length: u32,
    /// The characters to choose from; the server's default without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alphabet: Option<String>,
}

/// The answer to a write, 201 when it made the secret; also to `undelete` and `rotate`. Never the value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct WrittenSecret {
    /// `project/environment/path`.
    pub path: String,
    /// The version it speaks of.
    pub version: u64,
    /// That version's state.
    pub state: VersionState,
    /// RFC 3339, of that version.
    pub created_at: String,
}

/// `GET /secrets/…`: one version with its values.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Secret {
    /// `project/environment/path`.
    pub path: String,
    /// Which version this is.
    pub version: u64,
    /// Its state.
    pub state: VersionState,
    /// Its values, or those that `?fields=` named.
    pub fields: Fields,
    /// RFC 3339, of this version.
    pub created_at: String,
    /// RFC 3339; when the next rotation is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotates_at: Option<String>,
    /// RFC 3339; until when a previous version stays readable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
}

/// Where a version is in its life: `pending → current → previous → retired → destroyed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum VersionState {
    /// Written, not yet what readers get.
    Pending,
    /// What readers get.
    Current,
    /// Replaced, and readable until its `valid_until`.
    Previous,
    /// Replaced; read by number only.
    Retired,
    /// Its value is gone.
    Destroyed,
}

impl VersionState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Retired => "retired",
            Self::Destroyed => "destroyed",
        }
    }
}

/// `GET /secrets/{p}/{e}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SecretList {
    /// By path.
    pub items: Vec<SecretEntry>,
    /// What lies below, `project/environment/folder/` each; absent from a recursive list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
    /// Present when there is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// One secret in a list, without values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SecretEntry {
    /// `project/environment/path`.
    pub path: String,
    /// The newest version.
    pub version: u64,
    /// That version's state.
    pub state: VersionState,
    /// RFC 3339, of the secret.
    pub created_at: String,
    /// RFC 3339, of its last change.
    pub updated_at: String,
    /// RFC 3339; when the next rotation is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotates_at: Option<String>,
}

/// `GET /history/…`: every version of the secret of that name, and the deleted ones that had it before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct History {
    /// `project/environment/path`.
    pub path: String,
    /// The secret that has the name now; absent when only deleted ones had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Oldest first.
    pub versions: Vec<VersionEntry>,
    /// Newest deletion first.
    #[serde(default)]
    pub deleted: Vec<DeletedSecret>,
}

/// One version in a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct VersionEntry {
    /// Its number.
    pub version: u64,
    /// Its state.
    pub state: VersionState,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; until when a previous version stays readable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
}

/// A deleted secret that had the name, and that `undelete` and `destroy` take by its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DeletedSecret {
    /// Its id.
    pub id: String,
    /// RFC 3339.
    pub deleted_at: String,
    /// Oldest first.
    pub versions: Vec<VersionEntry>,
}

/// `POST /undelete/…`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UndeleteSecret {
    /// Which deleted one; the newest without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// `POST /destroy/…`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DestroySecret {
    /// Which versions; all of them when the key is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<Vec<u64>>,
    /// A deleted secret; the one that has the name now without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// The answer to `POST /destroy/…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DestroyedVersions {
    /// `project/environment/path`.
    pub path: String,
    /// The secret's id.
    pub id: String,
    /// The versions that are gone by this request.
    pub versions: Vec<u64>,
}
