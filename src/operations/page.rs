//! How much of a list is answered at once.
//! A client asks for at most so many; a page may hold fewer and still have another after it.
//!
//! Invariant: a page holds between one and [`PageSize::MAX`] items.

/// The most items of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageSize(u32);

impl PageSize {
    /// Items of a page, whatever more is asked for.
    pub const MAX: u32 = 100;

    /// At most `items`, and never more than [`Self::MAX`]; nothing for zero.
    pub fn at_most(items: u32) -> Option<Self> {
        (items > 0).then(|| Self(items.min(Self::MAX)))
    }

    /// The number of items.
    pub const fn items(self) -> u32 {
        self.0
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(Self::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_bounded_on_both_sides() {
        assert_eq!(PageSize::at_most(0), None);
        assert_eq!(PageSize::at_most(1).map(PageSize::items), Some(1));
        assert_eq!(PageSize::at_most(500), Some(PageSize::default()));
    }
}
