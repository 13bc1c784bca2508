//! Functions to be minimized with known optima: two classics, and two made up for the kind of space that a prompt
//! search has.
//!
//! Branin and Hartmann-6: Dixon and Szegö, *Towards Global Optimisation 2*, 1978. None of them is noisy.

use teleprompt_tpe::ParamValue;

use crate::bench::stats::SplitMix64;

/// How many times the best of random points is drawn for its mean.
const DRAWS: usize = 2_000;

/// One dimension of a space.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Parameter {
    Float { low: f64, high: f64 },
    Choice { n: usize },
}

/// A uniform random point.
pub(crate) fn draw(space: &[Parameter], random: &mut SplitMix64) -> Vec<ParamValue> {
    let value = |parameter: &Parameter| match *parameter {
        Parameter::Float { low, high } => ParamValue::Float(low + (high - low) * random.unit()),
        Parameter::Choice { n } => ParamValue::Choice(random.below(n)),
    };
    space.iter().map(value).collect()
}

type Function = Box<dyn Fn(&[ParamValue]) -> f64>;

/// A function over a space, with its minimum.
pub(crate) struct Problem {
    name: &'static str,
    space: Vec<Parameter>,
    function: Function,
    optimum: f64,
}

impl Problem {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn space(&self) -> &[Parameter] {
        &self.space
    }

    /// The least value there is.
    pub(crate) fn optimum(&self) -> f64 {
        self.optimum
    }

    /// The value at a point of the space.
    pub(crate) fn value(&self, point: &[ParamValue]) -> f64 {
        (self.function)(point)
    }

    /// The mean of the least value among `n` random points.
    pub(crate) fn best_of_random(&self, n: usize) -> f64 {
        let mut random = SplitMix64::new(50);
        let mut best = || {
            let values = (0..n).map(|_| self.value(&draw(&self.space, &mut random)));
            values.fold(f64::INFINITY, f64::min)
        };
        (0..DRAWS).map(|_| best()).sum::<f64>() / DRAWS as f64
    }
}

/// Two floats, three equal minima.
pub(crate) fn branin() -> Problem {
    let function = |point: &[ParamValue]| {
        use std::f64::consts::PI;
        let (x, y) = (float(point, 0), float(point, 1));
        let parabola = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
        parabola * parabola + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * libm::cos(x) + 10.0
    };
    Problem {
        name: "branin",
        space: vec![Parameter::Float { low: -5.0, high: 10.0 }, Parameter::Float { low: 0.0, high: 15.0 }],
        function: Box::new(function),
        optimum: 0.397_887_357_729_738_1,
    }
}

/// Six floats, six local minima.
pub(crate) fn hartmann6() -> Problem {
    const ALPHA: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
    const A: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const P: [[f64; 6]; 4] = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    let function = |point: &[ParamValue]| {
        let term = |((alpha, a), p): ((&f64, &[f64; 6]), &[f64; 6])| {
            let distances = a.iter().zip(p).enumerate();
            let sum: f64 =
                distances.map(|(i, (a, p))| a * (float(point, i) - p) * (float(point, i) - p)).sum();
            alpha * libm::exp(-sum)
        };
        -ALPHA.iter().zip(&A).zip(&P).map(term).sum::<f64>()
    };
    Problem {
        name: "hartmann6",
        space: vec![Parameter::Float { low: 0.0, high: 1.0 }; 6],
        function: Box::new(function),
        optimum: -3.322_368_011_415_511,
    }
}

