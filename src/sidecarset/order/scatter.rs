//! Pods with certain labels, spread over the whole rollout. (Reference: `pkg/util/updatesort`, `pkg/controller/sidecarset`.)

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use crate::{
    base::{observed::Pod, selector::Labels},
    sidecarset::api::ScatterTerm,
};

/// Labels whose pods are spread, as key and value; the value `*` stands for each value that there is.
#[derive(Clone, Debug, Default)]
pub(super) struct Scatter(Vec<(String, String)>);

impl Scatter {
    /// Reads the terms of a strategy.
    pub(super) fn compile(terms: &[ScatterTerm]) -> Self {
        Self(terms.iter().map(|term| (term.key.clone(), term.value.clone())).collect())
    }

    /// The waiting positions, with the pods of each term in turn spread among the others.
    ///
    /// Costs a pass over the waiting pods for each value that several of them share; no other value moves anything.
    pub(super) fn spread(&self, all: &[&Pod], mut waiting: Vec<usize>) -> Vec<usize> {
        if self.0.is_empty() || waiting.len() <= 1 {
            return waiting;
        }
        let (columns, terms) = self.expand(all);
        let columns: Vec<_> = columns.into_iter().map(|column| column.count(&waiting)).collect();
        for term in strongest_first(terms, &columns) {
            let Some(column) = columns.get(term.column) else { continue };
            let is_match = |position: usize| column.values.get(position) == Some(&term.value);
            let matching = at(&column.waiting, term.value);
            if matching > 1 && waiting.len() - matching > 1 {
                let total = at(&column.total, term.value);
                waiting = spread_term(&waiting, is_match, (total, all.len() - total));
            }
        }
        waiting
    }

    /// The terms without their stars, each once, in the order of the terms and then of the pods.
    fn expand(&self, all: &[&Pod]) -> (Vec<Column>, Vec<Term>) {
        let (mut columns, mut terms) = (Vec::new(), Vec::new());
        let (mut by_key, mut known) = (HashMap::new(), HashSet::new());
        for (key, value) in &self.0 {
            let (column, numbers) = by_key.entry(key.as_str()).or_insert_with(|| {
                let (column, numbers) = Column::read(key, all);
                columns.push(column);
                (columns.len() - 1, numbers)
            });
            let values = match (value.as_str(), columns.get(*column)) {
                ("*", Some(column)) => column.labelled().map(|(_, value)| value).collect(),
                (value, _) => vec![numbers.get(value).copied().unwrap_or(NOBODYS)],
            };
            terms.extend(values.into_iter().map(|value| Term { column: *column, value }).filter(|term| known.insert(*term)));
        }
        (columns, terms)
    }
}

/// Pods to spread: those that have this value of the key of this column.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Term {
    column: usize,
    value: usize,
}

/// A value that no pod has.
const NOBODYS: usize = usize::MAX;

/// What all pods say of one key, their values numbered. A pod without the label counts as one whose value is empty.
#[derive(Default)]
struct Column {
    /// The value of each pod.
    values: Vec<usize>,
    /// The pods that have the label itself.
    is_labelled: Vec<bool>,
    /// How many pods have each value.
    total: Vec<usize>,
    /// How many of the waiting ones.
    waiting: Vec<usize>,
    /// How many of the waiting ones that have the label itself.
    waiting_labelled: Vec<usize>,
}

impl Column {
    /// Reads one label of all pods; also the numbers of its values.
    fn read<'p>(key: &str, all: &[&'p Pod]) -> (Self, HashMap<&'p str, usize>) {
        let (mut column, mut numbers) = (Self::default(), HashMap::new());
        for pod in all {
            let value = pod.labels.label(key);
            let next = numbers.len();
            column.values.push(*numbers.entry(value.unwrap_or_default()).or_insert(next));
            column.is_labelled.push(value.is_some());
        }
        column.total = vec![0; numbers.len()];
        (column, numbers)
    }

    /// The pods that have the label itself, with their values.
    fn labelled(&self) -> impl Iterator<Item = (usize, usize)> {
        let values = self.values.iter().copied().enumerate();
        values.zip(&self.is_labelled).filter_map(|(value, is_labelled)| is_labelled.then_some(value))
    }

    fn count(mut self, waiting: &[usize]) -> Self {
        (self.waiting, self.waiting_labelled) = (self.total.clone(), self.total.clone());
        for value in &self.values {
            add_one(&mut self.total, *value);
        }
        for position in waiting {
            let Some(value) = self.values.get(*position) else { continue };
            add_one(&mut self.waiting, *value);
            if self.is_labelled.get(*position) == Some(&true) {
                add_one(&mut self.waiting_labelled, *value);
            }
        }
        self
    }
}

fn add_one(counts: &mut [usize], value: usize) {
    if let Some(count) = counts.get_mut(value) {
        *count += 1;
    }
}

