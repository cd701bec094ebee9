//! Lists for people, or for scripts.

use clap::ValueEnum;
use serde_json::Value;

/// How a list is printed.
#[derive(Clone, Copy, ValueEnum)]
pub enum Output {
    /// An array of objects
    Json,
    /// Columns
    Table,
}

/// Prints an array of objects; `columns` chooses and orders what a table shows.
pub fn print(list: &Value, columns: &[&str], output: Output) {
    match output {
        Output::Json => println!("{list:#}"),
        Output::Table => print!("{}", text(list, columns)),
    }
}

/// The columns of a table.
pub fn text(list: &Value, columns: &[&str]) -> String {
    let mut rows = vec![columns.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>()];
    for item in list.as_array().into_iter().flatten() {
        rows.push(columns.iter().map(|column| cell(&item[*column])).collect());
    }
    let width = |n: usize| {
        rows.iter()
            .map(|row| row[n].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut lines = String::new();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        lines += cells.join("  ").trim_end();
        lines.push('\n');
    }
    lines
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let list = serde_json::json!([{ "A": "longer", "B": 3 }, { "A": "x" }]);
        assert_eq!(
            text(&list, &["A", "B"]),
            "A       B\nlonger  3\nx       -\n"
        );
    }
}
