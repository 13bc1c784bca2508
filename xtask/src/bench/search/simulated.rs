//! Made-up landscapes: logistic, with everything in them that recorded ones were seen to have.
//!
//! ```text
//!   P(combination x is right on row j) = sigmoid(ability(x) + class effect(x, class of j) - difficulty(j) + luck(x, j))
//!   ability = mean + main effects + pairwise interactions + bad choices                 (sd .05, .08 or .12 in accuracy)
//!                  + own effects of each predictor's (instruction, demos) and of x      (sd .05 to .07 in accuracy)
//! ```
//!
//! The outcome of a pair is drawn once. The truth is the chance of a right answer over all rows there might be; the
//! difficulty and the luck, both normal, are integrated by the usual approximation of a sigmoid by a normal
//! distribution function (MacKay, *The evidence framework applied to classification networks*, 1992).

use super::terrain::Terrain;
use crate::bench::stats::SplitMix64;

/// What a landscape is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Some candidates are better, some worse than the default.
    Ordinary,
    /// All nearly equal.
    Flat,
    /// The default is the best.
    DefaultBest,
}

/// The size of a space and the reference's budget for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) mode: &'static str,
    pub(crate) predictors: usize,
    /// The reference's `n` of the mode: demo sets; instructions are half of it.
    pub(crate) n: usize,
    pub(crate) rows: usize,
}

/// Variance of the luck of a combination on a row, in logits, half of it shared by combinations with the same choices.
const LUCK: f64 = 0.36;
/// Random combinations that means and spreads are taken from.
const DRAWN: usize = 300;
/// Of the combinations with the best ability, how many have their truth computed.
const TOP: usize = 32;
/// The least distance between best and chance that regrets are measured in.
pub(crate) const TINY: f64 = 1e-9;

/// A landscape drawn from a seed.
pub(crate) struct Simulated {
    seed: u64,
    options: Vec<usize>,
    trials: usize,
    classes: Vec<usize>,
    weights: Vec<f64>,
    difficulty: Vec<f64>,
    /// By predictor: what its instruction and demo set are worth together.
    cells: Vec<Vec<f64>>,
    /// By pair of predictors (first, second, table).
    cross: Vec<(usize, usize, Vec<f64>)>,
    own: f64,
    offset: f64,
    bump: f64,
    class_effect: f64,
    flatten: f64,
    best: f64,
    chance: f64,
}

