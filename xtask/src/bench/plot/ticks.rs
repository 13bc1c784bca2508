//! Where an axis has its numbers, and how they are written.

/// How values are laid out on an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(not(any(test, feature = "bench")), expect(dead_code, reason = "only families make plots"))]
pub(crate) enum Scale {
    /// At even distances.
    Linear,
    /// In powers of ten; values below `floor`, which is above 0, count as `floor`.
    Log { floor: f64 },
}

/// Lines drawn at about so many values.
const WANTED: f64 = 6.0;

/// An axis with its ends: maps values to shares of its length.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ruler {
    scale: Scale,
    low: f64,
    high: f64,
    /// The values that are numbered, ascending.
    pub(super) ticks: Vec<f64>,
}

impl Ruler {
    /// A ruler that ends where the values do, at no round number.
    pub(super) fn tight(values: impl Iterator<Item = f64> + Clone, scale: Scale) -> Self {
        let mut ruler = Self::over(values.clone(), scale);
        let placed = || values.clone().filter(|value| value.is_finite()).map(|value| place(scale, value));
        let (least, most) = (placed().reduce(f64::min), placed().reduce(f64::max));
        if let (Some(least), Some(most)) = (least, most)
            && least < most
        {
            ruler.low = ruler.low.max(least.min(place(scale, 0.0)));
            ruler.high = most;
            ruler.ticks.retain(|&tick| (ruler.low..=ruler.high).contains(&place(scale, tick)));
        }
        ruler
    }

    /// A ruler that has room for all values; 0 to 1 where there are none.
    pub(super) fn over(values: impl Iterator<Item = f64>, scale: Scale) -> Self {
        let placed: Vec<f64> =
            values.filter(|value| value.is_finite()).map(|value| place(scale, value)).collect();
        let least = placed.iter().copied().reduce(f64::min).unwrap_or(0.0);
        let most = placed.iter().copied().reduce(f64::max).unwrap_or(1.0);
        // A flat line runs through the middle.
        let room = if most - least < 1e-12 { (0.1 * most.abs()).max(0.01) } else { 0.0 };
        let (least, most) = (least - room, most + room);
        match scale {
            Scale::Linear => {
                let step = step((most - least) / WANTED);
                let (first, last) = ((least / step).floor(), (most / step).ceil());
                let ticks: Vec<f64> =
                    (0..=(last - first) as usize).map(|i| (first + i as f64) * step).collect();
                Self { scale, low: first * step, high: last * step, ticks }
            }
            Scale::Log { .. } => {
                let (first, last) = (least.floor() as i32, most.ceil() as i32);
                // Few decades have numbers between, and end at one of them.
                let factors: &[f64] = if last - first <= 3 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let every = ((f64::from(last - first) / (2.0 * WANTED)).ceil() as usize).max(1);
                let powers = (first..=last).step_by(every).map(|power| 10_f64.powi(power));
                let all: Vec<f64> =
                    powers.flat_map(|power| factors.iter().map(move |factor| factor * power)).collect();
                let from = all.iter().rposition(|tick| tick.log10() <= least + 1e-9).unwrap_or(0);
                let to = all.iter().position(|tick| tick.log10() >= most - 1e-9).unwrap_or(all.len() - 1);
                let ticks = all[from..=to].to_vec();
                Self { scale, low: all[from].log10(), high: all[to].log10(), ticks }
            }
        }
    }

    /// Where a value stands: 0 at the lower end, 1 at the upper one.
    pub(super) fn share(&self, value: f64) -> f64 {
        ((place(self.scale, value) - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// A number of the axis as text.
    pub(super) fn label(&self, tick: f64) -> String {
        match self.scale {
            Scale::Linear => {
                let step = self.ticks.get(1).zip(self.ticks.first()).map_or(1.0, |(b, a)| b - a);
                let decimals = (-step.log10() - 1e-6).ceil().max(0.0) as usize;
                // No `-0`.
                let tick = if tick.abs() < step / 2.0 { 0.0 } else { tick };
                grouped(&format!("{tick:.decimals$}"))
            }
            Scale::Log { .. } if (1e-3..1e4).contains(&tick) => grouped(&format!("{tick}")),
            Scale::Log { .. } => format!("1e{}", tick.log10().round()),
        }
    }
}

fn place(scale: Scale, value: f64) -> f64 {
    match scale {
        Scale::Linear => value,
        Scale::Log { floor } => value.max(floor).log10(),
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not below `least`.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= least * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// A number with commas between groups of three digits before the point.
fn grouped(number: &str) -> String {
    let (whole, rest) = number.find('.').map_or((number, ""), |point| number.split_at(point));
    let mut text = String::new();
    for (index, digit) in whole.char_indices() {
        let left = whole.len() - index;
        if index > 0 && left.is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], scale: Scale) -> String {
        let ruler = Ruler::over(values.iter().copied(), scale);
        ruler.ticks.iter().map(|&tick| ruler.label(tick)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn numbers_are_round_and_hold_all_values() {
        assert_eq!(labels(&[0.0, 100.0], Scale::Linear), "0 20 40 60 80 100");
        assert_eq!(labels(&[0.31, 0.78], Scale::Linear), "0.3 0.4 0.5 0.6 0.7 0.8");
        assert_eq!(labels(&[-0.1, 0.4], Scale::Linear), "-0.1 0.0 0.1 0.2 0.3 0.4");
        assert_eq!(labels(&[0.0, 12_400.0], Scale::Linear), "0 5,000 10,000 15,000");
        assert_eq!(labels(&[2.0, 2.0], Scale::Linear), "1.8 1.9 2.0 2.1 2.2");
        assert_eq!(labels(&[0.208, 0.244], Scale::Linear), "0.20 0.21 0.22 0.23 0.24 0.25");
        assert_eq!(labels(&[], Scale::Linear), "0.0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(labels(&[0.02, 1.0], Scale::Log { floor: 1e-9 }), "0.02 0.05 0.1 0.2 0.5 1");
        assert_eq!(labels(&[0.03, 30.0], Scale::Log { floor: 1e-9 }), "0.01 0.1 1 10 100");
        assert_eq!(labels(&[0.0, 1.0], Scale::Log { floor: 1e-4 }), "1e-4 0.001 0.01 0.1 1");
        assert_eq!(labels(&[f64::NAN, 1.0, 3.0], Scale::Linear), "1.0 1.5 2.0 2.5 3.0");
    }

    #[test]
    fn a_tight_ruler_ends_with_the_values() {
        let ruler = Ruler::tight([0.0, 820.0].into_iter(), Scale::Linear);
        assert_eq!((ruler.share(0.0), ruler.share(820.0)), (0.0, 1.0));
        assert_eq!(ruler.ticks, [0.0, 200.0, 400.0, 600.0, 800.0]);
        assert_eq!(
            Ruler::tight([2.0].into_iter(), Scale::Linear),
            Ruler::over([2.0].into_iter(), Scale::Linear)
        );
    }

    #[test]
    fn shares_go_from_end_to_end() {
        let ruler = Ruler::over([0.0, 10.0].into_iter(), Scale::Linear);
        assert_eq!([0.0, 5.0, 10.0, 20.0].map(|value| ruler.share(value)), [0.0, 0.5, 1.0, 1.0]);
        let ruler = Ruler::over([0.01, 1.0].into_iter(), Scale::Log { floor: 0.01 });
        assert_eq!([0.0, 0.1, 1.0].map(|value| ruler.share(value)), [0.0, 0.5, 1.0]);
    }
}
