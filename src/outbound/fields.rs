//! The fields of a token endpoint's answer, read as providers write them: numbers as text, lists for text, extra keys.
//! RFC 6749, 5.1 and 5.2, and what is met besides.
//!
//! Invariant: a key that stands twice is seen, because two readers could take one each.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// What an answer says; keys that are not named here are passed over.
#[derive(Default)]
pub struct Fields {
    pub access_token: Loose,
    pub refresh_token: Loose,
    pub token_type: Loose,
    pub scope: Loose,
    pub expires_in: Loose,
    pub expires_at: Loose,
    pub error: Loose,
    pub ok: Loose,
    /// Whether any key of the object, named or not, stands twice.
    pub is_ambiguous: bool,
}

/// A value of whatever kind.
#[derive(Default)]
pub enum Loose {
    /// Absent, null, a list of anything else, an object.
    #[default]
    Nothing,
    Text(Zeroizing<String>),
    /// A list of texts, none of them empty.
    List(Vec<Zeroizing<String>>),
    Number(f64),
    Bool(bool),
}

impl Fields {
    /// The fields of one JSON object and nothing after it.
    pub fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    fn of_name(&mut self, name: &str) -> Option<&mut Loose> {
        Some(match name {
            "access_token" => &mut self.access_token,
            "refresh_token" => &mut self.refresh_token,
            "token_type" => &mut self.token_type,
            "scope" => &mut self.scope,
            "expires_in" => &mut self.expires_in,
            "expires_at" => &mut self.expires_at,
            "error" => &mut self.error,
            "ok" => &mut self.ok,
            _ => return None,
        })
    }
}

impl Loose {
    /// The text, unless it is empty.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// The text, unless it is empty, to be handed on.
    pub fn into_text(self) -> Option<Zeroizing<String>> {
        match self {
            Self::Text(text) => Some(text).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// The text, or a list of texts put together with spaces.
    pub fn words(&self) -> Option<String> {
        match self {
            Self::List(words) if !words.is_empty() => {
                let words: Vec<&str> = words.iter().map(|word| word.as_str()).collect();
                Some(words.join(" "))
            }
            _ => self.text().map(str::to_owned),
        }
    }

    /// The number, written as one or in digits.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        let mut seen = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            match fields.of_name(&name) {
                Some(field) => *field = map.next_value()?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
            fields.is_ambiguous |= !seen.insert(name);
        }
        Ok(fields)
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
        Ok(Loose::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Loose, E> {
        Ok(Loose::Bool(truth))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Loose, E> {
        Ok(Loose::Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Loose, E> {
        Ok(Loose::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Loose, E> {
        Ok(Loose::Number(number))
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loose, A::Error> {
        let mut words = Vec::new();
        let mut is_of_text = true;
        while let Some(part) = seq.next_element::<Loose>()? {
            match part.into_text() {
                Some(text) => words.push(text),
                None => is_of_text = false,
            }
        }
        Ok(if is_of_text {
            Loose::List(words)
        } else {
            Loose::Nothing
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Loose::Nothing)
    }
}
