//! Somebody else writes what we write. Whoever is first to be patient wins nothing, but the API server is left in peace.

use crate::server::authority::{Certificate, Moment};

/// How often in a row the same is written again at once: manifests are applied again, and by several tools.
const AT_ONCE: u32 = 3;
/// The first pause, in seconds. It doubles each time.
const FIRST: i64 = 2;
/// The longest.
const LONGEST: i64 = 600;
/// After so long without another write, all is forgotten.
const FORGET: i64 = 1_800;

/// What was written to one object, and how often in vain.
#[derive(Debug, Default)]
pub(super) struct Quarrel {
    wanted: Vec<Certificate>,
    writes: u32,
    last: Moment,
}

impl Quarrel {
    /// Until when this is not written again, if there is a reason to wait.
    pub(super) fn pause(&mut self, wanted: &[Certificate], now: Moment) -> Option<Moment> {
        // A clock that is set back makes no pause longer.
        self.last = self.last.min(now);
        let again = self.last.saturating_add(self.patience());
        (self.wanted == wanted && self.writes >= AT_ONCE && now < again).then_some(again)
    }

    fn patience(&self) -> i64 {
        let doublings = self.writes.saturating_sub(AT_ONCE).min(16);
        (FIRST << doublings).min(LONGEST)
    }

    /// It was written.
    pub(super) fn wrote(&mut self, wanted: &[Certificate], now: Moment) {
        let is_calm = now.saturating_sub(self.last) > FORGET || self.wanted != wanted;
        self.writes = if is_calm { 1 } else { self.writes.saturating_add(1) };
        self.last = now;
        if self.wanted != wanted {
            self.wanted = wanted.to_vec();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(number: u8) -> Vec<Certificate> {
        vec![Certificate { der: [number].as_slice().into(), begins: 0, ends: 1 }]
    }

    #[test]
    fn what_was_overwritten_now_and_then_is_mended_at_once_and_a_rival_is_given_more_and_more_time() {
        let (mut quarrel, one) = (Quarrel::default(), bundle(1));
        let (mut now, mut pauses) = (1_000_000, Vec::new());
        for _ in 0..14 {
            let again = quarrel.pause(&one, now);
            pauses.push(again.map_or(0, |again| again - now));
            now = again.unwrap_or(now);
            assert_eq!(quarrel.pause(&one, now), None);
            quarrel.wrote(&one, now);
        }
        assert_eq!(pauses, [0, 0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
        assert_eq!(quarrel.pause(&bundle(2), now), None, "what is new is written at once");
        quarrel.wrote(&bundle(2), now);
        assert_eq!(quarrel.pause(&bundle(2), now), None);
    }

    #[test]
    fn after_a_while_all_is_forgotten() {
        let (mut quarrel, one) = (Quarrel::default(), bundle(1));
        for _ in 0..20 {
            quarrel.wrote(&one, 5_000);
        }
        assert_eq!(quarrel.pause(&one, 5_001), Some(5_600));
        quarrel.wrote(&one, 5_000 + FORGET + 1);
        assert_eq!(quarrel.pause(&one, 5_000 + FORGET + 1), None);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_pause_longer() {
        let (mut quarrel, one) = (Quarrel::default(), bundle(1));
        for _ in 0..AT_ONCE {
            quarrel.wrote(&one, 1_000_000);
        }
        assert_eq!(quarrel.pause(&one, 1_000_001), Some(1_000_002));
        assert_eq!(quarrel.pause(&one, 500), Some(502), "not in eleven days");
        assert_eq!(quarrel.pause(&one, 501), Some(502));
        assert_eq!(quarrel.pause(&one, 502), None);
    }
}