impl Simulated {
    pub(crate) fn new(cell: &Cell, kind: Kind, seed: u64) -> Self {
        let key = (cell.n as u64) << 32 | (cell.predictors as u64) << 24 | kind as u64;
        let seed = mix(mix(0x5ea2c4, seed), key);
        let mut random = SplitMix64::new(seed);
        let (instructions, sets) = (cell.n / 2, cell.n);
        let p = cell.predictors;
        let pick = |random: &mut SplitMix64, from: &[f64]| from[random.below(from.len())];
        let spread = if kind == Kind::Flat { 0.008 } else { pick(&mut random, &[0.05, 0.08, 0.12]) };
        let interaction = pick(&mut random, &[0.0, 0.25, 0.5]);
        let own_sd = if kind == Kind::Flat { 0.004 } else { 0.05 + 0.02 * random.unit() };
        let mean = 0.35 + 0.45 * random.unit();
        let row_sd = 1.5 + random.unit();
        let demo_ratio = 1.0 + 1.5 * random.unit();
        let has_bad = kind != Kind::Flat && random.unit() < 0.6;
        let empty_below = random.unit() < 0.7;
        let class_effect = 0.4 + 0.4 * random.unit();

        // Main effects, then interactions of all pairs of dimensions.
        let options: Vec<usize> =
            (0..2 * p).map(|d| if d.is_multiple_of(2) { instructions } else { sets }).collect();
        let sd_of = |d: usize| if d.is_multiple_of(2) { 1.0 } else { demo_ratio };
        let mut main: Vec<Vec<f64>> = Vec::new();
        for (d, &n) in options.iter().enumerate() {
            let mut effects: Vec<f64> = (0..n).map(|_| sd_of(d) * normal(&mut random)).collect();
            if d % 2 == 1 {
                effects[0] = if empty_below { -0.5 } else { 0.5 } * demo_ratio;
            }
            main.push(effects);
        }
        let total: f64 = (0..options.len()).map(|d| sd_of(d) * sd_of(d)).sum();
        let n_pairs = (options.len() * (options.len() - 1) / 2) as f64;
        let pair_sd = (total * interaction / (1.0 - interaction) / n_pairs).sqrt();
        let mut cells: Vec<Vec<f64>> = Vec::new();
        for q in 0..p {
            let mut table = Vec::with_capacity(instructions * sets);
            for i in 0..instructions {
                for s in 0..sets {
                    table.push(main[2 * q][i] + main[2 * q + 1][s] + pair_sd * normal(&mut random));
                }
            }
            cells.push(table);
        }
        let mut cross = Vec::new();
        for a in 0..p {
            for b in a + 1..p {
                let mut table = |n: usize, m: usize| -> Vec<f64> {
                    (0..n * m).map(|_| pair_sd * normal(&mut random)).collect()
                };
                let (ii, is, si, ss) = (
                    table(instructions, instructions),
                    table(instructions, sets),
                    table(sets, instructions),
                    table(sets, sets),
                );
                let mut whole = Vec::with_capacity((instructions * sets) * (instructions * sets));
                for x in 0..instructions * sets {
                    let (i, s) = (x / sets, x % sets);
                    for y in 0..instructions * sets {
                        let (j, t) = (y / sets, y % sets);
                        whole.push(
                            ii[i * instructions + j]
                                + is[i * sets + t]
                                + si[s * instructions + j]
                                + ss[s * sets + t],
                        );
                    }
                }
                cross.push((a, b, whole));
            }
        }

        let flatten = (1.0 + std::f64::consts::PI / 8.0 * (row_sd * row_sd + LUCK)).sqrt();
        let slope = mean * (1.0 - mean) / flatten;
        let n_classes = 2 + random.below(7);
        let shares: Vec<f64> = (0..n_classes).map(|_| 0.3 + random.unit()).collect();
        let sum: f64 = shares.iter().sum();
        let weights: Vec<f64> = shares.iter().map(|share| share / sum).collect();
        let mut made = Self {
            seed,
            options,
            trials: trials(p, cell.n),
            classes: Vec::new(),
            weights,
            difficulty: Vec::new(),
            cells,
            cross,
            own: 0.0,
            offset: 0.0,
            bump: 0.0,
            class_effect,
            flatten,
            best: 0.0,
            chance: 0.0,
        };

        // To the wanted spread, then what comes in absolute size: own effects and bad choices.
        let (raw_mean, raw_sd) = made.drawn(|made, x| made.ability(x));
        made.scale(spread / slope / raw_sd);
        made.offset = flatten * (mean / (1.0 - mean)).ln() - raw_mean * spread / slope / raw_sd;
        let whole = if p > 1 { 0.5_f64.sqrt() } else { 0.0 };
        made.own = whole * own_sd / slope;
        let cell_sd = (1.0 - whole * whole).sqrt() * own_sd / slope / (p as f64).sqrt();
        for table in &mut made.cells {
            for value in table.iter_mut() {
                *value += cell_sd * normal(&mut random);
            }
        }
        if has_bad {
            for d in 0..made.options.len() {
                for choice in 1..made.options[d] {
                    if random.unit() < 0.07 {
                        let drop = (1.5 + 1.5 * random.unit()) * spread / 0.12;
                        let cell_of = |x: usize| if d.is_multiple_of(2) { x / sets } else { x % sets };
                        for (x, value) in made.cells[d / 2].iter_mut().enumerate() {
                            if cell_of(x) == choice {
                                *value -= drop;
                            }
                        }
                    }
                }
            }
        }
        if kind == Kind::DefaultBest {
            made.make_default_best(slope);
        }
        let top = made.top();
        made.best = top.iter().map(|x| made.truth(x)).fold(made.truth(&made.default()), f64::max);
        made.chance = made.drawn(|made, x| made.truth(x)).0;
        for _ in 0..cell.rows {
            let mut share = random.unit();
            let class = made.weights.iter().position(|weight| {
                share -= weight;
                share < 0.0
            });
            made.classes.push(class.unwrap_or(0));
            made.difficulty.push(row_sd * normal(&mut random));
        }
        made
    }

