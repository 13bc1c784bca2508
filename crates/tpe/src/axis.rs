//! Dimensions: numeric parameters on a unit interval, choices as positions. The one place that knows of
//! logarithms, steps and bounds.
//!
//! All kernels and uniform draws live on `[0, 1]`, so neither tiny nor huge ranges (1e-300, 1e300) can
//! overflow them. A stepped parameter owns half a step beyond each bound, so every grid value has a cell of
//! its own, as in Optuna (`optuna 5.0 samplers/_tpe/parzen_estimator.py`).

use crate::distribution::{Distribution, ParamValue};

/// A parameter as the densities see it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Dimension {
    /// So many choices.
    Categorical(usize),
    /// A numeric axis.
    Numeric(Axis),
}

impl Dimension {
    pub(crate) fn new(distribution: &Distribution) -> Self {
        match *distribution {
            Distribution::Categorical { ref choices } => Self::Categorical(choices.len()),
            Distribution::Float { low, high, log, step } => {
                Self::Numeric(Axis::new(low, high, log, step, false))
            }
            Distribution::Int { low, high, log, step } => {
                Self::Numeric(Axis::new(low as f64, high as f64, log, Some(step as f64), true))
            }
        }
    }

    /// The cell of a value; of a choice only the center counts, and it is the choice's position.
    pub(crate) fn cell(&self, value: ParamValue) -> Cell {
        match (self, value) {
            (_, ParamValue::Choice(position)) => Cell::point(position as f64),
            (Self::Numeric(axis), ParamValue::Float(x)) => axis.cell(x),
            (Self::Numeric(axis), ParamValue::Int(x)) => axis.cell(x as f64),
            (Self::Categorical(_), ParamValue::Float(_) | ParamValue::Int(_)) => Cell::point(0.0),
        }
    }

    /// The value at a center: the inverse of [`cell`](Self::cell).
    pub(crate) fn value(&self, center: f64) -> ParamValue {
        match self {
            Self::Categorical(_) => ParamValue::Choice(center as usize),
            Self::Numeric(axis) if axis.integer => ParamValue::Int(axis.value(center) as i64),
            Self::Numeric(axis) => ParamValue::Float(axis.value(center)),
        }
    }

    /// The value at `u` in `[0, 1]`, where choices and grid cells share the interval.
    pub(crate) fn at(&self, u: f64) -> ParamValue {
        self.value(match *self {
            Self::Categorical(n) => (u * n as f64).min(n as f64 - 1.0),
            Self::Numeric(_) => u,
        })
    }
}

/// A numeric distribution mapped onto the unit interval; with a single value only draws are meaningful.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    step: Option<f64>,
    integer: bool,
    /// The lower end of the interval on the (perhaps logarithmic) scale.
    origin: f64,
    /// Its width on that scale, above 0.
    width: f64,
}

/// Where a value lies on its axis: on a stepped axis the borders of its cell, else twice the value itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    /// The value.
    pub(crate) center: f64,
    /// The lower border.
    pub(crate) left: f64,
    /// The upper border.
    pub(crate) right: f64,
    /// The width, above 0 even where the borders round to the same number; 1 where there are no cells.
    pub(crate) extent: f64,
}

impl Cell {
    fn point(center: f64) -> Self {
        Self { center, left: center, right: center, extent: 1.0 }
    }
}

impl Axis {
    fn new(low: f64, high: f64, log: bool, step: Option<f64>, integer: bool) -> Self {
        let half = step.map_or(0.0, |step| step / 2.0);
        let scale = |x: f64| if log { libm::log(x) } else { x };
        let origin = scale(low - half);
        Self { low, high, log, step, integer, origin, width: scale(high + half) - origin }
    }

    /// Whether values form a grid.
    pub(crate) fn is_stepped(&self) -> bool {
        self.step.is_some()
    }

    /// The mean width of a cell on the unit interval, 0 where there are no cells.
    pub(crate) fn mean_cell(&self) -> f64 {
        self.step.map_or(0.0, |step| 1.0 / ((self.high - self.low) / step + 1.0).round())
    }

    /// The logarithm of the width of the unit interval on the parameter's (perhaps logarithmic) scale.
    pub(crate) fn log_width(&self) -> f64 {
        libm::log(self.width)
    }

    fn unit(&self, x: f64) -> f64 {
        let scaled = if self.log { libm::log(x) } else { x };
        ((scaled - self.origin) / self.width).clamp(0.0, 1.0)
    }

    fn cell(&self, x: f64) -> Cell {
        let center = self.unit(x);
        let Some(step) = self.step else { return Cell::point(center) };
        let (low, high) = (x - step / 2.0, x + step / 2.0);
        let scaled = if self.log { libm::log1p(step / low) } else { step };
        Cell { center, left: self.unit(low), right: self.unit(high), extent: scaled / self.width }
    }

    /// The value at `u` in `[0, 1]`, on the grid where there is one.
    fn value(&self, u: f64) -> f64 {
        let scaled = self.origin + u * self.width;
        let x = if self.log { libm::exp(scaled) } else { scaled };
        let on_grid = match self.step {
            None => x,
            Some(step) => self.low + ((x - self.low) / step).round() * step,
        };
        on_grid.clamp(self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn draws_are_values(
            u in 0.0..=1.0_f64,
            low in -50_i64..50,
            span in 1_i64..60,
            step in 1_i64..9,
            e in -300..300,
        ) {
            let scale = libm::pow(10.0, f64::from(e));
            let (a, b) = (low as f64 * scale, (low + span) as f64 * scale);
            for distribution in [
                Distribution::float(a, b),
                Distribution::stepped_float(a, b, 0.1 * scale),
                Distribution::log_float(scale, scale * 1e7),
                Distribution::stepped_int(low, low + span, step),
                Distribution::log_int(1 + low.abs(), 1 + low.abs() + span),
            ] {
                let distribution = distribution.checked().unwrap();
                let dimension = Dimension::new(&distribution);
                let Dimension::Numeric(axis) = &dimension else { panic!("numeric") };
                let x = dimension.value(u);
                prop_assert!(distribution.contains(x), "{distribution:?} {x}");
                if distribution.only_value().is_some() {
                    continue;
                }
                let cell = dimension.cell(x);
                prop_assert!(0.0 <= cell.left && cell.left <= cell.center && cell.center <= cell.right);
                prop_assert!(cell.right <= 1.0);
                if axis.is_stepped() {
                    prop_assert!(cell.left - 1e-9 <= u && u <= cell.right + 1e-9, "{distribution:?} {u} {cell:?}");
                } else {
                    prop_assert!((cell.center - u).abs() < 1e-9, "{distribution:?} {u} {cell:?}");
                }
            }
        }
    }

    #[test]
    fn cells_of_a_grid_fill_the_interval() {
        let dimension = Dimension::new(&Distribution::log_int(1, 9));
        let mut right = 0.0;
        for x in 1..=9 {
            let cell = dimension.cell(ParamValue::Int(x));
            assert!((cell.left - right).abs() < 1e-12);
            right = cell.right;
        }
        assert!((right - 1.0).abs() < 1e-12);
    }
}
