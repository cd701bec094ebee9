//! Curves as small pictures of one scale: SVG, both axes logarithmic.

use std::fmt::Write;

use crate::growth::{Curve, Panel};

const COLOURS: [&str; 2] = ["#1f6feb", "#9aa4ae"];
/// A panel, and the field in it that the curves have.
const WIDE: f64 = 400.0;
const TALL: f64 = 250.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 40.0;
const FIELD: (f64, f64) = (WIDE - LEFT - 20.0, TALL - TOP - 42.0);
const COLUMNS: usize = 2;

/// A number with as many digits as one reads.
pub fn figure(n: f64) -> String {
    match n {
        n if n >= 1e6 => format!("{}M", short(n / 1e6)),
        n if n >= 1e4 => format!("{}k", short(n / 1e3)),
        n => short(n),
    }
}

fn short(n: f64) -> String {
    let text = if n >= 100.0 {
        format!("{n:.0}")
    } else if n >= 10.0 {
        format!("{n:.1}")
    } else {
        format!("{n:.2}")
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The powers of ten around values: the least is at or below all of them, the greatest at or above.
///
/// # Panics
/// If there is none, or one has no logarithm: nothing that was measured is so.
fn decades(values: impl Iterator<Item = f64>) -> (i32, i32) {
    let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
    assert!(low > 0.0 && high.is_finite(), "from {low} to {high}");
    let low = low.log10().floor() as i32;
    // A curve along the lower edge, or of one value, still gets a field.
    (low, (high.log10().ceil() as i32).max(low + 1))
}

/// All panels in one picture.
pub fn svg(panels: &[Panel]) -> String {
    let rows = panels.len().div_ceil(COLUMNS);
    let (width, height) = (WIDE * COLUMNS as f64, TALL * rows as f64);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (at, panel) in panels.iter().enumerate() {
        let (x, y) = (WIDE * (at % COLUMNS) as f64, TALL * (at / COLUMNS) as f64);
        let _ = writeln!(out, "<g transform=\"translate({x} {y})\">");
        draw(panel, &mut out);
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

fn draw(panel: &Panel, out: &mut String) {
    let points = || panel.curves.iter().flat_map(|c| &c.points);
    let across = decades(points().map(|p| p.0));
    let up = decades(points().map(|p| p.1));
    let share =
        |v: f64, (low, high): (i32, i32)| (v.log10() - f64::from(low)) / f64::from(high - low);
    let x = |v| LEFT + FIELD.0 * share(v, across);
    let y = |v| TOP + FIELD.1 * (1.0 - share(v, up));
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"16\" font-weight=\"bold\">{}</text>",
        panel.title
    );
    let bottom = TOP + FIELD.1;
    for power in up.0..=up.1 {
        let at = y(10_f64.powi(power));
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {at:.1}h{}\" stroke=\"#d0d7de\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            FIELD.0,
            LEFT - 5.0,
            at + 4.0,
            figure(10_f64.powi(power))
        );
    }
    for power in across.0..=across.1 {
        let at = x(10_f64.powi(power));
        let _ = writeln!(
            out,
            "<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"#eaeef2\"/><text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            bottom + 14.0,
            figure(10_f64.powi(power))
        );
    }
    let middle = LEFT + FIELD.0 / 2.0;
    let _ = writeln!(
        out,
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        bottom + 30.0,
        panel.over
    );
    for (at, (curve, colour)) in panel.curves.iter().zip(COLOURS).enumerate() {
        line(curve, colour, (&x, &y), out);
        let legend = LEFT + 170.0 * at as f64;
        let _ = writeln!(
            out,
            "<rect x=\"{legend}\" y=\"23\" width=\"10\" height=\"10\" fill=\"{colour}\"/><text x=\"{}\" y=\"32\">{}</text>",
            legend + 14.0,
            curve.name
        );
    }
}

type Scale<'a> = &'a dyn Fn(f64) -> f64;

fn line(curve: &Curve, colour: &str, (x, y): (Scale<'_>, Scale<'_>), out: &mut String) {
    let path: Vec<String> = curve
        .points
        .iter()
        .map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1)))
        .collect();
    let _ = writeln!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        path.join(" ")
    );
    for p in &curve.points {
        let _ = writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"><title>{}: {}</title></circle>",
            x(p.0),
            y(p.1),
            figure(p.0),
            figure(p.1)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let shown = [0.5, 1.0, 12.34, 1234.0, 100_000.0, 16_777_216.0].map(figure);
        assert_eq!(shown, ["0.5", "1", "12.3", "1234", "100k", "16.8M"]);
    }

    #[test]
    fn every_point_is_in_its_field() {
        assert_eq!(decades([1.0, 1000.0].into_iter()), (0, 3));
        assert_eq!(decades([0.3, 0.3].into_iter()), (-1, 0));
        assert_eq!(decades([10.0].into_iter()), (1, 2));
        let points = vec![(10.0, 1.0), (1e5, 50.0)];
        let panel = Panel {
            title: "t",
            over: "o",
            curves: vec![Curve { name: "c", points }],
        };
        let picture = svg(&[panel]);
        assert!(picture.contains(&format!(
            "<polyline points=\"{LEFT:.1},{:.1} ",
            TOP + FIELD.1
        )));
    }
}