    /// The default .02 above the best of the others, which are .05 below it on average.
    fn make_default_best(&mut self, slope: f64) {
        let mean = self.drawn(|made, x| made.ability(x)).0;
        let top = self.top().iter().map(|x| self.ability(x)).fold(f64::MIN, f64::max);
        let factor = 0.03 / slope / (top - mean).max(1e-9);
        let offset = self.offset;
        self.scale(factor);
        self.own *= factor;
        self.offset = offset + (mean - offset) * (1.0 - factor);
        let default = self.default();
        let others = self.top().into_iter().filter(|x| *x != default);
        let goal = others.map(|x| self.truth(&x)).fold(f64::MIN, f64::max) + 0.02;
        for _ in 0..4 {
            self.bump += (goal - self.truth(&default)) / slope;
        }
    }

    /// Multiplies all effects.
    fn scale(&mut self, factor: f64) {
        let tables = self.cells.iter_mut().chain(self.cross.iter_mut().map(|(.., table)| table));
        for value in tables.flatten() {
            *value *= factor;
        }
    }

    /// Mean and standard deviation over random combinations.
    fn drawn(&self, of: impl Fn(&Self, &[usize]) -> f64) -> (f64, f64) {
        let mut random = SplitMix64::new(self.seed ^ 0xd2a3);
        let values: Vec<f64> = (0..DRAWN)
            .map(|_| {
                let x: Vec<usize> = self.options.iter().map(|&n| random.below(n)).collect();
                of(self, &x)
            })
            .collect();
        let mean = values.iter().sum::<f64>() / DRAWN as f64;
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / DRAWN as f64;
        (mean, variance.sqrt())
    }

    fn sets(&self) -> usize {
        self.options.get(1).copied().unwrap_or(1)
    }

    fn ability(&self, x: &[usize]) -> f64 {
        let place: Vec<usize> = x.chunks(2).map(|pair| pair[0] * self.sets() + pair[1]).collect();
        let size = self.options[0] * self.sets();
        let mut ability = self.offset;
        for (table, &at) in self.cells.iter().zip(&place) {
            ability += table[at];
        }
        for (a, b, table) in &self.cross {
            ability += table[place[*a] * size + place[*b]];
        }
        if self.own > 0.0 {
            let number = place.iter().fold(0, |number, &at| number * size + at);
            ability += self.own * rough_normal(mix(self.seed ^ 0x0e11, number as u64));
        }
        if x.iter().all(|&choice| choice == 0) { ability + self.bump } else { ability }
    }

    /// The combinations with the highest ability, out of all.
    fn top(&self) -> Vec<Vec<usize>> {
        let size = self.options[0] * self.sets();
        let p = self.cells.len();
        let count = size.pow(p as u32);
        let mut top: Vec<(f64, usize)> = Vec::with_capacity(TOP + 1);
        let mut x = vec![0; 2 * p];
        let decode = |mut number: usize, x: &mut [usize]| {
            for q in (0..p).rev() {
                let at = number % size;
                number /= size;
                x[2 * q] = at / self.sets();
                x[2 * q + 1] = at % self.sets();
            }
        };
        let mut consider = |ability: f64, number: usize| {
            if top.len() < TOP || top.last().is_some_and(|last| ability > last.0) {
                let at = top.partition_point(|(known, _)| *known >= ability);
                top.insert(at, (ability, number));
                top.truncate(TOP);
            }
        };
        if p < 3 {
            for number in 0..count {
                decode(number, &mut x);
                consider(self.ability(&x), number);
            }
        } else {
            // The same sum, innermost predictor in one sweep: there are millions.
            let table = |a: usize, b: usize| {
                self.cross.iter().find(|(c, d, _)| (*c, *d) == (a, b)).map_or(&[][..], |found| &found.2)
            };
            let (ab, ac, bc) = (table(0, 1), table(0, 2), table(1, 2));
            for a in 0..size {
                for b in 0..size {
                    let base = self.offset + self.cells[0][a] + self.cells[1][b] + ab[a * size + b];
                    let from = (a * size + b) * size;
                    for c in 0..size {
                        let own = self.own * rough_normal(mix(self.seed ^ 0x0e11, (from + c) as u64));
                        let ability = base + self.cells[2][c] + ac[a * size + c] + bc[b * size + c] + own;
                        consider(ability, from + c);
                    }
                }
            }
        }
        top.iter()
            .map(|(_, number)| {
                decode(*number, &mut x);
                x.clone()
            })
            .collect()
    }

