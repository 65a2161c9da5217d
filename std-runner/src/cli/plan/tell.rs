//! A plan as tables, and as JSON.

use serde_json::{Value, json};
use std_runner::arena::display_bytes;
use std_runner::batch::Runner;
use std_runner::memory_limit::LimitSource;
use std_runner::model::Model;

use super::Kind;
use super::estimate::{Estimate, Need, Row, Total, mem_mb};
use crate::cli::console::Console;
use crate::rates::Rates;

/// What all tables are about.
pub struct Told<'t> {
    /// The model.
    pub model: &'t Model<'t>,
    /// Threads and memory.
    pub runner: &'t Runner,
    /// The instruction set.
    pub isa: &'t str,
    /// Seconds to open and check the model.
    pub opening: f64,
    /// What was measured.
    pub rates: &'t Rates,
}

impl Told<'_> {
    /// One table for each kind of result, and what is to be known of all.
    pub fn tables(&self, console: &mut Console, estimates: &[(Kind, Estimate)]) {
        for (kind, estimate) in estimates {
            self.table(console, kind.names()[0], estimate);
        }
        let (size, threads) = (display_bytes(self.model.bytes().len() as u64), self.runner.threads);
        if threads > 1 {
            console.line(format_args!(
                "a record alone, or a long one, runs on {threads} threads; short records of a batch side by side, one thread each"
            ));
        }
        console.line(format_args!(
            "in all: core's arena, and the results until they are written. The model's {size} come besides: mapped, so that the system reads what is used and may drop it again"
        ));
        let (machine, isa) = (self.rates.machine(), self.isa);
        console.line(format_args!(
            "times: on this machine ({machine}, {isa}) if nothing else runs, without opening the model ({}) and writing files; `-` was not measured",
            display_seconds(self.opening)
        ));
    }

    fn table(&self, console: &mut Console, title: &str, estimate: &Estimate) {
        let named = estimate.total.is_some();
        let record = if named { ("| record ", "|---") } else { ("", "") };
        console.line(format_args!("{title}:\n"));
        console.line(format_args!(
            "{}| residues | threads | core's arena | in all | per pair | time |",
            record.0
        ));
        console.line(format_args!("{}|---:|---:|---:|---:|---:|---:|", record.1));
        for row in &estimate.rows {
            let residues = row.residues;
            let name = row.id.as_ref().map(|id| format!("| {id} ")).unwrap_or_default();
            match &row.need {
                Ok(need) => console.line(format_args!("{name}| {residues} |{}", cells(residues, need))),
                Err(error) => console.failure(format_args!("{residues} residues: {error}")),
            }
        }
        console.line(format_args!("\n{}: up to {} residues", self.runner.limit, estimate.longest));
        if let Some(total) = &estimate.total {
            console.line(self.total(total));
        }
        console.line("");
    }

    fn total(&self, total: &Total) -> String {
        let Total { records, refused, side_by_side, bytes, seconds } = total;
        let time = seconds.map_or("nobody knows how long, nothing was measured".into(), |seconds| {
            format!("{}, and {} to open the model", display_seconds(seconds), display_seconds(self.opening))
        });
        let beside = if *side_by_side > 1 {
            format!(", {side_by_side} of the short ones side by side")
        } else {
            String::new()
        };
        let refused = match refused {
            0 => String::new(),
            1 => "; 1 does not fit".to_owned(),
            many => format!("; {many} do not fit"),
        };
        format!("{records} records{beside}: {time}; at most {} at a time{refused}", display_bytes(*bytes))
    }

    /// All of it, as one object.
    pub fn json(&self, estimates: &[(Kind, Estimate)]) -> Value {
        let limit = &self.runner.limit;
        let bytes = (limit.source != LimitSource::Unknown).then_some(limit.bytes);
        json!({
            "model": self.model.name(),
            "model_bytes": self.model.bytes().len(),
            "machine": self.rates.machine(),
            "isa": self.isa,
            "threads": self.runner.threads,
            "memory_limit_bytes": bytes,
            "memory_limit": limit.to_string(),
            "open_seconds": rounded(self.opening),
            "tasks": estimates.iter().map(|(kind, estimate)| self.task(*kind, estimate)).collect::<Vec<_>>(),
        })
    }

    fn task(&self, kind: Kind, estimate: &Estimate) -> Value {
        json!({
            "task": kind.names()[1],
            "longest_residues": estimate.longest,
            "records": estimate.rows.iter().map(|row| self.row(row)).collect::<Vec<_>>(),
            "total": estimate.total.as_ref().map(|total| json!({
                "records": total.records,
                "refused": total.refused,
                "side_by_side": total.side_by_side,
                "bytes": total.bytes,
                "mem_mb": self.mem_mb(total.bytes),
                "seconds": total.seconds.map(|seconds| rounded(seconds + self.opening)),
            })),
        })
    }

    fn row(&self, row: &Row) -> Value {
        let mut value = json!({ "id": row.id, "residues": row.residues, "error": null });
        match &row.need {
            Ok(need) => {
                value["fits"] = need.fits.into();
                value["threads"] = need.place.workers.into();
                value["side_by_side"] = need.place.at_once.into();
                value["arena_bytes"] = need.arena.into();
                value["bytes"] = need.bytes.into();
                value["mem_mb"] = self.mem_mb(need.bytes).into();
                value["seconds"] = need.seconds.map(rounded).into();
                value["measured_residues"] = self.rates.longest(need.place).into();
            }
            Err(error) => {
                value["fits"] = false.into();
                value["error"] = error.as_str().into();
            }
        }
        value
    }

    fn mem_mb(&self, bytes: u64) -> u64 {
        mem_mb(bytes, self.model.bytes().len() as u64)
    }
}

fn cells(residues: usize, need: &Need) -> String {
    let Need { place, arena, bytes, fits, seconds } = need;
    let per_pair = *bytes as f64 / (residues as f64 * residues as f64);
    let time = match seconds {
        _ if !fits => "does not fit".to_owned(),
        Some(seconds) => display_seconds(*seconds),
        None => "-".to_owned(),
    };
    let (workers, arena, bytes) = (place.workers, display_bytes(*arena), display_bytes(*bytes));
    format!(" {workers} | {arena} | {bytes} | {per_pair:.1} B | {time} |")
}

/// Milliseconds: what is below depends on the weather.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

/// A time in words, two or three digits of it.
pub fn display_seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match seconds {
        ..0.9995 => format!("{:.0} ms", (seconds * 1e3).max(1.0)),
        ..9.95 => format!("{seconds:.1} s"),
        ..99.5 => format!("{seconds:.0} s"),
        ..5970.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", whole as f64 / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_or_three_digits() {
        let cases = [
            (0.0, "1 ms"),
            (0.0123, "12 ms"),
            (0.26, "260 ms"),
            (1.26, "1.3 s"),
            (9.94, "9.9 s"),
            (12.3, "12 s"),
            (150.0, "2 min"),
            (9000.0, "2.5 h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(display_seconds(seconds), text);
        }
    }
}
