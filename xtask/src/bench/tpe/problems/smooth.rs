//! Continuous test functions, with the ranges of the usual test sets; where an optimum would lie in the middle of a
//! range, the range is not symmetric around it.
//!
//! Branin and Hartmann: Dixon and Szegö, *Towards Global Optimisation 2*, 1978. The others: Jamil and Yang, *A
//! literature survey of benchmark functions* (arXiv:1308.4008); Dewancker et al., *A stratified analysis of Bayesian
//! optimization methods* (arXiv:1603.09441).

use std::f64::consts::{E, PI};

use super::{Half, Problem};
use crate::bench::tpe::space::{Parameter, Point, number};

/// All continuous problems.
pub(super) fn all() -> Vec<Problem> {
    use Half::{Develop, Kept};
    let cube = |n, low, high| vec![Parameter::float(low, high); n];
    let make = |half, name: &str, space, trials, optimum, function: fn(&[f64]) -> f64| Problem {
        name: name.to_owned(),
        half,
        space,
        function: Box::new(move |point: &Point| {
            let x: Vec<f64> = (0..point.len()).map(|index| number(point, index)).collect();
            function(&x)
        }),
        optimum,
        noise: 0.0,
        trials,
    };
    let branin_space = vec![Parameter::float(-5.0, 10.0), Parameter::float(0.0, 15.0)];
    let camel = vec![Parameter::float(-3.0, 3.0), Parameter::float(-2.0, 2.0)];
    let valley = vec![Parameter::float(-1.5, 4.0), Parameter::float(-3.0, 4.0)];
    let mut noisy =
        make(Develop, "hartmann6 noisy", cube(6, 0.0, 1.0), 100, -3.322_368_011_415_511, hartmann6);
    noisy.noise = 0.2;
    let mut noisy_branin =
        make(Kept, "branin2 noisy", branin_space.clone(), 60, 0.397_887_357_729_738_1, branin);
    noisy_branin.noise = 2.0;
    vec![
        make(Develop, "branin2", branin_space, 100, 0.397_887_357_729_738_1, branin),
        make(Develop, "hartmann6", cube(6, 0.0, 1.0), 100, -3.322_368_011_415_511, hartmann6),
        make(Develop, "rosenbrock5", cube(5, -5.0, 10.0), 100, 0.0, rosenbrock),
        make(Develop, "ackley10", cube(10, -10.0, 30.0), 100, 0.0, ackley),
        make(Develop, "levy4", cube(4, -10.0, 10.0), 100, 0.0, levy),
        make(Develop, "camel2", camel, 60, -1.031_628_453_489_877, camel6),
        make(Develop, "rastrigin4", cube(4, -2.6, 5.12), 100, 0.0, rastrigin),
        make(Develop, "griewank5", cube(5, -50.0, 20.0), 100, 0.0, griewank),
        make(Develop, "sphere20", cube(20, -5.0, 8.0), 200, 0.0, sphere),
        noisy,
        make(Kept, "hartmann3", cube(3, 0.0, 1.0), 60, -3.862_779_786_949_4, hartmann3),
        make(Kept, "michalewicz5", cube(5, 0.0, PI), 100, -4.687_658_179_1, michalewicz),
        make(Kept, "alpine6", cube(6, -6.0, 10.0), 100, 0.0, alpine),
        make(Kept, "mccormick2", valley, 60, -1.913_222_954_981_037, mccormick),
        make(Kept, "styblinski8", cube(8, -5.0, 5.0), 100, -39.166_165_703_771_42 * 8.0, styblinski),
        make(Kept, "goldstein2", cube(2, -2.0, 2.0), 80, libm::log(3.0), goldstein),
        make(Kept, "zakharov8", cube(8, -5.0, 10.0), 100, 0.0, zakharov),
        make(Kept, "ackley4", cube(4, -10.0, 30.0), 80, 0.0, ackley),
        make(Kept, "schwefel3", cube(3, -500.0, 500.0), 100, 0.0, schwefel),
        noisy_branin,
    ]
}

fn branin(x: &[f64]) -> f64 {
    let parabola = x[1] - 5.1 / (4.0 * PI * PI) * x[0] * x[0] + 5.0 / PI * x[0] - 6.0;
    parabola * parabola + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * libm::cos(x[0]) + 10.0
}

const ALPHA: [f64; 4] = [1.0, 1.2, 3.0, 3.2];

fn hartmann<const N: usize>(x: &[f64], a: &[[f64; N]; 4], p: &[[f64; N]; 4]) -> f64 {
    let term = |((alpha, a), p): ((&f64, &[f64; N]), &[f64; N])| {
        let sum: f64 = a.iter().zip(p).zip(x).map(|((a, p), x)| a * (x - p) * (x - p)).sum();
        alpha * libm::exp(-sum)
    };
    -ALPHA.iter().zip(a).zip(p).map(term).sum::<f64>()
}

fn hartmann6(x: &[f64]) -> f64 {
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
    hartmann(x, &A, &P)
}

fn hartmann3(x: &[f64]) -> f64 {
    const A: [[f64; 3]; 4] = [[3.0, 10.0, 30.0], [0.1, 10.0, 35.0], [3.0, 10.0, 30.0], [0.1, 10.0, 35.0]];
    const P: [[f64; 3]; 4] = [
        [0.3689, 0.1170, 0.2673],
        [0.4699, 0.4387, 0.7470],
        [0.1091, 0.8732, 0.5547],
        [0.0381, 0.5743, 0.8828],
    ];
    hartmann(x, &A, &P)
}

