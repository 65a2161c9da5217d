//! Tables of the accuracy of structures.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};
use std_runner::accuracy::bootstrap::{Interval, mean, mean_interval};

/// How near a fold is to the experimental structure, and how near it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// CA lDDT, 0 to 1.
    pub lddt: Option<f64>,
    /// lDDT of all heavy atoms, 0 to 1.
    pub all_atom_lddt: Option<f64>,
    /// TM-score, 0 to 1.
    pub tm_score: Option<f64>,
    /// Mean pLDDT of the CA atoms, 0 to 100.
    pub plddt: Option<f64>,
}

/// How near the integer fold is to the float fold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// CA lDDT, 0 to 1.
    pub lddt: Option<f64>,
    /// RMSD of the superposed CA atoms in ångström.
    pub rmsd: Option<f64>,
    /// Mean absolute difference of the residues' pLDDT, 0 to 100.
    pub plddt_difference: Option<f64>,
}

/// One target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    pub id: String,
    pub length: usize,
    pub resolved: usize,
    pub integer: Scores,
    pub float: Option<Scores>,
    pub agreement: Option<Agreement>,
}

/// One column of [`Scores`].
struct Measure {
    name: &'static str,
    key: &'static str,
    decimals: usize,
    of: fn(&Scores) -> Option<f64>,
}

const MEASURES: [Measure; 4] = [
    Measure { name: "CA lDDT", key: "lddt", decimals: 4, of: |s| s.lddt },
    Measure { name: "all-atom lDDT", key: "all_atom_lddt", decimals: 4, of: |s| s.all_atom_lddt },
    Measure { name: "TM-score", key: "tm_score", decimals: 4, of: |s| s.tm_score },
    Measure { name: "pLDDT", key: "plddt", decimals: 2, of: |s| s.plddt },
];

impl Measure {
    fn integer(&self, rows: &[Row]) -> Option<f64> {
        mean(rows.iter().filter_map(|row| (self.of)(&row.integer)))
    }

    fn float(&self, rows: &[Row]) -> Option<f64> {
        mean(rows.iter().filter_map(|row| (self.of)(row.float.as_ref()?)))
    }

    /// Integer less float over the targets that have both.
    fn difference(&self, rows: &[Row]) -> Option<Interval> {
        let difference = |row: &Row| Some((self.of)(&row.integer)? - (self.of)(row.float.as_ref()?)?);
        mean_interval(&rows.iter().filter_map(difference).collect::<Vec<f64>>())
    }
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".into(), |v| format!("{v:.decimals$}"))
}

fn agreement(rows: &[Row], of: fn(&Agreement) -> Option<f64>) -> Option<f64> {
    mean(rows.iter().filter_map(|row| of(row.agreement.as_ref()?)))
}

/// Means over the targets as a Markdown table.
pub fn markdown(rows: &[Row]) -> String {
    let mean_length = mean(rows.iter().map(|row| row.length as f64));
    let mut text = format!("{} targets, mean length {}\n\n", rows.len(), number(mean_length, 2));
    let measures = MEASURES.iter().filter(|measure| measure.integer(rows).is_some());
    if rows.iter().all(|row| row.float.is_none()) {
        text += "| measure | mean |\n|---|---:|\n";
        for measure in measures {
            let value = number(measure.integer(rows), measure.decimals);
            let _ = writeln!(text, "| {} | {value} |", measure.name);
        }
        return text;
    }
    text += "| measure | integer | float | difference (95% interval) |\n|---|---:|---:|---:|\n";
    for measure in measures {
        let digits = measure.decimals;
        let [integer, float] = [measure.integer(rows), measure.float(rows)].map(|v| number(v, digits));
        let difference = measure.difference(rows).map_or_else(
            || "-".into(),
            |d| format!("{:+.digits$} ({:+.digits$} to {:+.digits$})", d.mean, d.low, d.high),
        );
        let _ = writeln!(text, "| {} | {integer} | {float} | {difference} |", measure.name);
    }
    let _ = writeln!(
        text,
        "\ninteger to float: CA lDDT {}, CA RMSD {} A, mean difference of a residue's pLDDT {} points",
        number(agreement(rows, |a| a.lddt), 4),
        number(agreement(rows, |a| a.rmsd), 3),
        number(agreement(rows, |a| a.plddt_difference), 3),
    );
    text
}

/// Means and every target's values.
pub fn json(rows: &[Row]) -> Value {
    let measure = |measure: &Measure| {
        let difference = measure.difference(rows).map(|d| [d.mean, d.low, d.high]);
        let values = json!({
            "integer": measure.integer(rows), "float": measure.float(rows), "difference": difference,
        });
        (measure.key.to_owned(), values)
    };
    let means: serde_json::Map<String, Value> = MEASURES.iter().map(measure).collect();
    json!({
        "means": means,
        "agreement": {
            "lddt": agreement(rows, |a| a.lddt),
            "rmsd": agreement(rows, |a| a.rmsd),
            "plddt_difference": agreement(rows, |a| a.plddt_difference),
        },
        "targets": rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(lddt: f64, tm_score: Option<f64>) -> Scores {
        Scores { lddt: Some(lddt), all_atom_lddt: Some(lddt - 0.1), tm_score, plddt: Some(100.0 * lddt) }
    }

    fn row(integer: Scores, float: Option<Scores>) -> Row {
        let agreement =
            float.map(|_| Agreement { lddt: Some(0.99), rmsd: Some(0.5), plddt_difference: Some(0.25) });
        Row { id: "a".into(), length: 100, resolved: 90, integer, float, agreement }
    }

    #[test]
    fn means_without_a_reference() {
        let text = markdown(&[row(scores(0.5, None), None), row(scores(0.75, None), None)]);
        assert!(text.contains("2 targets, mean length 100.00"), "{text}");
        assert!(text.contains("| CA lDDT | 0.6250 |") && text.contains("| pLDDT | 62.50 |"), "{text}");
        assert!(!text.contains("TM-score") && !text.contains("float"), "{text}");
    }

    #[test]
    fn differences_to_a_reference() {
        let rows = [
            row(scores(0.5, Some(0.25)), Some(scores(0.5625, Some(0.5)))),
            row(scores(0.75, None), Some(scores(0.8125, None))),
        ];
        let text = markdown(&rows);
        assert!(text.contains("| CA lDDT | 0.6250 | 0.6875 | -0.0625 (-0.0625 to -0.0625) |"), "{text}");
        assert!(text.contains("| TM-score | 0.2500 | 0.5000 | -0.2500 (-0.2500 to -0.2500) |"), "{text}");
        assert!(
            text.contains("integer to float: CA lDDT 0.9900, CA RMSD 0.500 A, mean difference of a residue's pLDDT 0.250"),
            "{text}"
        );
        let json = json(&rows);
        assert_eq!(json["means"]["lddt"]["difference"][0], -0.0625);
        assert_eq!(json["targets"][0]["float"]["tm_score"], 0.5);
        assert_eq!(json["agreement"]["plddt_difference"], 0.25);
    }

    #[test]
    fn nothing_to_report() {
        assert!(markdown(&[]).contains("0 targets, mean length -"));
        assert_eq!(json(&[])["means"]["lddt"]["integer"], Value::Null);
    }
}
