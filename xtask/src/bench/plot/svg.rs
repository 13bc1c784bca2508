//! Draws a plot: title, axes with numbers and lines, bands, lines, and a legend beside them.
//!
//! Dark on white, so that it is read on any page; the system's sans-serif letters; colours that the colour-blind tell apart
//! (Okabe and Ito, *Color Universal Design*, 2008), and dashes besides.

use std::fmt::Write as _;

use super::ticks::Ruler;
use super::{Plot, Series};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
/// The place of the axes within the plot.
const LEFT: f64 = 80.0;
const RIGHT: f64 = 590.0;
const TOP: f64 = 62.0;
const BOTTOM: f64 = 346.0;

/// Colour and dashes of the lines in order; ours is first.
const STYLES: [(&str, &str); 8] = [
    ("#0072b2", ""),
    ("#d55e00", ""),
    ("#009e73", "7 3"),
    ("#cc79a7", "2 3"),
    ("#e69f00", "9 3 2 3"),
    ("#56b4e9", "5 2"),
    ("#5b5b5b", "2 3"),
    ("#a0522d", "7 3 2 3"),
];

impl Plot {
    /// The plot as the text of an SVG file.
    pub(crate) fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = Ruler::tight(points().map(|point| point.x), self.x.scale);
        let y = Ruler::over(points().flat_map(|point| [point.low, point.middle, point.high]), self.y.scale);
        let right = |value: f64| LEFT + (RIGHT - LEFT) * x.share(value);
        let up = |value: f64| BOTTOM - (BOTTOM - TOP) * y.share(value);

        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             role=\"img\" font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#222\">\n\
             <title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
            escaped(&self.title)
        );
        text(&mut out, (16.0, 26.0), "font-size=\"15\" font-weight=\"600\"", &self.title);
        text(&mut out, (16.0, 45.0), "fill=\"#555\"", &self.note);

        for &tick in &y.ticks {
            let at = up(tick);
            let _ = writeln!(out, "<path d=\"M{LEFT} {at:.1}H{RIGHT}\" stroke=\"#e4e4e4\"/>");
            text(&mut out, (LEFT - 8.0, at + 4.0), "text-anchor=\"end\"", &y.label(tick));
        }
        for &tick in &x.ticks {
            let at = right(tick);
            let _ = writeln!(out, "<path d=\"M{at:.1} {BOTTOM}v5\" stroke=\"#555\"/>");
            text(&mut out, (at, BOTTOM + 20.0), "text-anchor=\"middle\"", &x.label(tick));
        }
        let _ = writeln!(out, "<path d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\" fill=\"none\" stroke=\"#555\"/>");
        let (across, along) = (f64::midpoint(LEFT, RIGHT), f64::midpoint(TOP, BOTTOM));
        text(&mut out, (across, BOTTOM + 42.0), "text-anchor=\"middle\"", &self.x.label);
        let turned = format!("text-anchor=\"middle\" transform=\"rotate(-90 22 {along})\"");
        text(&mut out, (22.0, along), &turned, &self.y.label);

        // Later ones first, so that the first, which is ours, lies on top; all bands below all lines.
        let styled: Vec<_> = self.series.iter().zip(STYLES.iter().cycle()).collect();
        for (series, (colour, _)) in styled.iter().rev() {
            band(&mut out, series, colour, &right, &up);
        }
        for (series, (colour, dashes)) in styled.iter().rev() {
            let places = series.points.iter().map(|point| (right(point.x), up(point.middle)));
            let _ = writeln!(
                out,
                "<path d=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{}/>",
                path(places),
                dashed(dashes)
            );
        }
        for (index, (series, (colour, dashes))) in styled.iter().enumerate() {
            let (from, at) = (RIGHT + 16.0, TOP + 10.0 + 22.0 * index as f64);
            let _ = writeln!(
                out,
                "<path d=\"M{from} {at}h26\" stroke=\"{colour}\" stroke-width=\"2.5\"{}/>",
                dashed(dashes)
            );
            text(&mut out, (from + 33.0, at + 4.0), "", &series.name);
        }
        out + "</svg>\n"
    }
}

