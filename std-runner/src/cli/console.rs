//! What the user sees: lines on the standard output, a progress bar and complaints on the standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Outcome;

/// Prints to both streams around a progress bar, and counts failures.
pub struct Console {
    bar: ProgressBar,
    quiet: bool,
    /// What is counted.
    counted: &'static str,
    done: usize,
    failures: usize,
    unreadable: usize,
    /// The first error of the standard output; nothing is printed after it.
    output: io::Result<()>,
}

impl Console {
    /// A console without a bar yet.
    pub fn new(quiet: bool) -> Self {
        Self {
            bar: ProgressBar::hidden(),
            quiet,
            counted: "sequences",
            done: 0,
            failures: 0,
            unreadable: 0,
            output: Ok(()),
        }
    }

    /// Counts something else than sequences.
    pub fn counting(self, counted: &'static str) -> Self {
        Self { counted, ..self }
    }

    /// Shows a bar over `residues`, if the standard error is a terminal.
    pub fn start(&mut self, residues: u64) {
        if self.quiet || !io::stderr().is_terminal() {
            return;
        }
        self.bar = ProgressBar::with_draw_target(Some(residues), ProgressDrawTarget::stderr());
        let style = "{bar:40.cyan/blue} {pos}/{len} residues, {elapsed} elapsed, {eta} left  {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            self.bar.set_style(style);
        }
        self.bar.enable_steady_tick(Duration::from_millis(250));
    }

    /// A handle that moves the bar from any thread.
    pub fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Prints a line on the standard output: what the command is run for.
    pub fn line(&mut self, line: impl Display) {
        if self.output.is_ok() {
            let line = printable(&line);
            self.output = self.bar.suspend(|| writeln!(io::stdout(), "{line}"));
        }
    }

    /// Prints a row of the table that tells how records went, unless `--quiet`.
    pub fn row(&mut self, row: impl Display) {
        if !self.quiet {
            self.line(row);
        }
    }

    /// Prints a warning, unless `--quiet`.
    pub fn warning(&self, warning: impl Display) {
        if !self.quiet {
            self.complain(format_args!("warning: {warning}"));
        }
    }

    /// Prints something worth knowing on the standard error, unless `--quiet`.
    pub fn note(&self, note: impl Display) {
        if !self.quiet {
            self.complain(format_args!("note: {note}"));
        }
    }

    /// Prints an error and counts a failed sequence.
    pub fn failure(&mut self, error: impl Display) {
        self.failures += 1;
        self.complain(format_args!("error: {error}"));
    }

    /// Prints one error for so many failures.
    pub fn failures(&mut self, count: usize, error: impl Display) {
        self.failures += count;
        self.complain(format_args!("error: {error}"));
    }

    /// Prints an error about a file of sequences, and counts it.
    pub fn unreadable(&mut self, error: impl Display) {
        self.unreadable += 1;
        self.complain(format_args!("error: {error}"));
    }

    fn complain(&self, text: impl Display) {
        self.bar.suspend(|| complain(text));
    }

    /// Counts a sequence that is done.
    pub fn success(&mut self) {
        self.successes(1);
    }

    /// Counts so many that are done.
    pub fn successes(&mut self, count: usize) {
        self.done += count;
    }

    /// Takes the bar away, says how many sequences failed, and passes on an error of the standard output.
    pub fn finish(self) -> anyhow::Result<Outcome> {
        self.bar.finish_and_clear();
        self.output?;
        let (done, failures) = (self.done, self.failures);
        if failures > 0 && !self.quiet {
            complain(format_args!("{failures} of {} {} failed", done + failures, self.counted));
        }
        if self.unreadable > 0 && !self.quiet {
            let (noun, verb) = if self.unreadable == 1 { ("file", "was") } else { ("files", "were") };
            complain(format_args!("{} {noun} {verb} not read, or not to the end", self.unreadable));
        }
        Ok(Outcome { failures: failures + self.unreadable })
    }
}

/// Prints on the standard error. Where that is closed, or its disk full, the work goes on all the same.
pub fn complain(text: impl Display) {
    let _ = writeln!(io::stderr(), "{}", printable(&text));
}

/// The text without what a terminal would obey, and what turns text around: an identifier may hold any bytes.
pub fn printable(text: &impl Display) -> String {
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let obeyed = |c: char| c.is_control() && !matches!(c, '\n' | '\t') || turns(c);
    text.to_string().chars().map(|c| if obeyed(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_printed_moves_the_cursor() {
        assert_eq!(
            printable(&"a\u{1b}[31mb\r\u{9b}c\td\ne\u{202e}"),
            "a\u{fffd}[31mb\u{fffd}\u{fffd}c\td\ne\u{fffd}"
        );
    }
}
