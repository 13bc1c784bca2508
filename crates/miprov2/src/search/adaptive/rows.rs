//! The common order of rows: every candidate goes through the rows in it, so that two candidates have always seen the
//! same ones, as far as the shorter of them has come.

use teleprompt_core::rng;

/// A seeded order of the rows `0..strata.len()` in which every prefix holds about the whole's share of each stratum
/// (such as a gold label).
///
/// Within a stratum rows are shuffled; its `r`-th of `n` then stands at `(r + u) / n` of the whole, with one `u` in
/// `[0, 1)` for each stratum.
pub fn common_order(strata: &[usize], seed: u64) -> Vec<usize> {
    use rand::RngExt;
    let shuffled = rng::permutation(seed, "adaptive-rows", &[], strata.len());
    let n_strata = strata.iter().max().map_or(0, |max| max + 1);
    let mut sizes = vec![0_usize; n_strata];
    for &stratum in strata {
        sizes[stratum] += 1;
    }
    let mut random = rng::stream(seed, "adaptive-strata", &[]);
    let offsets: Vec<f64> = sizes.iter().map(|_| random.random()).collect();
    let mut ranks = vec![0_usize; n_strata];
    let mut placed: Vec<(f64, usize)> = shuffled
        .into_iter()
        .map(|row| {
            let stratum = strata[row];
            let rank = ranks[stratum];
            ranks[stratum] += 1;
            ((rank as f64 + offsets[stratum]) / sizes[stratum] as f64, row)
        })
        .collect();
    placed.sort_by(|a, b| a.0.total_cmp(&b.0));
    placed.into_iter().map(|(_, row)| row).collect()
}
