//! Models as users call them: a path, or a name in the folder of their models.

use std::path::Path;

use store::Store;

use super::{Model, ModelError};

impl Model<'static> {
    /// The model in the file `path`; if there is none, the user's model that is called so.
    ///
    /// # Errors
    /// [`ModelError`]; [`ModelError::Nowhere`] if it is neither.
    pub fn find(path: &Path) -> Result<Self, ModelError> {
        let name = path.to_str().filter(|_| path.symlink_metadata().is_err());
        let Some((name, store)) = name.zip(Store::of_user().ok()) else { return Self::open(path) };
        if let Some(file) = store.find(name) {
            return Self::open(&file);
        }
        let folder = store.folder().display();
        let there: Vec<String> = store.list()?.into_iter().map(|model| model.name).collect();
        let store = match there.as_slice() {
            [] => format!("{folder}, which holds none"),
            names => format!("{folder}, where there are {}", names.join(", ")),
        };
        Self::open(path).map_err(|unreadable| ModelError::Nowhere { unreadable: Box::new(unreadable), store })
    }
}
