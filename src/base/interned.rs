//! Texts that many objects have in common, kept once: label keys, images, hashes.

use std::{collections::HashSet, sync::Arc};

/// Keys and values, as they belong together.
type Labels = Arc<[(Arc<str>, Arc<str>)]>;

/// Gives the same text the same memory.
#[derive(Debug, Default)]
pub struct Interner {
    texts: HashSet<Arc<str>>,
    /// All pods of a template have the same labels.
    labels: HashSet<Labels>,
    /// How many texts there may be before those that nobody holds any more are looked for.
    limit: usize,
}

impl Interner {
    const FIRST_LIMIT: usize = 1024;

    /// The one copy of this text.
    pub fn of(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        self.sweep();
        let new: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&new));
        new
    }

    /// The one copy of these labels, whose texts are copies from here.
    pub fn labels(&mut self, labels: Vec<(Arc<str>, Arc<str>)>) -> Labels {
        if let Some(known) = self.labels.get(labels.as_slice()) {
            return Arc::clone(known);
        }
        self.sweep();
        let new: Labels = labels.into();
        self.labels.insert(Arc::clone(&new));
        new
    }

    /// How many texts are kept.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether no text is kept.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Forgets what nobody holds, whenever the number of texts and labels has doubled: a fixed cost each.
    fn sweep(&mut self) {
        if self.texts.len() + self.labels.len() < self.limit.max(Self::FIRST_LIMIT) {
            return;
        }
        // Labels hold texts.
        self.labels.retain(|labels| Arc::strong_count(labels) > 1);
        self.labels.shrink_to(self.labels.len() * 2);
        self.texts.retain(|text| Arc::strong_count(text) > 1);
        self.texts.shrink_to(self.texts.len() * 2);
        self.limit = (self.texts.len() + self.labels.len()) * 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_memory() {
        let mut interner = Interner::default();
        let (one, other) = (interner.of("web"), interner.of("web"));
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(interner.len(), 1);
    }

    #[test]
    fn equal_labels_share_memory_while_somebody_holds_them() {
        let mut interner = Interner::default();
        let mut of = |value: &str| {
            let label = (interner.of("app"), interner.of(value));
            interner.labels(vec![label])
        };
        let (one, other) = (of("web"), of("web"));
        assert!(Arc::ptr_eq(&one, &other));
        for number in 0..10_000 {
            drop(of(&number.to_string()));
        }
        assert!(Arc::ptr_eq(&one, &of("web")) && interner.labels.len() <= Interner::FIRST_LIMIT, "{}", interner.labels.len());
    }

    #[test]
    fn texts_that_nobody_holds_are_forgotten() {
        let mut interner = Interner::default();
        let kept = interner.of("kept");
        for number in 0..100_000 {
            drop(interner.of(&number.to_string()));
        }
        assert!(interner.len() <= Interner::FIRST_LIMIT + 1, "{}", interner.len());
        assert!(Arc::ptr_eq(&kept, &interner.of("kept")));
    }
}
