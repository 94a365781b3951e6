//! Why Postgres refused a query. Invariant: a caller learns which parameter, what was found and what would do, and of
//! Postgres nothing but its own words about the value.

use crate::catalogue::Failure;
use crate::database::{Database, DatabaseError};
use crate::problem::{Kind, Problem};
use crate::query::{Filter, Page, mismatch, too_expensive};

/// The answer to a list query that failed.
pub(crate) async fn of_page(database: &Database, page: &Page<'_>, error: DatabaseError) -> Failure {
    match error {
        DatabaseError::TimedOut => too_expensive(page).into(),
        DatabaseError::Value(_) => {
            match of_filters(database, &page.filters()).await {
                Ok(Some(problem)) => problem.into(),
                // The filters are fine, so it is the cursor's values: somebody wrote it by hand.
                Ok(None) if page.has_cursor() => mismatch().into(),
                Ok(None) => page_refused(page, error),
                Err(failure) => failure,
            }
        }
        other => other.into(),
    }
}

/// The answer to a row's address that failed.
pub(crate) async fn of_key(
    database: &Database,
    key: &[Filter<'_>],
    error: DatabaseError,
) -> Failure {
    match error {
        DatabaseError::Value(_) => {
            match of_filters(database, &key.iter().collect::<Vec<_>>()).await {
                Ok(Some(problem)) => problem.into(),
                Ok(None) => error.into(),
                Err(failure) => failure,
            }
        }
        other => other.into(),
    }
}

/// The first filter that Postgres refuses by itself, if any does.
async fn of_filters(
    database: &Database,
    filters: &[&Filter<'_>],
) -> Result<Option<Problem>, Failure> {
    for filter in filters {
        match database.first(filter.probe()).await {
            Ok(_) => {}
            Err(DatabaseError::Value(message)) => {
                let (operand, display) = (&filter.operand, filter.operand.display());
                let detail = format!(
                    "`{operand}` is of type {display}, and Postgres says of what is given: {message}"
                );
                return Ok(Some(Problem::of(Kind::BadValue, &filter.parameter, detail, [display])));
            }
            Err(other) => return Err(other.into()),
        }
    }
    Ok(None)
}

/// A type without an order, in a view that is ordered by it; or a view that cannot compute its rows.
fn page_refused(page: &Page<'_>, error: DatabaseError) -> Failure {
    match (page.order.is_empty(), &error) {
        (false, DatabaseError::Value(message)) if page.view.is_view => {
            let mut detail = format!("`{}` cannot be read in this order", page.view.name);
            // It may hold a value that this reader may not see.
            if page.view.scope.is_empty() {
                detail += &format!("; Postgres says: {message}");
            }
            Problem::of(Kind::BadValue, "order", detail, None::<String>).into()
        }
        _ => error.into(),
    }
}
