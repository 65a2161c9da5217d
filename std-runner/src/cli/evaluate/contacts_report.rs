//! Tables of contact precisions.

use std::fmt::Write as _;

use crate::accuracy::bootstrap::{Interval, mean, mean_interval};
use crate::accuracy::precision::{DIVISORS, Precisions, RANGES};
use serde_json::{Value, json};

use super::targets::{LeftOut, Source, head};

/// One target.
pub struct Row {
    pub id: String,
    /// What its files are called.
    pub name: String,
    pub length: usize,
    pub resolved: usize,
    pub structure: Source,
    pub model: Precisions,
    pub reference: Option<Precisions>,
}

/// One mean over the targets that have it, in percent.
struct Cell {
    range: &'static str,
    count: &'static str,
    model: Option<f64>,
    reference: Option<f64>,
    difference: Option<Interval>,
}

const COUNTS: [&str; DIVISORS.len()] = ["P@L", "P@L/2", "P@L/5"];

fn cells(rows: &[Row]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (r, range) in RANGES.iter().enumerate() {
        for (c, count) in COUNTS.into_iter().enumerate() {
            let of = |p: &Precisions| p[r][c].map(|p| p * 100.0);
            let references = rows.iter().filter_map(|row| of(row.reference.as_ref()?));
            let difference = |row: &Row| Some(of(&row.model)? - of(row.reference.as_ref()?)?);
            let differences: Vec<f64> = rows.iter().filter_map(difference).collect();
            cells.push(Cell {
                range: range.name,
                count,
                model: mean(rows.iter().filter_map(|row| of(&row.model))),
                reference: mean(references),
                difference: mean_interval(&differences),
            });
        }
    }
    cells
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |v| format!("{v:.2}"))
}

/// Means in percent as a Markdown table.
pub fn markdown(rows: &[Row], left_out: usize) -> String {
    let cells = cells(rows);
    let head = head(rows.iter().map(|row| (row.length, &row.structure)), left_out);
    let mut text = format!("{head}; precision in percent\n\n");
    if rows.iter().any(|row| row.reference.is_some()) {
        text += "| separation | pairs | integer | float | difference (95% interval) |\n|---|---|---:|---:|---:|\n";
        for cell in &cells {
            let difference = cell
                .difference
                .map_or_else(|| "-".into(), |d| format!("{:+.2} ({:+.2} to {:+.2})", d.mean, d.low, d.high));
            let (model, reference) = (number(cell.model), number(cell.reference));
            let _ =
                writeln!(text, "| {} | {} | {model} | {reference} | {difference} |", cell.range, cell.count);
        }
    } else {
        let _ = writeln!(text, "| separation | {} |\n|---|---:|---:|---:|", COUNTS.join(" | "));
        for row in cells.chunks(COUNTS.len()) {
            let values: Vec<String> = row.iter().map(|cell| number(cell.model)).collect();
            let _ = writeln!(text, "| {} | {} |", row[0].range, values.join(" | "));
        }
    }
    text
}

/// Means and every target's values, as fractions of 1.
pub fn json(rows: &[Row], left_out: &[LeftOut]) -> Value {
    let table = |p: &Precisions| -> Value {
        let ranges = RANGES.iter().zip(p).map(|(range, row)| {
            let values = COUNTS.iter().zip(row).map(|(count, value)| ((*count).to_owned(), json!(value)));
            (range.name.to_owned(), Value::Object(values.collect()))
        });
        Value::Object(ranges.collect())
    };
    let targets: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "id": row.id, "name": row.name, "length": row.length, "resolved": row.resolved,
                "structure": row.structure,
                "integer": table(&row.model), "float": row.reference.as_ref().map(table),
            })
        })
        .collect();
    let fraction = |value: Option<f64>| value.map(|v| v / 100.0);
    let means: Vec<Value> = cells(rows)
        .iter()
        .map(|cell| {
            json!({
                "separation": cell.range, "pairs": cell.count,
                "integer": fraction(cell.model), "float": fraction(cell.reference),
                "difference": cell.difference.map(|d| [d.mean, d.low, d.high].map(|v| v / 100.0)),
            })
        })
        .collect();
    json!({ "means": means, "targets": targets, "left_out": left_out })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::target::Reading;

    fn row(id: &str, model: f64, reference: Option<f64>) -> Row {
        let fill = |p: f64| [[Some(p); 3]; 4];
        let structure = Source { file: "a.pdb".into(), reading: Reading::default() };
        let (model, reference) = (fill(model), reference.map(fill));
        Row { id: id.into(), name: id.into(), length: 100, resolved: 90, structure, model, reference }
    }

    #[test]
    fn means_without_a_reference() {
        let text = markdown(&[row("a", 0.25, None), row("b", 0.5, None)], 3);
        assert!(
            text.contains(
                "2 targets, mean length 100.00; left out: 3 targets, 0 residues; precision in percent"
            ),
            "{text}"
        );
        assert!(text.contains("| long (>= 24) | 37.50 | 37.50 | 37.50 |"), "{text}");
    }

    #[test]
    fn differences_to_a_reference() {
        let rows = [row("a", 0.25, Some(0.26)), row("b", 0.5, Some(0.51))];
        let text = markdown(&rows, 0);
        assert!(text.contains("| all (>= 6) | P@L/5 | 37.50 | 38.50 | -1.00 (-1.00 to -1.00) |"), "{text}");
        let json = json(&rows, &[]);
        assert_eq!(json["targets"][1]["integer"]["short (6-11)"]["P@L/2"], 0.5);
        assert_eq!(json["means"].as_array().map(Vec::len), Some(12));
    }

    #[test]
    fn a_range_that_nobody_has_is_a_dash() {
        let mut one = row("a", 0.25, None);
        one.model[3] = [None; 3];
        assert!(markdown(&[one], 0).contains("| long (>= 24) | - | - | - |"));
    }
}
