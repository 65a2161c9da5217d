//! Tables of the accuracy of structures.

use std::fmt::Write as _;

use crate::accuracy::bootstrap::{Interval, mean, mean_interval};
use serde::Serialize;
use serde_json::{Value, json};

use super::targets::{LeftOut, Source, head};

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
    /// What its files are called.
    pub name: String,
    pub length: usize,
    pub resolved: usize,
    /// Residues of the sequence that the prediction lacks.
    pub unpredicted: usize,
    pub structure: Source,
    /// The prediction's file, where it is from one.
    pub prediction: Option<Source>,
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
    /// The integer model's mean.
    fn integer(&self, rows: &[Row]) -> Option<Interval> {
        mean_interval(&rows.iter().filter_map(|row| (self.of)(&row.integer)).collect::<Vec<f64>>())
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

/// One column of [`Agreement`].
struct Distance {
    name: &'static str,
    key: &'static str,
    decimals: usize,
    unit: &'static str,
    of: fn(&Agreement) -> Option<f64>,
    /// Is less worse?
    falls: bool,
}

const DISTANCES: [Distance; 3] = [
    Distance { name: "CA lDDT", key: "lddt", decimals: 4, unit: "", of: |a| a.lddt, falls: true },
    Distance { name: "CA RMSD", key: "rmsd", decimals: 3, unit: " A", of: |a| a.rmsd, falls: false },
    Distance {
        name: "difference of a residue's pLDDT",
        key: "plddt_difference",
        decimals: 3,
        unit: " points",
        of: |a| a.plddt_difference,
        falls: false,
    },
];

impl Distance {
    fn values<'r>(&self, rows: &'r [Row]) -> Vec<(f64, &'r str)> {
        let mut values: Vec<_> =
            rows.iter().filter_map(|row| Some(((self.of)(row.agreement.as_ref()?)?, &*row.id))).collect();
        values.sort_by(|a, b| if self.falls { a.0.total_cmp(&b.0) } else { b.0.total_cmp(&a.0) });
        values
    }

    fn mean(&self, rows: &[Row]) -> Option<Interval> {
        mean_interval(&self.values(rows).iter().map(|v| v.0).collect::<Vec<f64>>())
    }

    fn median(&self, rows: &[Row]) -> Option<f64> {
        let values = self.values(rows);
        let (upper, lower) = (values.get(values.len() / 2)?, values.get((values.len() - 1) / 2)?);
        Some(f64::midpoint(upper.0, lower.0))
    }

    fn worst<'r>(&self, rows: &'r [Row]) -> Option<(f64, &'r str)> {
        self.values(rows).first().copied()
    }
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".into(), |v| format!("{v:.decimals$}"))
}

/// Means over the targets as a Markdown table.
pub fn markdown(rows: &[Row], left_out: usize) -> String {
    let mut text = head(rows.iter().map(|row| (row.length, &row.structure)), left_out);
    let unpredicted: usize = rows.iter().map(|row| row.unpredicted).sum();
    if unpredicted > 0 {
        let _ = write!(text, "; not predicted: {unpredicted} residues");
    }
    text += "\n\n";
    let measures = MEASURES.iter().filter_map(|measure| Some((measure, measure.integer(rows)?)));
    if rows.iter().all(|row| row.float.is_none()) {
        text += "| measure | mean | 95% interval |\n|---|---:|---:|\n";
        for (Measure { name, decimals, .. }, Interval { mean, low, high }) in measures {
            let _ = writeln!(text, "| {name} | {mean:.decimals$} | {low:.decimals$} to {high:.decimals$} |");
        }
        return text;
    }
    text += "| measure | integer | float | difference (95% interval) |\n|---|---:|---:|---:|\n";
    for (measure, integer) in measures {
        let digits = measure.decimals;
        let [integer, float] = [Some(integer.mean), measure.float(rows)].map(|v| number(v, digits));
        let difference = measure.difference(rows).map_or_else(
            || "-".into(),
            |d| format!("{:+.digits$} ({:+.digits$} to {:+.digits$})", d.mean, d.low, d.high),
        );
        let _ = writeln!(text, "| {} | {integer} | {float} | {difference} |", measure.name);
    }
    text += "\n| integer to float | mean | 95% interval | median | worst |\n|---|---:|---:|---:|---:|\n";
    for distance in &DISTANCES {
        let Distance { name, decimals, unit, .. } = distance;
        let (Some(all), Some((worst, id))) = (distance.mean(rows), distance.worst(rows)) else { continue };
        let (Interval { mean, low, high }, median) = (all, number(distance.median(rows), *decimals));
        let _ = writeln!(
            text,
            "| {name} | {mean:.decimals$}{unit} | {low:.decimals$} to {high:.decimals$} | {median} | {worst:.decimals$}, {id} |",
        );
    }
    text
}

