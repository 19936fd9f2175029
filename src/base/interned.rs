//! What many objects have in common, kept once: texts like label keys, images and hashes, and what is put together from them.

use std::{collections::HashSet, hash::Hash, sync::Arc};

use super::observed::Container;

/// Keys and values, as they belong together.
type Labels = Arc<[(Arc<str>, Arc<str>)]>;

/// Gives the same text the same memory.
#[derive(Debug, Default)]
pub struct Interner {
    texts: HashSet<Arc<str>>,
    /// All pods of a template have the same labels.
    labels: HashSet<Labels>,
    /// Most of them have the same containers in the same state.
    containers: HashSet<Arc<[Container]>>,
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
        self.sweep();
        the_one(&mut self.labels, labels)
    }

    /// The one copy of these containers, whose texts are copies from here.
    pub fn containers(&mut self, containers: Vec<Container>) -> Arc<[Container]> {
        self.sweep();
        the_one(&mut self.containers, containers)
    }

    /// How many texts are kept.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether no text is kept.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Forgets what nobody holds, whenever all that is kept has doubled: a fixed cost each.
    fn sweep(&mut self) {
        if self.texts.len() + self.labels.len() + self.containers.len() < self.limit.max(Self::FIRST_LIMIT) {
            return;
        }
        // These hold texts.
        retain_held(&mut self.labels);
        retain_held(&mut self.containers);
        retain_held(&mut self.texts);
        self.limit = (self.texts.len() + self.labels.len() + self.containers.len()) * 2;
    }
}

fn the_one<T: Eq + Hash>(known: &mut HashSet<Arc<[T]>>, wanted: Vec<T>) -> Arc<[T]> {
    if let Some(known) = known.get(wanted.as_slice()) {
        return Arc::clone(known);
    }
    let new: Arc<[T]> = wanted.into();
    known.insert(Arc::clone(&new));
    new
}

fn retain_held<T: ?Sized>(kept: &mut HashSet<Arc<T>>)
where
    Arc<T>: Eq + Hash,
{
    kept.retain(|one| Arc::strong_count(one) > 1);
    kept.shrink_to(kept.len() * 2);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::observed::ContainerStatus;

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
    fn equal_containers_share_memory_while_somebody_holds_them() {
        let mut interner = Interner::default();
        let mut of = |restarts: i32| {
            let status = ContainerStatus { image_id: interner.of("sha256:1"), restarts, ..ContainerStatus::default() };
            let container = Container { name: interner.of("web"), status: Some(status), ..Container::default() };
            interner.containers(vec![container])
        };
        let (one, other) = (of(0), of(0));
        assert!(Arc::ptr_eq(&one, &other) && !Arc::ptr_eq(&one, &of(1)));
        for restarts in 1..10_000 {
            drop(of(restarts));
        }
        assert!(Arc::ptr_eq(&one, &of(0)) && interner.containers.len() <= Interner::FIRST_LIMIT, "{}", interner.containers.len());
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
