//! What goes wrong with Postgres, in words for who set it up: which server, by which setting, and the way out. A password
//! is never among them.

use sqlx::postgres::PgConnectOptions;
use vitrina_projectors::{Sqlstate, quote};

/// A sentence about `error`, met at the server of `url`.
pub(crate) fn describe(error: &sqlx::Error, url: &str) -> String {
    let place = place(url);
    let Some(refusal) = error.as_database_error() else {
        return match is_tls(error) {
            true => format!(
                "{place} gives no TLS connection: {error}; check sslmode, sslrootcert, sslcert and sslkey there"
            ),
            false => format!("{place} does not answer: {error}"),
        };
    };
    let message = refusal.message();
    match Sqlstate::of_code(&refusal.code().unwrap_or_default()) {
        Sqlstate::NoDatabase => {
            let options = url.parse::<PgConnectOptions>().unwrap_or_default();
            // Where the URL names no database, Postgres takes the user's name.
            let database = quote(options.get_database().unwrap_or(options.get_username()));
            format!(
                "{place} says: {message}; create it there with CREATE DATABASE {database}, or name another one"
            )
        }
        Sqlstate::NotLetIn => {
            format!(
                "{place} does not let Vitrina in: {message}; check user and password there, and sslcert where a certificate is asked for"
            )
        }
        Sqlstate::NotAllowed => format!(
            "{place} says: {message}; grant that to the user in postgres.url, or name another user"
        ),
        _ => format!("{place} says: {message}"),
    }
}

/// Whether no TLS connection came about. What the server has against a client's certificate, it says when all else is done.
pub(crate) fn is_tls(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => error.to_string().contains("SSL routines"),
        _ => false,
    }
}

/// The server and the setting that names it.
pub(crate) fn place(url: &str) -> String {
    let Ok(options) = url.parse::<PgConnectOptions>() else {
        return "Postgres (postgres.url)".to_owned();
    };
    let host = match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let database = options.get_database().map(|name| format!("/{name}")).unwrap_or_default();
    format!("Postgres at {host}:{}{database} (postgres.url)", options.get_port())
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn passwords_are_not_told() {
        let told = [
            place("postgres://ann:secret@db.example:6432/shop?sslmode=disable"),
            place("postgres://db.example:6432/shop?user=ann&password=secret"),
            place("postgres://ann:secret@db.example:port/shop"),
        ];
        assert_eq!(told[0], "Postgres at db.example:6432/shop (postgres.url)");
        assert!(told.iter().all(|text| !text.contains("secret")), "{told:?}");
    }
}
