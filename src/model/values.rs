//! A version's fields while they are in memory, and their one encoding under the data key.
//! Values wipe themselves on drop, and only `expose` opens them.
//!
//! Invariant: decode accepts exactly what encode makes, so that a version has one spelling.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::FieldName;

/// A field's value, at most [`Fields::VALUE_BYTES_MAX`] bytes. It cannot be matched on: only `expose` opens it.
pub struct Value(Content);

enum Content {
    Text(Zeroizing<String>),
    Bytes(Zeroizing<Vec<u8>>),
}

impl Value {
    /// UTF-8 text.
    pub const fn text(text: Zeroizing<String>) -> Self {
        Self(Content::Text(text))
    }

    /// Bytes that need not be text.
    pub const fn bytes(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(Content::Bytes(bytes))
    }

    /// The bytes of the value.
    pub fn expose(&self) -> &[u8] {
        match &self.0 {
            Content::Text(text) => text.as_bytes(),
            Content::Bytes(bytes) => bytes,
        }
    }

    /// The text, or else the bytes, to be handed on.
    pub fn expose_owned(self) -> Result<Zeroizing<String>, Zeroizing<Vec<u8>>> {
        match self.0 {
            Content::Text(text) => Ok(text),
            Content::Bytes(bytes) => Err(bytes),
        }
    }

    /// Another one of the same content, which wipes itself as well.
    #[must_use]
    pub fn copy(&self) -> Self {
        match &self.0 {
            Content::Text(text) => Self::text(Zeroizing::new(text.as_str().to_owned())),
            Content::Bytes(bytes) => Self::bytes(Zeroizing::new(bytes.to_vec())),
        }
    }
}

/// The fields of one version.
#[derive(Default)]
pub struct Fields(BTreeMap<FieldName, Value>);

impl Fields {
    /// The most bytes of one value.
    pub const VALUE_BYTES_MAX: usize = 64 * 1024;
    /// The most bytes of all values and names of a version.
    pub const VERSION_BYTES_MAX: usize = 512 * 1024;
    /// The most fields of a version.
    pub const COUNT_MAX: usize = 256;

    /// Puts a field, in place of the one of that name.
    pub fn put(&mut self, name: FieldName, value: Value) {
        self.0.insert(name, value);
    }

    /// Takes a field out.
    pub fn take(&mut self, name: &FieldName) -> Option<Value> {
        self.0.remove(name)
    }

    /// Takes a field away.
    pub fn remove(&mut self, name: &FieldName) {
        self.0.remove(name);
    }

    /// The field of this name.
    pub fn find(&self, name: &FieldName) -> Option<&Value> {
        self.0.get(name)
    }

    /// Fields in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&FieldName, &Value)> {
        self.0.iter()
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The limit that is passed, as a sentence.
    pub fn check_limits(&self) -> Result<(), String> {
        if self.0.len() > Self::COUNT_MAX {
            return Err(format!("a secret has at most {} fields", Self::COUNT_MAX));
        }
        if let Some((name, _)) = self
            .0
            .iter()
            .find(|(_, value)| value.expose().len() > Self::VALUE_BYTES_MAX)
        {
            return Err(format!("the field {name} has more than 64 KiB"));
        }
        if self.encoded_bytes() > Self::VERSION_BYTES_MAX {
            return Err("the fields of one version have more than 512 KiB together".to_owned());
        }
        Ok(())
    }

    /// `1`, then for each field: name length u8, name, kind u8 (0 text, 1 bytes), value length u32, value; big-endian.
    pub fn expose_encoded(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(self.encoded_bytes()));
        out.push(1);
        for (name, value) in &self.0 {
            let bytes = value.expose();
            out.push(
                u8::try_from(name.as_str().len()).expect("a field's name has at most 128 bytes"),
            );
            out.extend_from_slice(name.as_str().as_bytes());
            out.push(u8::from(matches!(value.0, Content::Bytes(_))));
            let length = u32::try_from(bytes.len()).expect("a value has at most 64 KiB");
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(bytes);
        }
        out
    }

    /// The fields that [`Self::expose_encoded`] wrote; `None` for any other bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&1, mut rest) = bytes.split_first()? else {
            return None;
        };
        let mut fields = Self::default();
        while !rest.is_empty() {
            let name = take(&mut rest, 1).and_then(|n| take(&mut rest, usize::from(n[0])))?;
            let name: FieldName = std::str::from_utf8(name).ok()?.parse().ok()?;
            let kind = take(&mut rest, 1)?[0];
            let length = u32::from_be_bytes(take(&mut rest, 4)?.try_into().ok()?);
            let bytes = take(&mut rest, usize::try_from(length).ok()?)?;
            let value = match kind {
                0 => Value::text(Zeroizing::new(std::str::from_utf8(bytes).ok()?.to_owned())),
                1 => Value::bytes(Zeroizing::new(bytes.to_vec())),
                _ => return None,
            };
            if fields
                .0
                .last_key_value()
                .is_some_and(|(last, _)| *last >= name)
            {
                return None;
            }
            fields.0.insert(name, value);
        }
        Some(fields)
    }

    fn encoded_bytes(&self) -> usize {
        1 + self
            .0
            .iter()
            .map(|(name, value)| 6 + name.as_str().len() + value.expose().len())
            .sum::<usize>()
    }
}

impl IntoIterator for Fields {
    type Item = (FieldName, Value);
    type IntoIter = std::collections::btree_map::IntoIter<FieldName, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn one_spelling(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(fields) = Fields::decode(&bytes) {
                prop_assert_eq!(&fields.expose_encoded()[..], &bytes[..]);
            }
        }

        #[test]
        fn what_was_encoded_is_decoded(pairs in prop::collection::btree_map("[a-z]{1,8}", prop::collection::vec(any::<u8>(), 0..32), 0..6)) {
            let mut fields = Fields::default();
            for (name, bytes) in &pairs {
                fields.put(name.parse().expect("a field"), Value::bytes(Zeroizing::new(bytes.clone())));
            }
            let again = Fields::decode(&fields.expose_encoded()).expect("its own encoding");
            prop_assert_eq!(again.expose_encoded().to_vec(), fields.expose_encoded().to_vec());
        }
    }
}
