//! Where the model file goes: where `-o` says, or into the folder of the user's models.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use foldpoint_core::format::ModelFile;
use memmap2::Mmap;
use quantizer::hub::Name;
use store::Store;

/// Refuses what `-o` can't write to.
///
/// # Errors
/// There is no such folder, or it is one itself.
pub fn check(out: &Path) -> anyhow::Result<()> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    ensure!(
        folder.is_none_or(Path::is_dir),
        "-o {}: its folder isn't there; expected a file in one that is",
        out.display()
    );
    ensure!(!out.is_dir(), "-o {}: it is a folder; expected a file to write", out.display());
    Ok(())
}

/// The file `out`; without that, the user's model that is called as the checkpoint, which was given as
/// `argument` and calls itself `name`. Says what will be replaced.
///
/// # Errors
/// The folder of models can't be made, or no file can be called so.
pub fn choose(out: Option<&Path>, argument: &Path, name: &str) -> anyhow::Result<PathBuf> {
    if let Some(out) = out {
        return Ok(out.to_owned());
    }
    let store = Store::of_user().context("no -o")?;
    let path = store.path(&model_name(argument, name)).context("no -o")?;
    store.make().context("no -o")?;
    ensure!(!path.is_dir(), "{}: it is a folder; expected a file to write, or -o", path.display());
    if path.exists() {
        let made_of = checkpoint_of(&path).unwrap_or_else(|| "something unknown".to_owned());
        eprintln!("note: {} is there already, made of {made_of}; it will be replaced", path.display());
    }
    Ok(path)
}

/// What `--model` finds the file `path` by, if it is in the folder of the user's models.
pub fn name_in_store(path: &Path) -> Option<String> {
    let name = path.file_stem()?.to_str()?;
    (Store::of_user().ok()?.find(name)? == path).then(|| name.to_owned())
}

/// What a model is called by default: the last part of the checkpoint's name at the hub, the name of its
/// folder, or that of its file without the ending.
fn model_name(argument: &Path, name: &str) -> String {
    let at_hub = |text: &str| Some(Name::parse(text)?.repository().rsplit_once('/')?.1.to_owned());
    let given = argument.to_str().filter(|_| argument.symlink_metadata().is_err()).and_then(at_hub);
    given.or_else(|| at_hub(name)).unwrap_or_else(|| {
        let real = argument.canonicalize().unwrap_or_else(|_| argument.to_owned());
        let part = if real.is_file() { argument.file_stem() } else { real.file_name() };
        part.unwrap_or_default().to_string_lossy().into_owned()
    })
}

/// What the model file `path` says that it was made of.
fn checkpoint_of(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    // SAFETY: the map is only read, and no longer than this function; as for every program that maps its
    // input, nobody may rewrite the file meanwhile.
    let map = unsafe { Mmap::map(&file) }.ok()?;
    let model = ModelFile::parse(&map).ok()?;
    let meta: serde_json::Value = serde_json::from_slice(model.tensor("meta.json")?.bytes).ok()?;
    Some(meta["checkpoint"].as_str()?.escape_debug().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_called_as_their_checkpoints() {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = folder.path().join("models--facebook--esmfold_v1/snapshots/main");
        std::fs::create_dir_all(&snapshot).unwrap();
        std::fs::create_dir(folder.path().join("my.model")).unwrap();
        for file in ["esm2_t6_8M_UR50D.pt", "my.model/model.safetensors"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let named = |argument: &str, name: &str| model_name(&folder.path().join(argument), name);
        assert_eq!(model_name(Path::new("no-org/esmfold_v1@main"), "x"), "esmfold_v1");
        assert_eq!(
            named("models--facebook--esmfold_v1/snapshots/main", "facebook/esmfold_v1@main"),
            "esmfold_v1"
        );
        assert_eq!(named("my.model", "my.model"), "my.model");
        assert_eq!(named("my.model/../my.model/.", "my.model"), "my.model");
        assert_eq!(named("my.model", "facebook/esm2@c731040 + my.model"), "my.model");
        assert_eq!(named("esm2_t6_8M_UR50D.pt", "esm2_t6_8M_UR50D.pt"), "esm2_t6_8M_UR50D");
        assert_eq!(named("my.model/model.safetensors", "model.safetensors"), "model");
    }
}
