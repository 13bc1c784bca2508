//! Who leads on minibatches, as soon as that is certain: trials that are still at work may be unable to change it.
//!
//! A full evaluation is of the combination with the best mean minibatch score. Waiting for the last row of the last trial leaves
//! calls idle, though mostly no outcome of the rows that are out could make another one lead. What is certain early is what
//! would have been chosen late, so that nothing but time depends on it.

use super::scoreboard::enough;

/// How much of a trial has come back.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    /// Rows asked for.
    pub(crate) rows: usize,
    /// Rows that have ended.
    pub(crate) ended: usize,
    /// Of these, those with a score.
    pub(crate) scored: usize,
    /// The sum of their scores.
    pub(crate) sum: f64,
}

impl Progress {
    /// Between what the trial's mean score will lie, whatever the other rows give.
    fn bounds(self) -> (f64, f64) {
        let out = (self.rows - self.ended) as f64;
        let most = self.scored as f64 + out;
        if most == 0.0 { (0.0, 0.0) } else { (self.sum / most, (self.sum + out) / most) }
    }

    /// Whether the trial will have a score: enough rows have one already.
    fn is_sure(self) -> bool {
        enough(self.scored, self.rows)
    }
}

/// Sums of scores in another order differ by less.
const ROUNDING: f64 = 1e-9;

/// The combination that [`best_open`] will give when the trials of `running` have ended too, if that is certain.
pub(crate) fn certain<'a, K: PartialEq>(
    seen: &'a [(K, Vec<f64>)],
    running: &'a [(K, Progress)],
    done: impl Fn(&K) -> bool,
) -> Option<&'a K> {
    // A mean over any of some scores lies between the lowest and the highest of them.
    let bounds = |key: &K| {
        let known =
            seen.iter().filter(|(other, _)| other == key).map(|(_, scores)| (mean(scores), mean(scores)));
        let out = running.iter().filter(|(other, _)| other == key).map(|(_, progress)| progress.bounds());
        known.chain(out).fold((1.0_f64, 0.0_f64), |(low, high), (a, b)| (low.min(a), high.max(b)))
    };
    let keys: Vec<&K> = seen.iter().map(|(key, _)| key).chain(running.iter().map(|(key, _)| key)).collect();
    let keys: Vec<&K> = keys.into_iter().filter(|key| !done(key)).collect();
    let sure = |key: &&&K| {
        seen.iter().any(|(other, _)| other == **key)
            || running.iter().any(|(other, progress)| other == **key && progress.is_sure())
    };
    let low = |key: &K| bounds(key).0;
    let leader = *keys.iter().filter(sure).max_by(|a, b| low(a).total_cmp(&low(b)))?;
    let others = keys.into_iter().filter(|key| *key != leader);
    others.map(|key| bounds(key).1).all(|high| high + ROUNDING < low(leader)).then_some(leader)
}

/// The combination with the best mean score among those that are not done; the first seen among equals.
pub(crate) fn best_open<K>(seen: &[(K, Vec<f64>)], done: impl Fn(&K) -> bool) -> Option<&K> {
    let open = seen.iter().filter(|(key, _)| !done(key));
    let best = open.fold(None::<(&K, f64)>, |best, (key, scores)| match best {
        Some((_, score)) if score >= mean(scores) => best,
        _ => Some((key, mean(scores))),
    });
    best.map(|(key, _)| key)
}

