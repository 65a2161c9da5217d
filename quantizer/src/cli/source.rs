//! The checkpoint that a command works on: a path, or a name at the hub.

use std::path::{Path, PathBuf};

use anyhow::Context;
use quantizer::checkpoint::Checkpoint;
use quantizer::hub::{Hub, Name, Settings};

use super::download::Bars;

/// Opens the checkpoint at `path`, an adapter with the weights in `base`, and says what a user should know
/// about it. Both may be names at the hub; so may what an adapter says that it was trained on.
pub fn open(path: &Path, base: Option<&Path>) -> anyhow::Result<Checkpoint> {
    let path = resolve(path)?;
    let base = match base {
        Some(base) => Some(resolve(base)?),
        None => base_of(&path)?,
    };
    let checkpoint = Checkpoint::open_with_base(&path, base.as_deref())?;
    for remark in checkpoint.remarks() {
        eprintln!("{}: {}: {}", remark.kind(), checkpoint.name(), remark.text);
    }
    Ok(checkpoint)
}

/// The folder that `path` means: what is there wins; else a name is looked up at the hub.
fn resolve(path: &Path) -> anyhow::Result<PathBuf> {
    if path.symlink_metadata().is_ok() {
        return Ok(path.into());
    }
    match path.to_str().and_then(Name::parse) {
        Some(name) => obtain(&name)
            .with_context(|| format!("{name}: no such path here, so taken for a name at the hub")),
        None => Ok(path.into()),
    }
}

/// Where the weights are that the adapter at `path` was trained on, if it has them by a name.
fn base_of(path: &Path) -> anyhow::Result<Option<PathBuf>> {
    // A stranger's adapter may name any path of this machine: only names are followed.
    match Checkpoint::base_of_adapter(path)?.as_deref().and_then(Name::parse) {
        Some(name) => {
            let folder = resolve(Path::new(&name.to_string()))?;
            eprintln!(
                "note: {}: an adapter; it is merged into {name}, which it was trained on",
                path.display()
            );
            Ok(Some(folder))
        }
        None => Ok(None),
    }
}

fn obtain(name: &Name) -> anyhow::Result<PathBuf> {
    let mut bars = Bars::default();
    let folder = Hub::new(Settings::from_environment()?).obtain(name, &mut |progress| bars.show(progress));
    bars.finish();
    let folder = folder?;
    eprintln!("{name}: {}", folder.display());
    Ok(folder)
}