/// The area between low and high.
fn band(
    out: &mut String,
    series: &Series,
    colour: &str,
    right: &dyn Fn(f64) -> f64,
    up: &dyn Fn(f64) -> f64,
) {
    let above = path(series.points.iter().map(|point| (right(point.x), up(point.high))));
    let below = path(series.points.iter().rev().map(|point| (right(point.x), up(point.low))));
    let back = below.replacen('M', "L", 1);
    let _ = writeln!(out, "<path d=\"{above}{back}Z\" fill=\"{colour}\" fill-opacity=\"0.13\"/>");
}

/// A path through places, to a tenth of a pixel, without those in the middle of a level stretch.
fn path(places: impl Iterator<Item = (f64, f64)>) -> String {
    let places: Vec<(String, String)> = places.map(|(x, y)| (format!("{x:.1}"), format!("{y:.1}"))).collect();
    let mut path = String::new();
    for (index, (x, y)) in places.iter().enumerate() {
        let level =
            |other: Option<usize>| other.and_then(|at| places.get(at)).is_some_and(|place| place.1 == *y);
        if level(index.checked_sub(1)) && level(Some(index + 1)) {
            continue;
        }
        let letter = if index == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{letter}{x} {y}");
    }
    path
}

fn dashed(dashes: &str) -> String {
    if dashes.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dashes}\"") }
}

fn text(out: &mut String, (x, y): (f64, f64), attributes: &str, words: &str) {
    let space = if attributes.is_empty() { "" } else { " " };
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\"{space}{attributes}>{}</text>", escaped(words));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::{Axis, Middle, Scale, grid};
    use super::*;

    fn sample() -> Plot {
        let curves = |rise: f64| -> Vec<Vec<(f64, f64)>> {
            (0..5)
                .map(|seed| (0..9).map(|i| (f64::from(i), rise * f64::from(i * (seed + 1)))).collect())
                .collect()
        };
        let series = |name, rise| Series::of(name, &curves(rise), &grid(8.0, 8), Middle::Mean);
        let axis = |label: &str| Axis { label: label.to_owned(), scale: Scale::Linear };
        Plot {
            name: "sample".into(),
            title: "Score & <runs>".into(),
            note: "mean".into(),
            x: axis("program runs"),
            y: axis("score"),
            series: vec![series("ours", 0.02), series("a \"peer\"", 0.01)],
        }
    }

    #[test]
    fn every_word_is_there_and_escaped() {
        let svg = sample().svg();
        for words in
            ["Score &amp; &lt;runs&gt;", ">ours<", ">a &quot;peer&quot;<", ">program runs<", ">score<"]
        {
            assert!(svg.contains(words), "{words}\n{svg}");
        }
        assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn every_line_lies_within_the_axes() {
        let svg = sample().svg();
        let lines: Vec<&str> = svg.lines().filter(|line| line.contains("stroke-width=\"2\"")).collect();
        assert_eq!(lines.len(), 2);
        for line in lines {
            let places = line.split('"').nth(1).unwrap();
            let mut last = 0.0;
            for place in places.split(['M', 'L']).skip(1) {
                let (x, y) = place.split_once(' ').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!(x > last && (LEFT..=RIGHT).contains(&x) && (TOP..=BOTTOM).contains(&y), "{place}");
                last = x;
            }
        }
    }

    #[test]
    fn level_stretches_have_two_ends() {
        let places = [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (3.0, 1.0), (4.0, 2.0), (5.0, 2.0)];
        assert_eq!(path(places.into_iter()), "M0.0 1.0L3.0 1.0L4.0 2.0L5.0 2.0");
    }

    #[test]
    fn a_plot_without_points_is_drawn() {
        let empty = Plot { series: vec![Series { name: "none".into(), points: Vec::new() }], ..sample() };
        assert!(empty.svg().contains(">none<"));
    }

    #[test]
    fn the_file_is_small() {
        assert!(sample().svg().len() < 8_000, "{}", sample().svg().len());
    }
}
