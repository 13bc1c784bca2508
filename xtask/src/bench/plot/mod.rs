//! Line plots with bands, as small SVG files: the data here, the drawing in [`svg`], the numbers on the axes in [`ticks`].
//!
//! ```text
//!   curves, one a seed ──Series::of──► mean or median with a band, on a common grid ──Plot::svg──► text
//! ```
//!
//! Written by hand because the drawing is a few hundred lines, the files stay small and readable in a diff, and no crate that
//! draws to more than SVG has to be built. No fonts are embedded and none is measured: labels stand where any font fits.

mod svg;
mod ticks;

pub(crate) use ticks::Scale;

/// A plot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plot {
    /// The file's name without its ending.
    pub(crate) name: String,
    pub(crate) title: String,
    /// A line below the title: what lines and bands are.
    pub(crate) note: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    /// In the order of the legend; earlier ones are drawn above later ones.
    pub(crate) series: Vec<Series>,
}

/// What an axis shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    pub(crate) label: String,
    pub(crate) scale: Scale,
}

/// A line with its band.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// By ascending x.
    pub(crate) points: Vec<Point>,
}

/// One point of a line, and the band above and below it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) low: f64,
    pub(crate) middle: f64,
    pub(crate) high: f64,
}

/// What a line and its band are of many curves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(any(test, feature = "bench")), expect(dead_code, reason = "only families have curves"))]
pub(crate) enum Middle {
    /// The mean with its 95 % interval (normal).
    Mean,
    /// The median with the quartiles.
    Median,
}

#[cfg_attr(not(any(test, feature = "bench")), expect(dead_code, reason = "only families have curves"))]
impl Series {
    /// The middle of step curves, one a seed, at the places of `grid`.
    ///
    /// A curve is `(x, y)` by ascending x and keeps a value until the next; where a curve has not begun it does not count.
    pub(crate) fn of(name: &str, curves: &[Vec<(f64, f64)>], grid: &[f64], middle: Middle) -> Self {
        let at = |curve: &Vec<(f64, f64)>, x: f64| {
            let passed = curve.partition_point(|(place, _)| *place <= x);
            Some(curve.get(passed.checked_sub(1)?)?.1)
        };
        let point = |&x: &f64| {
            let mut values: Vec<f64> = curves.iter().filter_map(|curve| at(curve, x)).collect();
            values.sort_by(f64::total_cmp);
            let (low, middle, high) = match middle {
                Middle::Mean => interval(&values)?,
                Middle::Median => {
                    let at = |share| super::stats::quantile(&values, share);
                    (at(0.25)?, at(0.5)?, at(0.75)?)
                }
            };
            Some(Point { x, low, middle, high })
        };
        Self { name: name.to_owned(), points: grid.iter().filter_map(point).collect() }
    }
}

/// The mean of values, and the ends of its 95 % interval; `None` for no values.
fn interval(values: &[f64]) -> Option<(f64, f64, f64)> {
    let n = values.len() as f64;
    if values.is_empty() {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    let half = if n > 1.0 { 1.96 * (squares / (n - 1.0) / n).sqrt() } else { 0.0 };
    Some((mean - half, mean, mean + half))
}

/// `n + 1` places from 0 to `end`, at even distances.
#[cfg_attr(not(any(test, feature = "bench")), expect(dead_code, reason = "only families have curves"))]
pub(crate) fn grid(end: f64, n: u32) -> Vec<f64> {
    (0..=n).map(|place| end * f64::from(place) / f64::from(n.max(1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_keeps_its_value_until_the_next() {
        let curves = [vec![(0.0, 1.0), (2.0, 3.0)]];
        let series = Series::of("a", &curves, &grid(4.0, 4), Middle::Median);
        let middles: Vec<f64> = series.points.iter().map(|point| point.middle).collect();
        assert_eq!(middles, [1.0, 1.0, 3.0, 3.0, 3.0]);
        assert!(series.points.iter().all(|point| point.low == point.middle && point.high == point.middle));
    }

    #[test]
    fn a_curve_counts_from_its_beginning() {
        let curves = [vec![(0.0, 1.0)], vec![(1.0, 3.0)]];
        let series = Series::of("a", &curves, &[0.0, 1.0], Middle::Mean);
        assert_eq!(series.points.iter().map(|point| point.middle).collect::<Vec<_>>(), [1.0, 2.0]);
        assert!((series.points[1].high - series.points[1].low - 2.0 * 1.96).abs() < 1e-12);
        assert_eq!(Series::of("a", &curves[1..], &[0.0], Middle::Mean).points, []);
    }

    #[test]
    fn bands_hold_the_middle() {
        let curves: Vec<Vec<(f64, f64)>> = (0..9).map(|i| vec![(0.0, f64::from(i * i))]).collect();
        for middle in [Middle::Mean, Middle::Median] {
            let point = Series::of("a", &curves, &[1.0], middle).points[0];
            assert!(point.low < point.middle && point.middle < point.high, "{point:?}");
        }
    }
}
