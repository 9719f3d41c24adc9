//! Secret bytes on their way over the wire: text, or bytes as `{"base64":"…"}` (RFC 4648 section 4, padded, strict).
//! They are wiped when dropped; what a JSON parser or an HTTP stack copied on the way is not.
//!
//! Invariant: `Debug` prints lengths only, there is no `Display`, and `expose` is the one way to the content.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use zeroize::Zeroizing;

/// Fields in one body; the server's own limit is lower.
pub const FIELDS_MAX: usize = 1024;

pub(crate) const NOT_BASE64: &str = "a value under \"base64\" is not padded standard base64";
pub(crate) const NOT_A_VALUE: &str = "a field's value is a text or {\"base64\":\"…\"}";
pub(crate) const TOO_MANY_FIELDS: &str = "there are more than 1024 fields";
pub(crate) const NAMED_TWICE: &str = "a field is named twice";

/// Secret text: a token.
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text over; it is wiped when this is dropped.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretText({} bytes)", self.0.len())
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// The value of one field.
pub enum FieldValue {
    /// A JSON string.
    Text(Zeroizing<String>),
    /// `{"base64":"…"}`.
    Bytes(Zeroizing<Vec<u8>>),
}

impl FieldValue {
    /// Takes text over.
    pub fn text(text: String) -> Self {
        Self::Text(Zeroizing::new(text))
    }

    /// Takes bytes over, as they are.
    pub fn bytes(bytes: Vec<u8>) -> Self {
        Self::Bytes(Zeroizing::new(bytes))
    }

    /// The content, byte for byte.
    pub fn expose(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// The content when it crosses the wire as text.
    pub fn expose_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bytes(_) => None,
        }
    }

    /// Bytes of content.
    pub fn len(&self) -> usize {
        self.expose().len()
    }

    /// Whether there is no content.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.expose_text().is_some() {
            "Text"
        } else {
            "Bytes"
        };
        write!(f, "FieldValue::{kind}({} bytes)", self.len())
    }
}

impl Serialize for FieldValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => {
                let encoded = Zeroizing::new(STANDARD.encode(bytes.as_slice()));
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("base64", encoded.as_str())?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// Every kind that is not listed here is refused with a text that does not repeat what was sent.
struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = FieldValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NOT_A_VALUE)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<FieldValue, E> {
        Ok(FieldValue::text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<FieldValue, E> {
        Ok(FieldValue::text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldValue, A::Error> {
        if map.next_key::<String>()?.as_deref() != Some("base64") {
            return Err(Error::custom(NOT_A_VALUE));
        }
        let encoded: SecretText = map.next_value()?;
        if map.next_key::<String>()?.is_some() {
            return Err(Error::custom(NOT_A_VALUE));
        }
        decode(encoded.expose())
            .map(FieldValue::Bytes)
            .ok_or_else(|| Error::custom(NOT_BASE64))
    }
}

/// Strict: padding must be there and canonical, trailing bits must be zero, nothing else may stand in between.
/// The buffer has its full size from the start, so that no copy is left behind by growing.
fn decode(encoded: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(encoded.len())]);
    let length = STANDARD.decode_slice(encoded, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

/// Named values, at most [`FIELDS_MAX`], none named twice.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Fields(pub BTreeMap<String, FieldValue>);

/// Named values of a `PATCH`; `None` removes the field.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub struct FieldPatches(pub BTreeMap<String, Option<FieldValue>>);

macro_rules! named_values {
    ($name:ident, $value:ty) => {
        impl Deref for $name {
            type Target = BTreeMap<String, $value>;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        impl DerefMut for $name {
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.0
            }
        }

        impl FromIterator<(String, $value)> for $name {
            fn from_iter<I: IntoIterator<Item = (String, $value)>>(entries: I) -> Self {
                Self(entries.into_iter().collect())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                named(deserializer).map(Self)
            }
        }
    };
}

named_values!(Fields, FieldValue);
named_values!(FieldPatches, Option<FieldValue>);

/// A map in which no key comes twice, where serde's own would let the last one win.
pub(crate) fn named<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    deserializer.deserialize_map(NamedVisitor(std::marker::PhantomData))
}

struct NamedVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
    type Value = BTreeMap<String, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, T>()? {
            if values.len() == FIELDS_MAX {
                return Err(Error::custom(TOO_MANY_FIELDS));
            }
            if values.insert(name, value).is_some() {
                return Err(Error::custom(NAMED_TWICE));
            }
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Result<FieldValue, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn text_and_bytes_survive_the_wire() {
        for json in [
            r#""a\u0000é""#,
            r#"{"base64":"AP8="}"#,
            r#"{"base64":""}"#,
            r#""""#,
        ] {
            let first = value(json).expect("a value");
            let again = value(&serde_json::to_string(&first).expect("JSON")).expect("a value");
            assert_eq!(first.expose(), again.expose(), "{json}");
        }
        assert_eq!(
            value(r#"{"base64":"AP8="}"#).expect("a value").expose(),
            [0, 255]
        );
    }

    #[test]
    fn only_strict_base64_is_taken() {
        for bad in ["AP8", "AP9=", "A_8=", "AP8=\\n", "AP8==", "=", " AP8="] {
            let json = format!(r#"{{"base64":"{bad}"}}"#);
            assert!(value(&json).is_err(), "{bad}");
        }
        for bad in [
            "1",
            "null",
            "[]",
            "{}",
            r#"{"b64":""}"#,
            r#"{"base64":"","x":1}"#,
            r#"{"base64":1}"#,
        ] {
            assert!(value(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_prints_the_content() {
        let fields: Fields =
            serde_json::from_str(r#"{"a":"hunter2","b":{"base64":"aHVudGVyMg=="}}"#)
                .expect("fields");
        let token = SecretText::new("hunter2".into());
        let printed = format!("{fields:?} {token:?}");
        assert!(
            !printed.contains("hunter2") && !printed.contains("104"),
            "{printed}"
        );
        assert!(printed.contains("7 bytes"), "{printed}");
    }

    #[test]
    fn a_field_named_twice_is_refused_and_null_removes_only_in_a_patch() {
        assert!(serde_json::from_str::<Fields>(r#"{"a":"1","a":"2"}"#).is_err());
        assert!(serde_json::from_str::<Fields>(r#"{"a":null}"#).is_err());
        let patch: FieldPatches = serde_json::from_str(r#"{"a":null,"b":"x"}"#).expect("a patch");
        assert!(patch["a"].is_none() && patch["b"].is_some());
    }
}