    /// How much better a combination is on the rows of a class, in logits.
    fn class_effect(&self, x: &[usize], class: usize) -> f64 {
        let shared: f64 = x
            .iter()
            .enumerate()
            .map(|(d, &choice)| rough_normal(mix(self.seed ^ 0xc1a5, (d << 40 | choice << 8 | class) as u64)))
            .sum();
        let number = x.iter().fold(1_u64, |number, &choice| number * 64 + choice as u64);
        let own = rough_normal(mix(self.seed ^ 0xc0a5, number * 8 + class as u64));
        self.class_effect * 0.5_f64.sqrt() * (shared / (x.len() as f64).sqrt() + own)
    }

    /// Class effects with their mean taken off, so that they do not add to the ability.
    fn class_effects(&self, x: &[usize]) -> Vec<f64> {
        let raw: Vec<f64> = (0..self.weights.len()).map(|class| self.class_effect(x, class)).collect();
        let mean: f64 = raw.iter().zip(&self.weights).map(|(effect, weight)| effect * weight).sum();
        raw.iter().map(|effect| effect - mean).collect()
    }
}

impl Terrain for Simulated {
    fn options(&self) -> &[usize] {
        &self.options
    }

    fn only(&self) -> &[Vec<usize>] {
        &[]
    }

    fn default(&self) -> Vec<usize> {
        vec![0; self.options.len()]
    }

    fn strata(&self) -> &[usize] {
        &self.classes
    }

    fn score(&self, x: &[usize], row: usize) -> Option<f64> {
        let effects = self.class_effects(x);
        let shared: f64 = x
            .iter()
            .enumerate()
            .map(|(d, &choice)| rough_normal(mix(self.seed ^ 0x10c4, (d << 48 | choice << 32 | row) as u64)))
            .sum();
        let number = x.iter().fold(1_u64, |number, &choice| number * 64 + choice as u64);
        let pair = mix(mix(self.seed ^ 0x0dd5, number), row as u64);
        let luck = (0.5 * LUCK).sqrt() * (shared / (x.len() as f64).sqrt() + rough_normal(pair));
        let logit = self.ability(x) + effects[self.classes[row]] - self.difficulty[row] + luck;
        let uniform = (mix(pair, 1) >> 11) as f64 / (1_u64 << 53) as f64;
        Some(f64::from(u8::from(uniform < sigmoid(logit))))
    }

    fn truth(&self, x: &[usize]) -> f64 {
        let ability = self.ability(x);
        let effects = self.class_effects(x);
        let chances = effects.iter().map(|effect| sigmoid((ability + effect) / self.flatten));
        chances.zip(&self.weights).map(|(chance, weight)| chance * weight).sum()
    }

    fn unseen(&self, x: &[usize]) -> f64 {
        self.truth(x)
    }

    fn best(&self) -> f64 {
        self.best
    }

    fn chance(&self) -> f64 {
        self.chance
    }

    fn trials(&self) -> usize {
        self.trials
    }
}

/// The reference's number of trials: `floor(max(2 V log2 n, 1.5 n))`, with two variables a predictor.
pub(crate) fn trials(predictors: usize, n: usize) -> usize {
    let (variables, n) = (2.0 * predictors as f64, n as f64);
    (2.0 * variables * n.log2()).max(1.5 * n).floor() as usize
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// One step of SplitMix64 on two words.
fn mix(seed: u64, word: u64) -> u64 {
    let mut z = seed ^ word.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Nearly standard normal: the sum of four uniform numbers, from one word.
fn rough_normal(bits: u64) -> f64 {
    let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
    (sum as f64 / 65536.0 - 2.0) * 3.0_f64.sqrt()
}

fn normal(random: &mut SplitMix64) -> f64 {
    let (u, v) = (1.0 - random.unit(), random.unit());
    (-2.0 * libm::log(u)).sqrt() * libm::cos(2.0 * std::f64::consts::PI * v)
}
