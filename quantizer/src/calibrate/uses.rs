//! What the values at a site of the float model are for: what the [table](crate::table) says of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::table::{Group, Kind};

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
    /// The 16-bit codec of a sum between two of them.
    Middle,
    /// The unit of a representation that is held so, not stored.
    Held,
}

/// The uses of every site that something is chosen for in `groups`, by the site's name.
pub fn uses(groups: &[Group]) -> BTreeMap<String, Vec<Use>> {
    let norms: BTreeSet<&str> =
        groups.iter().filter(|group| group.kind == Kind::Norm).map(|group| group.name.as_str()).collect();
    let mut uses: BTreeMap<String, Vec<Use>> = BTreeMap::new();
    for group in groups {
        let Some(site) = &group.site else { continue };
        let purpose = match group.kind {
            Kind::Norm => Purpose::Held,
            Kind::Residual => Purpose::Residual { norm: norms.contains(site.as_str()).then(|| site.clone()) },
            Kind::Middle => Purpose::Middle,
            _ => Purpose::Input { columns: group.columns },
        };
        let found = Use { choice: group.choice.clone(), purpose };
        let known = uses.entry(site.clone()).or_default();
        // Linears that read the same values have one choice.
        if !known.contains(&found) {
            known.push(found);
        }
    }
    uses
}
