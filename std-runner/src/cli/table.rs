//! The table on the standard output: one row a sequence, in columns that stay where they are.

use std::borrow::Cow;

use ::console::{Term, measure_text_width};

/// Where the width is not known, as in a pipe.
const WIDTH: usize = 100;
/// Names get at least so many columns, however narrow the terminal.
const NARROW: usize = 16;

/// A column after the name: its head and its width. Cells are at its right.
pub type Column = (&'static str, usize);

/// A table whose first column is a name.
pub struct Table {
    columns: &'static [Column],
    names: usize,
}

impl Table {
    /// A table for rows with these names, as wide as the terminal at most, or 100 where there is none.
    pub fn new<'n>(columns: &'static [Column], names: impl Iterator<Item = &'n str>) -> Self {
        let terminal = Term::stdout();
        let width = if terminal.is_term() { usize::from(terminal.size().1) } else { WIDTH };
        Self::of_width(columns, names, width)
    }

    fn of_width<'n>(columns: &'static [Column], names: impl Iterator<Item = &'n str>, width: usize) -> Self {
        let others: usize = columns.iter().map(|&(head, width)| 2 + width.max(head.len())).sum();
        let longest = names.map(measure_text_width).max().unwrap_or(0);
        Self { columns, names: longest.max(HEAD.len()).min(width.saturating_sub(others).max(NARROW)) }
    }

    /// The names of the columns.
    pub fn head(&self) -> String {
        self.line(HEAD, self.columns.iter().map(|&(head, _)| head))
    }

    /// A row; a name that is too long loses its middle.
    pub fn row(&self, name: &str, cells: &[String]) -> String {
        self.line(name, cells.iter().map(String::as_str))
    }

    fn line<'c>(&self, name: &str, cells: impl Iterator<Item = &'c str>) -> String {
        let name = shorten(name, self.names);
        let mut line = name.to_string() + &" ".repeat(self.names.saturating_sub(measure_text_width(&name)));
        for (&(head, width), cell) in self.columns.iter().zip(cells) {
            let width = width.max(head.len());
            line += &format!("  {cell:>width$}");
        }
        line
    }
}

/// Head of the column of names.
const HEAD: &str = "sequence";

/// `text` in at most `width` columns: of a longer one the middle is cut out.
pub fn shorten(text: &str, width: usize) -> Cow<'_, str> {
    if measure_text_width(text) <= width {
        return Cow::Borrowed(text);
    }
    let room = width.saturating_sub(1);
    let begin = fitting(text.chars(), room.div_ceil(2));
    let end = fitting(text.chars().rev(), room / 2);
    Cow::Owned(begin.chars().chain(['…']).chain(end.chars().rev()).collect())
}

/// As many characters as `width` columns hold.
fn fitting(chars: impl Iterator<Item = char>, width: usize) -> String {
    let mut left = width;
    chars
        .map_while(|c| {
            left = left.checked_sub(measure_text_width(c.encode_utf8(&mut [0; 4])))?;
            Some(c)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COLUMNS: &[Column] = &[("residues", 8), ("pTM", 5)];

    #[test]
    fn columns_stay_where_they_are() {
        let long = "x".repeat(400);
        let table = Table::of_width(COLUMNS, ["b", &long].into_iter(), 40);
        let cells = ["39".to_owned(), "0.123".to_owned()];
        let lines =
            [table.head(), table.row(&long, &cells), table.row("b", &cells), table.row("名前", &cells)];
        assert_eq!(lines[0], "sequence                 residues    pTM");
        assert_eq!(lines[1], "xxxxxxxxxxx…xxxxxxxxxxx        39  0.123");
        assert_eq!(lines[2], "b                              39  0.123");
        assert_eq!(lines[3], "名前                           39  0.123");
        assert!(lines.iter().all(|line| measure_text_width(line) == 40));
    }

    #[test]
    fn short_names_need_no_room_and_narrow_terminals_leave_some() {
        let cells = ["39".to_owned(), "0.1".to_owned()];
        assert_eq!(
            Table::of_width(COLUMNS, ["b"].into_iter(), 100).row("b", &cells),
            "b               39    0.1"
        );
        let narrow = Table::of_width(COLUMNS, ["a rather long identifier"].into_iter(), 5);
        assert_eq!(narrow.row("a rather long identifier", &cells), "a rather…ntifier        39    0.1");
    }

    proptest! {
        #[test]
        fn what_is_shortened_fits_and_keeps_both_ends(text in "\\PC{0,60}", width in 1..50usize) {
            let short = shorten(&text, width);
            prop_assert!(measure_text_width(&short) <= width);
            let whole = measure_text_width(&text) <= width;
            prop_assert_eq!(whole, short == text);
            if let Some((begin, end)) = short.split_once('…').filter(|_| !whole && !text.contains('…')) {
                prop_assert!(text.starts_with(begin) && text.ends_with(end));
            }
        }
    }
}
