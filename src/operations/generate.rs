//! Values that Coffer makes up: characters of an alphabet, each as likely as any other.
//! They are drawn inside a decision and die with it when it is made again.
//!
//! Invariant: a value has at least 128 bits, and no character is favoured (no remainder of a random byte is used).

use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::model::{Alphabet, RotationPolicy, Value};

/// Random bytes drawn at a time.
const DRAWN_BYTES: usize = 64;

/// How a value is made up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Generate {
    length: u32,
    alphabet: Alphabet,
}

impl Generate {
    /// So many characters of this alphabet; the defaults for what is not given.
    ///
    /// # Errors
    /// A sentence, when that is less than 128 bits or too long, or no alphabet.
    pub fn new(length: Option<u32>, alphabet: Option<String>) -> Result<Self, String> {
        let alphabet = alphabet.map_or_else(|| Ok(Alphabet::default()), Alphabet::try_from)?;
        let length = length.unwrap_or(Alphabet::LENGTH_DEFAULT);
        alphabet.check_length(length)?;
        Ok(Self { length, alphabet })
    }

    /// How this policy makes its values; its length was checked when it was set.
    pub(super) fn of(policy: &RotationPolicy) -> Self {
        Self {
            length: policy.length,
            alphabet: policy.alphabet.clone(),
        }
    }

    /// Characters of a value.
    pub const fn length(&self) -> u32 {
        self.length
    }

    /// What they are drawn from.
    pub const fn alphabet(&self) -> &Alphabet {
        &self.alphabet
    }

    /// Draws a value. A byte at or above the largest multiple of the alphabet's size is thrown away.
    pub(super) fn draw(&self, entropy: &dyn Entropy) -> Value {
        let characters = self.alphabet.characters();
        let length = self.length as usize;
        let usable = 256 - 256 % characters.len();
        // Never grown: a string that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(length));
        let mut drawn = Zeroizing::new([0; DRAWN_BYTES]);
        while text.len() < length {
            entropy.fill(drawn.as_mut_slice());
            let fit = drawn
                .iter()
                .map(|byte| usize::from(*byte))
                .filter(|byte| *byte < usable);
            let wanted = length - text.len();
            fit.take(wanted)
                .for_each(|byte| text.push(char::from(characters[byte % characters.len()])));
        }
        Value::text(text)
    }
}

impl Default for Generate {
    fn default() -> Self {
        Self {
            length: Alphabet::LENGTH_DEFAULT,
            alphabet: Alphabet::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    /// Counts 0, 1, 2 … 255, 0 …
    struct Counting(std::sync::atomic::AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, out: &mut [u8]) {
            for byte in out {
                *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn a_value_has_its_length_and_its_alphabet() {
        for length in [22, 63, 64, 65, 4096] {
            let generate = Generate::new(Some(length), None).expect("enough bits");
            let value = generate.draw(&SeededEntropy::new(7));
            assert_eq!(value.expose().len(), length as usize);
            assert!(value.expose().iter().all(u8::is_ascii_alphanumeric));
        }
    }

    #[test]
    fn no_character_is_favoured() {
        // 256 equally frequent bytes give each of the 62 characters exactly four times; the last eight bytes none.
        let generate = Generate::new(Some(248), None).expect("enough bits");
        let value = generate.draw(&Counting(0.into()));
        for character in generate.alphabet().characters() {
            assert_eq!(
                value
                    .expose()
                    .iter()
                    .filter(|byte| *byte == character)
                    .count(),
                4
            );
        }
    }

    #[test]
    fn weak_values_are_refused() {
        assert!(Generate::new(Some(21), None).is_err());
        assert!(Generate::new(None, Some("0123456789".to_owned())).is_err());
        assert!(Generate::new(Some(39), Some("0123456789".to_owned())).is_ok());
        assert!(Generate::new(Some(32), Some("hex".to_owned())).is_ok());
        assert!(Generate::new(Some(u32::MAX), None).is_err());
    }
}
