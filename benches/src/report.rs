//! What was measured, as text, JSON and SVG.

use std::fmt::Write;

use serde_json::{Value, json};

/// One measured row.
pub struct Line {
    /// The row.
    pub name: String,
    /// Contender and operations a second.
    pub rates: Vec<(&'static str, f64)>,
    /// Ratio, its target, and what it is of.
    pub ratios: Vec<Ratio>,
    /// What a contender refused, or what else belongs beside the figures.
    pub notes: Vec<String>,
}

/// A ratio and its target.
pub struct Ratio {
    /// Of what.
    pub of: &'static str,
    /// As measured.
    pub is: f64,
    /// At least so much, or at most.
    pub wants: Option<Wants>,
}

/// A target.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub enum Wants {
    AtLeast(f64),
    AtMost(f64),
}

impl Ratio {
    /// Whether the target is met; true where there is none.
    pub fn holds(&self) -> bool {
        match self.wants {
            Some(Wants::AtLeast(n)) => self.is >= n,
            Some(Wants::AtMost(n)) => self.is <= n,
            None => true,
        }
    }

    fn words(&self) -> String {
        let is = if self.is >= 100.0 {
            format!("{:.0}", self.is)
        } else {
            format!("{:.2}", self.is)
        };
        match self.wants {
            Some(Wants::AtLeast(n)) => format!(
                "{} {is} (at least {n}{})",
                self.of,
                if self.holds() { "" } else { ": FALLS SHORT" }
            ),
            Some(Wants::AtMost(n)) => format!(
                "{} {is} (at most {n}{})",
                self.of,
                if self.holds() { "" } else { ": FALLS SHORT" }
            ),
            None => format!("{} {is}", self.of),
        }
    }
}

impl Line {
    /// The line of the table.
    pub fn text(&self) -> String {
        let mut text = format!("{:<28}", self.name);
        for (name, rate) in &self.rates {
            let _ = write!(text, " {name} {}/s", figure(*rate));
        }
        for ratio in &self.ratios {
            let _ = write!(text, "\n{:<28} {}", "", ratio.words());
        }
        for note in &self.notes {
            let _ = write!(text, "\n{:<28} {note}", "");
        }
        text
    }
}

fn figure(rate: f64) -> String {
    if rate < 100.0 {
        return format!("{rate:.1}");
    }
    let digits = format!("{rate:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// All lines.
pub fn json(lines: &[Line]) -> Value {
    let ratio = |r: &Ratio| {
        let (least, most) = match r.wants {
            Some(Wants::AtLeast(n)) => (Some(n), None),
            Some(Wants::AtMost(n)) => (None, Some(n)),
            None => (None, None),
        };
        json!({ "of": r.of, "is": r.is, "at-least": least, "at-most": most, "holds": r.holds() })
    };
    let line = |l: &Line| {
        let rates: serde_json::Map<String, Value> = l
            .rates
            .iter()
            .map(|(n, r)| ((*n).to_owned(), json!(r)))
            .collect();
        json!({ "row": l.name, "per-second": rates, "ratios": l.ratios.iter().map(ratio).collect::<Vec<_>>(), "notes": l.notes })
    };
    Value::Array(lines.iter().map(line).collect())
}

/// The same as a table in Markdown.
pub fn markdown(lines: &[Line]) -> String {
    let mut text = String::from("| operation | figures, each second | ratios |\n|---|---|---|\n");
    for l in lines {
        let rates: Vec<String> = l
            .rates
            .iter()
            .map(|(n, r)| format!("{n} {}", figure(*r)))
            .collect();
        let ratios: Vec<String> = l
            .ratios
            .iter()
            .map(Ratio::words)
            .chain(l.notes.iter().cloned())
            .collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            l.name,
            rates.join(", "),
            ratios.join("; ")
        );
    }
    text
}

const COLOURS: [(&str, &str); 4] = [
    ("Keystead", "#1f6feb"),
    ("SoftHSM2", "#b08800"),
    ("Kryoptic", "#8250df"),
    ("limit", "#9aa4ae"),
];

/// Bars: each contender's share of the fastest in its row, so that rows of all speeds fit one picture.
pub fn svg(lines: &[Line]) -> String {
    let lines: Vec<&Line> = lines.iter().filter(|l| l.rates.len() > 1).collect();
    let tall = |l: &Line| 12 * l.rates.len() + 12;
    let height: usize = 40 + lines.iter().map(|l| tall(l)).sum::<usize>();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (at, (name, colour)) in COLOURS.iter().enumerate() {
        let x = 220 + at * 110;
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"10\" width=\"10\" height=\"10\" fill=\"{colour}\"/><text x=\"{}\" y=\"19\">{name}</text>",
            x + 14
        );
    }
    let mut y = 34;
    for l in lines {
        let best = l
            .rates
            .iter()
            .map(|(_, r)| *r)
            .fold(f64::MIN_POSITIVE, f64::max);
        let _ = writeln!(
            out,
            "<text x=\"210\" y=\"{}\" text-anchor=\"end\">{}</text>",
            y + tall(l) / 2,
            l.name
        );
        for (name, rate) in &l.rates {
            let (colour, label) = match COLOURS.iter().find(|(n, _)| n == name) {
                Some((_, colour)) => (*colour, figure(*rate)),
                // Not in the legend.
                None => ("#57606a", format!("{} {name}", figure(*rate))),
            };
            let _ = writeln!(
                out,
                "<rect x=\"220\" y=\"{y}\" width=\"{:.1}\" height=\"10\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{}\">{}</text>",
                rate / best * 520.0,
                226.0 + rate / best * 520.0,
                y + 9,
                label
            );
            y += 12;
        }
        y += 12;
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_below_its_target_says_so() {
        let ratio = |is, wants| Ratio {
            of: "limit",
            is,
            wants: Some(wants),
        };
        assert!(
            ratio(0.4, Wants::AtLeast(0.5))
                .words()
                .contains("FALLS SHORT")
        );
        assert!(
            !ratio(0.6, Wants::AtLeast(0.5))
                .words()
                .contains("FALLS SHORT")
        );
        assert!(
            ratio(1.3, Wants::AtMost(1.25))
                .words()
                .contains("FALLS SHORT")
        );
        assert_eq!(figure(1_234_567.0), "1,234,567");
    }
}