fn rosenbrock(x: &[f64]) -> f64 {
    x.windows(2).map(|w| 100.0 * (w[1] - w[0] * w[0]).powi(2) + (1.0 - w[0]).powi(2)).sum()
}

fn ackley(x: &[f64]) -> f64 {
    let n = x.len() as f64;
    let squares: f64 = x.iter().map(|x| x * x).sum();
    let waves: f64 = x.iter().map(|x| libm::cos(2.0 * PI * x)).sum();
    -20.0 * libm::exp(-0.2 * (squares / n).sqrt()) - libm::exp(waves / n) + 20.0 + E
}

fn levy(x: &[f64]) -> f64 {
    let w: Vec<f64> = x.iter().map(|x| 1.0 + (x - 1.0) / 4.0).collect();
    let last = w[w.len() - 1];
    let inner: f64 = (w[..w.len() - 1].iter())
        .map(|w| (w - 1.0).powi(2) * (1.0 + 10.0 * libm::sin(PI * w + 1.0).powi(2)))
        .sum();
    libm::sin(PI * w[0]).powi(2) + inner + (last - 1.0).powi(2) * (1.0 + libm::sin(2.0 * PI * last).powi(2))
}

fn camel6(x: &[f64]) -> f64 {
    let (a, b) = (x[0] * x[0], x[1] * x[1]);
    (4.0 - 2.1 * a + a * a / 3.0) * a + x[0] * x[1] + (4.0 * b - 4.0) * b
}

fn rastrigin(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x - 10.0 * libm::cos(2.0 * PI * x) + 10.0).sum()
}

fn griewank(x: &[f64]) -> f64 {
    let squares: f64 = x.iter().map(|x| x * x / 4000.0).sum();
    let waves: f64 = x.iter().zip(1..).map(|(x, i)| libm::cos(x / f64::from(i).sqrt())).product();
    squares - waves + 1.0
}

fn sphere(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

fn michalewicz(x: &[f64]) -> f64 {
    -x.iter()
        .zip(1..)
        .map(|(x, i)| libm::sin(*x) * libm::sin(f64::from(i) * x * x / PI).powi(20))
        .sum::<f64>()
}

fn alpine(x: &[f64]) -> f64 {
    x.iter().map(|x| (x * libm::sin(*x) + 0.1 * x).abs()).sum()
}

fn mccormick(x: &[f64]) -> f64 {
    libm::sin(x[0] + x[1]) + (x[0] - x[1]).powi(2) - 1.5 * x[0] + 2.5 * x[1] + 1.0
}

fn styblinski(x: &[f64]) -> f64 {
    x.iter().map(|x| 0.5 * (x.powi(4) - 16.0 * x * x + 5.0 * x)).sum()
}

/// The logarithm of Goldstein and Price's function.
fn goldstein(x: &[f64]) -> f64 {
    let (a, b) = (x[0], x[1]);
    let one =
        1.0 + (a + b + 1.0).powi(2) * (19.0 - 14.0 * a + 3.0 * a * a - 14.0 * b + 6.0 * a * b + 3.0 * b * b);
    let two = 30.0
        + (2.0 * a - 3.0 * b).powi(2)
            * (18.0 - 32.0 * a + 12.0 * a * a + 48.0 * b - 36.0 * a * b + 27.0 * b * b);
    libm::log(one * two)
}

fn zakharov(x: &[f64]) -> f64 {
    let sum: f64 = x.iter().zip(1..).map(|(x, i)| 0.5 * f64::from(i) * x).sum();
    sphere(x) + sum.powi(2) + sum.powi(4)
}

fn schwefel(x: &[f64]) -> f64 {
    // The least value of one term, at 420.9687..
    x.iter().map(|x| 418.982_887_272_433_8 - x * libm::sin(x.abs().sqrt())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_their_known_optima() {
        let check =
            |found: f64, expect: f64| assert!((found - expect).abs() < 1e-6, "{found} is not {expect}");
        for point in [[-PI, 12.275], [PI, 2.275]] {
            check(branin(&point), 0.397_887_357_729_738_1);
        }
        check(
            hartmann6(&[0.201_69, 0.150_011, 0.476_874, 0.275_332, 0.311_652, 0.657_3]),
            -3.322_368_011_415_511,
        );
        check(hartmann3(&[0.114_589, 0.555_649, 0.852_547]), -3.862_779_786_949_4);
        check(rosenbrock(&[1.0; 5]), 0.0);
        check(ackley(&[0.0; 3]), 0.0);
        check(levy(&[1.0; 3]), 0.0);
        check(camel6(&[0.089_842_0, -0.712_656_4]), -1.031_628_453_489_877);
        check(griewank(&[0.0; 4]), 0.0);
        check(rastrigin(&[0.0; 4]), 0.0);
        check(michalewicz(&[2.202_905_5, PI / 2.0, 1.284_991_6, 1.923_058_5, 1.720_469_8]), -4.687_658_179_1);
        check(mccormick(&[-0.547_197_55, -1.547_197_55]), -1.913_222_954_981_037);
        check(styblinski(&[-2.903_534]), -39.166_165_703_771_42);
        check(goldstein(&[0.0, -1.0]), libm::log(3.0));
        check(schwefel(&[420.968_746; 3]), 0.0);
        check(zakharov(&[0.0; 3]) + alpine(&[0.0; 3]), 0.0);
    }
}
