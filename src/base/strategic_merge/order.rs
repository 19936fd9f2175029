//! The order of a merged list.

use std::collections::HashMap;

use serde_json::Value;

use crate::base::go_json;

/// Puts the items of a merged list into order. Those that the patch names stand in the order of the patch (`named`), the others in the
/// order in which they stood (`before`), and both are merged like sorted runs: one of the others comes first only if both were there
/// and it stood in front. So what only the patch has comes before what only the object had, unless an item of both stands between
/// them. Items are told apart by the member `key`, or as a whole.
pub(super) fn arrange(items: Vec<Value>, named: &[Value], before: &[Value], key: Option<&str>) -> Vec<Value> {
    let [named, before] = [named, before].map(|list| places(list, key));
    let mut seen = HashMap::new();
    let nths: Vec<(String, usize)> = items.iter().map(|item| numbered(identity(item, key), &mut seen)).collect();
    // Of several items with one key each has the place of its number, and those beyond that the last.
    let place = |list: &Places, (identity, nth): &(String, usize)| {
        let of_key = list.get(identity)?;
        of_key.get(*nth).or_else(|| of_key.last()).copied()
    };
    let mut arranged = Vec::with_capacity(items.len());
    let (mut mine, mut others) = (Vec::new(), Vec::new());
    for (item, nth) in items.into_iter().zip(nths) {
        let stood = place(&before, &nth);
        match place(&named, &nth) {
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

/// Where items of a list stand, by what tells them apart.
type Places = HashMap<String, Vec<usize>>;

fn places(list: &[Value], key: Option<&str>) -> Places {
    let mut places = Places::new();
    for (at, item) in list.iter().enumerate() {
        places.entry(identity(item, key)).or_default().push(at);
    }
    places
}

/// How many of its kind came before it.
fn numbered(identity: String, seen: &mut HashMap<String, usize>) -> (String, usize) {
    let count = seen.entry(identity.clone()).or_default();
    let nth = *count;
    *count += 1;
    (identity, nth)
}

/// What tells an item apart, as a text: whoever makes a pod may put a hundred thousand of them into a list, and no item is held against
/// every other. Empty if the item has no such member.
fn identity(item: &Value, key: Option<&str>) -> String {
    let mut text = String::new();
    if let Some(member) = key.map_or(Some(item), |key| item.get(key)) {
        go_json::write_value(&mut text, member);
    }
    text
}
