//! What readers see of one catalogue. Invariant: a view is narrowed once for each reader, and kept as long as the catalogue it
//! was narrowed from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::view::View;
use crate::access::Reader;

/// Readers that are kept; more begin anew.
const MOST: usize = 4096;

/// Views by name as one reader sees them; none where nothing of it may be read.
type Seen = HashMap<String, Option<Arc<View>>>;

/// By the reader's address, which is its own as long as it is kept.
#[derive(Debug, Default)]
pub(crate) struct Sights(Mutex<HashMap<usize, (Arc<Reader>, Seen)>>);

impl Sights {
    /// The view `name` as `reader` sees it: as `narrow` has it, where it was not asked before.
    pub(crate) fn of(
        &self,
        reader: &Arc<Reader>,
        name: &str,
        narrow: impl FnOnce() -> Option<View>,
    ) -> Option<Arc<View>> {
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let address = Arc::as_ptr(reader).addr();
        if readers.len() >= MOST && !readers.contains_key(&address) {
            readers.clear();
        }
        let (_, seen) = readers.entry(address).or_insert_with(|| (reader.clone(), Seen::new()));
        if let Some(view) = seen.get(name) {
            return view.clone();
        }
        let view = narrow().map(Arc::new);
        seen.insert(name.to_owned(), view.clone());
        view
    }
}
