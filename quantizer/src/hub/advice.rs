//! What to do without a network.

use super::cache::Repository;
use super::name::DEFAULT_REVISION;
use super::{Name, Settings};

/// How the checkpoint `name` gets to this machine by hand; `missing` are the files that its snapshot here
/// lacks, if there is one.
pub fn copy(name: &Name, settings: &Settings, repository: &Repository, missing: &[String]) -> String {
    let (id, revision) = (name.repository(), name.revision());
    let folder = repository.folder().display();
    let lacks = match missing {
        [] => String::new(),
        files => format!("What is there of it lacks {}. ", files.join(", ")),
    };
    let option = if revision == DEFAULT_REVISION { String::new() } else { format!(" --revision {revision}") };
    let endpoint = &settings.endpoint;
    format!(
        "{lacks}On a machine with a network, run `hf download {id}{option}` (or this program), and copy the folder \
         ~/.cache/huggingface/hub/models--{} from there, with its links as links (`rsync -a`, `tar`), to {folder} on this one. Or \
         fetch config.json and model.safetensors (where there is none, pytorch_model.bin; of a model in shards, \
         model.safetensors.index.json and each file that it names) from {endpoint}/{id}/tree/{revision} into one folder, and give \
         that folder instead of the name",
        id.replace('/', "--")
    )
}
