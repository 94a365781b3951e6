//! What a caller sees of the views that there are. Invariant: every route has its views from here, so whatever names a column
//! names one that the caller may read.

mod narrowing;

use std::sync::Arc;

use crate::access::{Caller, Reader};
use crate::catalogue::{Catalogue, View};
use crate::problem::{Kind, Problem};

/// The view of this name as `caller` sees it. One of which nothing may be read is as one that is not there.
pub(crate) fn view(
    catalogue: &Catalogue,
    caller: &Caller,
    name: &str,
) -> Result<Arc<View>, Problem> {
    let Caller::Reader(reader) = caller else { return catalogue.view(name) };
    match seen(catalogue, reader, name) {
        Some(seen) => Ok(seen),
        None if reader.is_anonymous() => {
            let detail =
                format!("`{name}` cannot be read without a token: send one that may read it.");
            Err(Problem::new(Kind::Unauthorized, detail))
        }
        None => all(catalogue, caller).view(name),
    }
}

/// All that `caller` sees.
pub(crate) fn all(catalogue: &Catalogue, caller: &Caller) -> Catalogue {
    let Caller::Reader(reader) = caller else { return catalogue.clone() };
    let names = catalogue.views.keys();
    let views = names.filter_map(|name| Some((name.clone(), seen(catalogue, reader, name)?)));
    Catalogue { views: views.collect(), ..catalogue.clone() }
}

fn seen(catalogue: &Catalogue, reader: &Arc<Reader>, name: &str) -> Option<Arc<View>> {
    let view = catalogue.views.get(name)?;
    let narrow = || narrowing::narrowed(view, reader, &catalogue.secret);
    catalogue.sights.of(reader, name, narrow)
}