/// Means and every target's values.
pub fn json(rows: &[Row], left_out: &[LeftOut]) -> Value {
    let measure = |measure: &Measure| {
        let integer = measure.integer(rows);
        let difference = measure.difference(rows).map(|d| [d.mean, d.low, d.high]);
        let values = json!({
            "integer": integer.map(|i| i.mean), "interval": integer.map(|i| [i.low, i.high]),
            "float": measure.float(rows), "difference": difference,
        });
        (measure.key.to_owned(), values)
    };
    let means: serde_json::Map<String, Value> = MEASURES.iter().map(measure).collect();
    let mut agreement = serde_json::Map::new();
    for distance in &DISTANCES {
        let all = distance.mean(rows);
        agreement.insert(distance.key.into(), json!(all.map(|i| i.mean)));
        let details = json!({
            "interval": all.map(|i| [i.low, i.high]), "median": distance.median(rows),
            "worst": distance.worst(rows).map(|w| w.0), "worst_id": distance.worst(rows).map(|w| w.1),
        });
        agreement.insert(format!("{}_spread", distance.key), details);
    }
    json!({ "means": means, "agreement": agreement, "targets": rows, "left_out": left_out })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::target::Reading;

    fn scores(lddt: f64, tm_score: Option<f64>) -> Scores {
        Scores { lddt: Some(lddt), all_atom_lddt: Some(lddt - 0.1), tm_score, plddt: Some(100.0 * lddt) }
    }

    fn row(integer: Scores, float: Option<Scores>) -> Row {
        let agreement =
            float.map(|_| Agreement { lddt: Some(0.99), rmsd: Some(0.5), plddt_difference: Some(0.25) });
        let structure = Source { file: "a.pdb".into(), reading: Reading::default() };
        let (id, name, prediction) = ("a".into(), "a".into(), None);
        let unpredicted = 0;
        Row {
            id,
            name,
            length: 100,
            resolved: 90,
            unpredicted,
            structure,
            prediction,
            integer,
            float,
            agreement,
        }
    }

    #[test]
    fn means_without_a_reference() {
        let text = markdown(&[row(scores(0.5, None), None), row(scores(0.75, None), None)], 1);
        assert!(text.contains("2 targets, mean length 100.00"), "{text}");
        assert!(
            text.contains("| CA lDDT | 0.6250 | 0.5000 to 0.7500 |") && text.contains("| pLDDT | 62.50 |"),
            "{text}"
        );
        assert!(!text.contains("TM-score") && !text.contains("float"), "{text}");
    }

    #[test]
    fn differences_to_a_reference() {
        let rows = [
            row(scores(0.5, Some(0.25)), Some(scores(0.5625, Some(0.5)))),
            row(scores(0.75, None), Some(scores(0.8125, None))),
        ];
        let text = markdown(&rows, 0);
        assert!(text.contains("| CA lDDT | 0.6250 | 0.6875 | -0.0625 (-0.0625 to -0.0625) |"), "{text}");
        assert!(text.contains("| TM-score | 0.2500 | 0.5000 | -0.2500 (-0.2500 to -0.2500) |"), "{text}");
        assert!(text.contains("| CA RMSD | 0.500 A | 0.500 to 0.500 | 0.500 | 0.500, a |"), "{text}");
        let json = json(&rows, &[]);
        assert_eq!(json["means"]["lddt"]["difference"][0], -0.0625);
        assert_eq!(json["targets"][0]["float"]["tm_score"], 0.5);
        assert_eq!(json["agreement"]["plddt_difference"], 0.25);
    }

    #[test]
    fn nothing_to_report() {
        assert!(markdown(&[], 0).contains("0 targets, mean length -"));
        assert_eq!(json(&[], &[])["means"]["lddt"]["integer"], Value::Null);
    }
}
