//! What a user sees of a download.

use indicatif::{ProgressBar, ProgressStyle};
use quantizer::hub::Progress;

/// A bar for each file, one after another.
#[derive(Default)]
pub struct Bars {
    current: Option<ProgressBar>,
}

impl Bars {
    /// Shows what happens.
    pub fn show(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::File { name, size, done } => {
                self.finish();
                let template = "{msg} {bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
                let style =
                    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
                let bar = ProgressBar::new(size).with_style(style).with_message(name.to_owned());
                // What an earlier run left counts as done, not as speed.
                bar.set_position(done);
                bar.reset_eta();
                if done > 0 {
                    bar.suspend(|| eprintln!("{name}: goes on at {done} of {size} bytes"));
                }
                self.current = Some(bar);
            }
            Progress::Bytes(count) => {
                if let Some(bar) = &self.current {
                    bar.inc(count);
                }
            }
            Progress::Note(text) => match &self.current {
                Some(bar) => bar.suspend(|| eprintln!("note: {text}")),
                None => eprintln!("note: {text}"),
            },
        }
    }

    /// Removes the last bar.
    pub fn finish(&mut self) {
        if let Some(bar) = self.current.take() {
            bar.finish_and_clear();
        }
    }
}
