//! The order of a merged list.

use serde_json::Value;

/// Puts the items of a merged list into order. Those that the patch names stand in the order of the patch (`named`), the others in the
/// order in which they stood (`before`), and both are merged like sorted runs: one of the others comes first only if both were there
/// and it stood in front. So what only the patch has comes before what only the object had, unless an item of both stands between
/// them. Items are told apart by the member `key`, or as a whole.
pub(super) fn arrange(items: Vec<Value>, named: &[Value], before: &[Value], key: Option<&str>) -> Vec<Value> {
    let same = |one: &Value, other: &Value| identity(one, key) == identity(other, key);
    let nths: Vec<usize> =
        items.iter().enumerate().map(|(at, item)| items.iter().take(at).filter(|other| same(other, item)).count()).collect();
    // Of several items with one key each has the place of its number, and those beyond that the last.
    let place = |list: &[Value], item: &Value, nth: usize| {
        list.iter().enumerate().filter(|(_, other)| same(other, item)).map(|(at, _)| at).take(nth + 1).last()
    };
    let mut arranged = Vec::with_capacity(items.len());
    let (mut mine, mut others) = (Vec::new(), Vec::new());
    for (item, nth) in items.into_iter().zip(nths) {
        let stood = place(before, &item, nth);
        match place(named, &item, nth) {
            Some(rank) => mine.push((rank, stood, item)),
            None => others.push((stood, item)),
        }
    }
    mine.sort_by_key(|(rank, ..)| *rank);
    others.sort_by_key(|(stood, _)| stood.unwrap_or(usize::MAX));
    let mut others = others.into_iter().peekable();
    for (_, stood, item) in mine {
        let is_behind = |other: &Option<usize>| matches!((other, stood), (Some(other), Some(stood)) if *other < stood);
        while let Some((_, other)) = others.next_if(|(other, _)| is_behind(other)) {
            arranged.push(other);
        }
        arranged.push(item);
    }
    arranged.extend(others.map(|(_, other)| other));
    arranged
}

fn identity<'v>(item: &'v Value, key: Option<&str>) -> Option<&'v Value> {
    match key {
        Some(key) => item.get(key),
        None => Some(item),
    }
}
