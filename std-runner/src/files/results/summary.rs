//! `summary.tsv`: one row a record, for spreadsheets and `column -t`.

use serde_json::Value;

use super::Record;

/// Names of the columns. The scores are those of the same names in `results.jsonl`; a cell is empty where
/// there is none.
const COLUMNS: [&str; 13] = [
    "id",
    "file",
    "line",
    "length",
    "chains",
    "mean_plddt_ca",
    "ptm",
    "iptm",
    "seconds",
    "status",
    "files",
    "warnings",
    "error",
];

/// The line of names, with its end.
pub(super) fn head() -> String {
    COLUMNS.join("\t") + "\n"
}

/// A record's row, without its end.
pub(super) fn row(record: &Record) -> String {
    let score = |name: &str| match record.scores.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    let chains: Vec<String> = record.chains.iter().map(usize::to_string).collect();
    let cells = [
        record.id.clone(),
        record.file.clone(),
        record.line.to_string(),
        record.length.map_or_else(String::new, |length| length.to_string()),
        chains.join(":"),
        score("mean_plddt_ca"),
        score("ptm"),
        score("iptm"),
        record.seconds.map_or_else(String::new, |seconds| format!("{seconds}")),
        record.status.name().to_owned(),
        record.files.join(" "),
        record.warnings.join("; "),
        record.error.clone().unwrap_or_default(),
    ];
    cells.map(|text| cell(&text)).join("\t")
}

/// Text that stays in its cell: tabs, ends of lines and other control characters become blanks.
pub(super) fn cell(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::results::Status;
    use serde_json::{Map, json};

    #[test]
    fn a_row_has_a_cell_for_every_column() {
        let mut scores = Map::new();
        scores.insert("mean_plddt_ca".into(), json!(35.1));
        scores.insert("iptm".into(), Value::Null);
        let record = Record {
            id: "a\tb\r\nc".into(),
            header: "a b c of all".into(),
            file: "in.fasta".into(),
            line: 3,
            record: 2,
            length: Some(5),
            chains: vec![2, 3],
            status: Status::Failed,
            error: Some("no\nroom".into()),
            files: vec!["a.pdb".into(), "a.pae.json".into()],
            scores,
            warnings: vec!["one".into(), "two".into()],
            seconds: Some(0.25),
        };
        let row = row(&record);
        let cells: Vec<&str> = row.split('\t').collect();
        assert_eq!(
            cells,
            [
                "a b  c",
                "in.fasta",
                "3",
                "5",
                "2:3",
                "35.1",
                "",
                "",
                "0.25",
                "failed",
                "a.pdb a.pae.json",
                "one; two",
                "no room"
            ]
        );
        assert_eq!(head().split('\t').count(), cells.len());
        assert!(!row.contains('\n'));
    }
}