fn mean(scores: &[f64]) -> f64 {
    scores.iter().sum::<f64>() / scores.len() as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        promotions: Vec<Promotion>,
    }

    #[derive(Deserialize)]
    struct Promotion {
        seen: Vec<Seen>,
        done: Vec<String>,
        chosen: String,
    }

    #[derive(Deserialize)]
    struct Seen {
        combination: String,
        scores: Vec<f64>,
    }

    /// What DSPy chose, from what it chose it: see `xtask/golden/miprov2.py`.
    #[test]
    fn a_candidate_is_promoted_as_the_reference_promotes_it() {
        let golden: Golden = serde_json::from_str(include_str!("../../tests/golden/dspy.json")).unwrap();
        assert_eq!(golden.promotions.len(), 3);
        for promotion in golden.promotions {
            let seen: Vec<(String, Vec<f64>)> =
                promotion.seen.into_iter().map(|seen| (seen.combination, seen.scores)).collect();
            let chosen = best_open(&seen, |key| promotion.done.contains(key));
            assert_eq!(chosen, Some(&promotion.chosen));
        }
        let tie = [("b", vec![0.5]), ("a", vec![0.25, 0.75])];
        assert_eq!(best_open(&tie, |_| false), Some(&"b"));
        assert_eq!(best_open(&tie, |_| true), None);
    }

    #[test]
    fn a_leader_is_certain_once_nobody_can_catch_up() {
        let seen = [("a", vec![0.8]), ("b", vec![0.6])];
        let out = |scored, sum| ("c", Progress { rows: 10, ended: scored, scored, sum });
        assert_eq!(certain(&seen, &[out(5, 2.0)], |_| false), Some(&"a"), "0.7 at most");
        assert_eq!(certain(&seen, &[out(5, 3.0)], |_| false), None, "0.8 would be a tie");
        assert_eq!(certain(&seen, &[out(9, 9.0)], |_| false), Some(&"c"), "0.9 at least");
        assert_eq!(certain(&seen, &[out(5, 4.0)], |key| *key == "a" || *key == "c"), Some(&"b"));
        assert_eq!(certain(&[], &[out(4, 4.0)], |_| false), None, "it may end without a score");
        assert_eq!(certain::<&str>(&[], &[], |_| false), None);
    }

    type Scores = Vec<(u8, Vec<f64>)>;

    /// A trial's rows: each a score in tenths, or a failure without one.
    fn trials() -> impl Strategy<Value = Vec<(u8, Vec<Option<u8>>, usize)>> {
        let row = prop_oneof![4 => (0_u8..=10).prop_map(Some), 1 => Just(None)];
        let trial = (0_u8..4, proptest::collection::vec(row, 1..8)).prop_flat_map(|(key, rows)| {
            let all = rows.len();
            (Just(key), Just(rows), prop_oneof![Just(all), 0..=all])
        });
        proptest::collection::vec(trial, 0..6)
    }

    proptest! {
        #[test]
        fn what_is_certain_is_what_is_chosen_in_the_end(trials in trials(), done in proptest::option::of(0_u8..4)) {
            let score = |rows: &[Option<u8>]| {
                let scored: Vec<f64> = rows.iter().flatten().map(|tenths| f64::from(*tenths) / 10.0).collect();
                (2 * scored.len() >= rows.len()).then(|| mean(&scored))
            };
            let (mut early, mut late): (Scores, Scores) = Default::default();
            let mut running = Vec::new();
            for (key, rows, ended) in &trials {
                let add = |list: &mut Scores, score: f64| match list.iter_mut().find(|(k, _)| k == key) {
                    Some((_, scores)) => scores.push(score),
                    None => list.push((*key, vec![score])),
                };
                if let Some(score) = score(rows) {
                    add(&mut late, score);
                    if *ended == rows.len() {
                        add(&mut early, score);
                    }
                }
                if *ended < rows.len() {
                    let back = &rows[..*ended];
                    let sum = back.iter().flatten().map(|tenths| f64::from(*tenths) / 10.0).sum();
                    let scored = back.iter().flatten().count();
                    running.push((*key, Progress { rows: rows.len(), ended: *ended, scored, sum }));
                }
            }
            let is_done = |key: &u8| Some(*key) == done;
            if let Some(leader) = certain(&early, &running, is_done) {
                prop_assert_eq!(best_open(&late, is_done), Some(leader));
            }
        }
    }
}
