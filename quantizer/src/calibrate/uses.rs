//! What the values at a site of the float model are for: what the [`table`] says of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::table::{self, Kind, Row};

/// A use of a site's values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// The name of what is chosen.
    pub choice: String,
    /// What that is.
    pub purpose: Purpose,
}

/// What is chosen from values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// The outlier channels of a Linear that reads them.
    Input {
        /// Which columns it reads, if not all: the first one, and how many.
        columns: Option<(usize, usize)>,
    },
    /// The codec of a representation that is stored so.
    Residual {
        /// The LayerNorm that reads it; `None` if a Linear reads it.
        norm: Option<String>,
    },
    /// The unit of a representation that is held so, not stored.
    Held,
}

/// The uses of every site that something is chosen for in `rows`, by the site's name.
pub fn uses(checkpoint: &Checkpoint, rows: &[&'static Row]) -> BTreeMap<String, Vec<Use>> {
    let mut uses: BTreeMap<String, Vec<Use>> = BTreeMap::new();
    let Ok(()) = checkpoint.for_each(rows, |row, index| {
        if let Some(site) = row.seen_at(index, checkpoint.count(row.repeat)) {
            let purpose = match row.kind {
                Kind::Norm => Purpose::Held,
                Kind::Residual => {
                    let is_norm = table::find(&site).is_some_and(|(reader, _)| reader.kind == Kind::Norm);
                    Purpose::Residual { norm: is_norm.then(|| site.clone()) }
                }
                Kind::Columns => Purpose::Input { columns: checkpoint.output_part(index) },
                _ => Purpose::Input { columns: None },
            };
            let found = Use { choice: row.choice(index), purpose };
            let known = uses.entry(site).or_default();
            // Linears that read the same values have one choice.
            if !known.contains(&found) {
                known.push(found);
            }
        }
        Ok::<(), std::convert::Infallible>(())
    });
    uses
}
