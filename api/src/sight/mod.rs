//! What a caller sees of the views that there are. Invariant: every route has its views from here, so whatever names a column
//! names one that the caller may read.

mod narrowing;

use std::sync::Arc;

use crate::access::Caller;
use crate::catalogue::{Catalogue, View};
use crate::problem::{Kind, Problem};

/// The view of this name as `caller` sees it. One of which nothing may be read is as one that is not there.
pub(crate) fn view(
    catalogue: &Catalogue,
    caller: &Caller,
    name: &str,
) -> Result<Arc<View>, Problem> {
    let Caller::Reader(reader) = caller else { return catalogue.view(name) };
    let view = catalogue.views.get(name);
    match view.and_then(|view| narrowing::narrowed(view, reader, &catalogue.secret)) {
        Some(seen) => Ok(Arc::new(seen)),
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
    let narrowed = |view: &Arc<View>| match caller {
        Caller::Anyone => Some(view.clone()),
        Caller::Reader(reader) => {
            narrowing::narrowed(view, reader, &catalogue.secret).map(Arc::new)
        }
    };
    let views = catalogue.views.iter();
    Catalogue {
        views: views.filter_map(|(name, view)| Some((name.clone(), narrowed(view)?))).collect(),
        ..catalogue.clone()
    }
}