fn at(counts: &[usize], value: usize) -> usize {
    counts.get(value).copied().unwrap_or_default()
}

/// Of several terms those that waiting pods match, those of more pods first.
fn strongest_first(mut terms: Vec<Term>, columns: &[Column]) -> Vec<Term> {
    if terms.len() > 1 {
        let strength = |term: &Term| columns.get(term.column).map_or(0, |column| at(&column.waiting_labelled, term.value));
        terms.retain(|term| strength(term) > 0);
        terms.sort_by_key(|term| Reverse(strength(term)));
    }
    terms
}

/// How pods that match a term and others take turns.
struct Turns {
    /// How many others go before the first turn.
    ahead: usize,
    /// How many turns there are.
    number: usize,
    /// How many that match go in each.
    matching: usize,
    /// How many others then go in each.
    others: usize,
}

impl Turns {
    /// As many turns as the fewer of the two allow.
    fn even(matching: usize, others: usize) -> Self {
        let number = matching.min(others).max(1);
        let rounded = |count: usize| (2 * count + number) / (2 * number);
        Self { ahead: 0, number, matching: rounded(matching), others: rounded(others) }
    }

    /// For waiting pods that match and do not, and all pods that match and do not. Where more of the waiting are others than
    /// of all, turns are as large as if all were waiting, and the surplus of others goes ahead.
    #[expect(clippy::cast_precision_loss, reason = "compared as the reference does, in single precision")]
    fn of(matching: usize, others: usize, (all_matching, all_others): (usize, usize)) -> Self {
        let ratio = |others: usize, matching: usize| others as f32 / matching as f32;
        if ratio(all_others, all_matching) >= ratio(others, matching) {
            return Self::even(matching, others);
        }
        let size = Self::even(all_matching, all_others);
        let number = (matching / size.matching.max(1)).min(others / size.others.max(1));
        Self { ahead: others - number * size.others, number, ..size }
    }
}

/// Spreads the positions that match among those that do not, when there are several of both. `all` counts the matching and
/// the other ones of all pods. The last one that matches is kept for the end of the rollout.
fn spread_term(waiting: &[usize], is_match: impl Fn(usize) -> bool, all: (usize, usize)) -> Vec<usize> {
    let (mut matching, others): (Vec<_>, Vec<_>) = waiting.iter().copied().partition(|position| is_match(*position));
    let last = matching.pop();
    let turns = Turns::of(matching.len(), others.len(), (all.0.saturating_sub(1), all.1));
    let mut spread = Vec::with_capacity(waiting.len());
    let (mut matching, mut others) = (matching.into_iter(), others.into_iter());
    spread.extend(others.by_ref().take(turns.ahead));
    for _ in 0..turns.number {
        spread.extend(matching.by_ref().take(turns.matching));
        spread.extend(others.by_ref().take(turns.others));
    }
    spread.extend(matching.chain(others).chain(last));
    spread
}

#[cfg(test)]
mod tests {
    use super::{super::tests::pods, *};

    /// The terms of a strategy without their stars, as numbers of columns and values.
    fn expanded(terms: &[(&str, &str)], pods: &[Pod]) -> Vec<(usize, usize)> {
        let terms = terms.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let (_, terms) = Scatter(terms).expand(&pods.iter().collect::<Vec<_>>());
        terms.into_iter().map(|term| (term.column, term.value)).collect()
    }

    #[test]
    fn a_star_stands_for_every_value_that_a_pod_has() {
        let pods = pods(&["key-4=v-0", "", "key-4=v-1", "key-4=v-2", "key-4=v-2", "key-4=v-2", "key-4=v-3"]);
        let (mut terms, nobodys) = (vec![("key-1", "1"), ("key-2", "2"), ("key-3", "3")], [(0, NOBODYS), (1, NOBODYS), (2, NOBODYS)]);
        assert_eq!(expanded(&terms, &pods), nobodys);
        terms.push(("key-4", "*"));
        assert_eq!(expanded(&terms, &pods), [&nobodys[..], &[(3, 0), (3, 2), (3, 3), (3, 4)]].concat());
    }

    #[test]
    fn a_term_that_is_there_already_is_not_repeated() {
        let pods = pods(&["k=b", "k=a", "k=b"]);
        assert_eq!(expanded(&[("k", "a"), ("k", "*"), ("k", "a"), ("k", "*")], &pods), [(0, 1), (0, 0)]);
    }

    #[test]
    fn an_absent_label_is_as_an_empty_one_but_no_value_of_a_star() {
        let pods = pods(&["", "k=", "k=a"]);
        assert_eq!(expanded(&[("k", "")], &pods), [(0, 0)]);
        assert_eq!(expanded(&[("k", "*")], &pods[..1]), []);
        assert_eq!(expanded(&[("k", "*")], &pods), [(0, 0), (0, 1)]);
    }
}