/// Six categorical dimensions of five, each with an effect of its own and with its neighbour: like instructions and
/// demos of three predictors. The optimum is the best of all 15,625 points.
pub(crate) fn interactions() -> Problem {
    const DIMENSIONS: usize = 6;
    const CHOICES: usize = 5;
    let mut random = SplitMix64::new(6);
    let main: Vec<f64> = (0..DIMENSIONS * CHOICES).map(|_| random.unit()).collect();
    let pair: Vec<f64> = (0..(DIMENSIONS - 1) * CHOICES * CHOICES).map(|_| random.unit()).collect();
    let function = move |point: &[ParamValue]| {
        let at = |i: usize| choice(point, i);
        let alone = (0..DIMENSIONS).filter_map(|i| main.get(i * CHOICES + at(i)));
        let together =
            (0..DIMENSIONS - 1).filter_map(|i| pair.get((i * CHOICES + at(i)) * CHOICES + at(i + 1)));
        alone.chain(together).sum()
    };
    let all = (0..CHOICES.pow(DIMENSIONS as u32)).map(|code| {
        let digit = |i: usize| ParamValue::Choice(code / CHOICES.pow(i as u32) % CHOICES);
        function(&(0..DIMENSIONS).map(digit).collect::<Vec<_>>())
    });
    let optimum = all.fold(f64::INFINITY, f64::min);
    Problem {
        name: "interactions 6 x 5",
        space: vec![Parameter::Choice { n: CHOICES }; DIMENSIONS],
        function: Box::new(function),
        optimum,
    }
}

/// A choice of eight arms, each a bowl of two floats with its own centre and depth; one arm is best.
pub(crate) fn mixed() -> Problem {
    const ARMS: usize = 8;
    let mut random = SplitMix64::new(8);
    let arms: Vec<[f64; 3]> = (0..ARMS).map(|_| [random.unit(), random.unit(), random.unit()]).collect();
    let optimum = arms.iter().map(|[_, _, depth]| *depth).fold(f64::INFINITY, f64::min);
    let function = move |point: &[ParamValue]| {
        let [x, y, depth] = arms.get(choice(point, 0)).copied().unwrap_or([0.0, 0.0, 1.0]);
        let (dx, dy) = (float(point, 1) - x, float(point, 2) - y);
        depth + 2.0 * (dx * dx + dy * dy)
    };
    let unit = Parameter::Float { low: 0.0, high: 1.0 };
    Problem {
        name: "arms 8 with 2 float",
        space: vec![Parameter::Choice { n: ARMS }, unit, unit],
        function: Box::new(function),
        optimum,
    }
}

/// The float at a place; NaN, which a comparison refuses, if there is none.
fn float(point: &[ParamValue], index: usize) -> f64 {
    match point.get(index) {
        Some(ParamValue::Float(value)) => *value,
        _ => f64::NAN,
    }
}

/// The choice at a place; one that no dimension has if there is none.
fn choice(point: &[ParamValue], index: usize) -> usize {
    match point.get(index) {
        Some(ParamValue::Choice(value)) => *value,
        _ => usize::MAX / 1024,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(problem: &Problem, point: &[f64]) -> f64 {
        problem.value(&point.iter().map(|&value| ParamValue::Float(value)).collect::<Vec<_>>())
    }

    #[test]
    fn the_classics_have_their_known_optima() {
        let branin = branin();
        for point in [[-std::f64::consts::PI, 12.275], [std::f64::consts::PI, 2.275]] {
            assert!((at(&branin, &point) - branin.optimum()).abs() < 1e-9);
        }
        let hartmann = hartmann6();
        let best = [0.201_69, 0.150_011, 0.476_874, 0.275_332, 0.311_652, 0.657_3];
        assert!((at(&hartmann, &best) - hartmann.optimum()).abs() < 1e-6);
    }

    #[test]
    fn no_random_point_is_below_the_optimum() {
        let mut random = SplitMix64::new(3);
        for problem in [branin(), hartmann6(), interactions(), mixed()] {
            for _ in 0..500 {
                let value = problem.value(&draw(problem.space(), &mut random));
                assert!(value >= problem.optimum(), "{}: {value}", problem.name());
            }
            assert!(problem.best_of_random(50) > problem.optimum(), "{}", problem.name());
        }
    }
}
