//! Whether an object may be deleted.

use jiff::Timestamp;

use serde_json::Value;

use super::{
    count::{self, Counted},
    keys::{LABEL, UNTIL},
    kind::{Cascade, Protectable},
    stored::{Mode, Stored},
    text::Context,
    until::Until,
};
use crate::admission::ask::{Answer, Question};

/// What is said to a deletion.
#[derive(Debug)]
#[must_use]
pub enum Ruling {
    /// Yes.
    Free,
    /// No, and why.
    Kept(String),
    /// Nobody can tell, which keeps it too; what stayed open.
    Unknown(String),
    /// The object cannot be read, and where.
    Unreadable(String),
    /// It depends on what hangs on the object.
    Open(Inquiry),
}

/// What has to be known before it can be said whether an object may be deleted.
#[derive(Debug)]
pub struct Inquiry {
    counted: Vec<Counted>,
    context: Context,
}

/// Judges the deletion of an object by this user.
pub fn decide(protectable: &'static Protectable, stored: &Stored, user: &str, now: Timestamp) -> Ruling {
    // Who is going is not held up: what is left are its finalizers.
    if stored.is_terminating {
        return Ruling::Free;
    }
    let context = Context::of(protectable, stored, user, now);
    match stored.mode {
        Mode::Free | Mode::Unknown(_) => Ruling::Free,
        Mode::Always => Ruling::Kept(context.always()),
        Mode::Cascading => cascading(protectable.cascade, stored, context),
    }
}

/// What the client should know, whatever the ruling.
pub fn warnings(stored: &Stored) -> Vec<String> {
    let value = match &stored.mode {
        Mode::Unknown(value) => {
            Some(format!("metadata.labels[{LABEL}]: expected Always or Cascading, found {value:?}: it protects nothing"))
        }
        _ => None,
    };
    let until = match &stored.until {
        Until::Unreadable(found) if matches!(stored.mode, Mode::Always | Mode::Cascading) => Some(format!(
            "metadata.annotations[{UNTIL}]: expected a time as 2026-12-31T12:00:00Z, found {found:?}: the protection does not end by itself"
        )),
        _ => None,
    };
    value.into_iter().chain(until).collect()
}

fn cascading(cascade: Cascade, stored: &Stored, context: Context) -> Ruling {
    let counted = match cascade {
        Cascade::Replicas => return replicas(stored, &context),
        Cascade::Content => count::content(stored),
        Cascade::Objects => match count::objects(stored) {
            Ok(counted) => counted.into_iter().collect(),
            Err(why) => return Ruling::Unknown(context.unknown(&why)),
        },
        Cascade::Endpoints => vec![count::endpoints(stored, vec![stored.name.clone()])],
        Cascade::Backends => match count::backends(&stored.object) {
            services if services.is_empty() => Vec::new(),
            services => vec![count::endpoints(stored, services)],
        },
        Cascade::Users => vec![count::users(stored)],
    };
    if counted.is_empty() { Ruling::Free } else { Ruling::Open(Inquiry { counted, context }) }
}

/// The replicas that are wanted; whether there are any does not matter. Where none are named, none are meant.
fn replicas(stored: &Stored, context: &Context) -> Ruling {
    let replicas = stored.object.pointer("/spec/replicas").unwrap_or(&Value::Null);
    if replicas.is_null() {
        return Ruling::Free;
    }
    match replicas.as_i64() {
        Some(wanted) => match u64::try_from(wanted) {
            Ok(wanted) if wanted > 0 => Ruling::Kept(context.held("replicas", wanted, true, &context.scaling())),
            _ => Ruling::Free,
        },
        None => Ruling::Unreadable(format!("spec.replicas: expected an integer, found {replicas}")),
    }
}

impl Inquiry {
    /// What is asked.
    pub fn questions(&self) -> Vec<Question> {
        self.counted.iter().map(|counted| counted.question.clone()).collect()
    }

    /// The ruling; one answer for each question, in their order. What was not answered keeps the object.
    pub fn settle(&self, answers: Vec<Answer>) -> Ruling {
        let mut answers = answers.into_iter();
        for counted in &self.counted {
            match answers.next().unwrap_or_else(Answer::nobody) {
                Answer::Counted { count: 0, is_all: true } => {}
                Answer::Counted { count: 0, is_all: false } => return self.unknown(counted, "not everything could be looked at in time"),
                Answer::Counted { count, is_all } => {
                    return Ruling::Kept(self.context.held(counted.what, count, is_all, &counted.remedy));
                }
                Answer::Unknown(why) => return self.unknown(counted, &why),
                _ => return self.unknown(counted, "the answer is no number"),
            }
        }
        Ruling::Free
    }

    fn unknown(&self, counted: &Counted, why: &str) -> Ruling {
        Ruling::Unknown(self.context.unknown(&format!("{}{why}", counted.unanswered)))
    }
}

#[cfg(test)]
mod tests;
