//! Where an instance is asked; bound before anything else begins, so that an address in use ends the start.

use tokio::net::TcpListener;

use crate::config::Config;
use crate::failure::Failure;

/// Where an instance is asked; bound before anything else begins, so that an address in use ends the start.
pub(crate) enum Listeners {
    /// Views and admin routes at one address.
    Joint(TcpListener),
    Apart {
        /// None where only the consumers run.
        queries: Option<TcpListener>,
        admin: TcpListener,
    },
}

impl Listeners {
    pub(super) async fn bind(config: &Config, queries: bool) -> Result<Self, Failure> {
        let bind = async |address, setting| {
            TcpListener::bind(address).await.map_err(|error| {
                Failure::Usage(format!(
                    "{address} ({setting}) cannot be listened on: {error}; end what listens there, or set another address"
                ))
            })
        };
        let (listen, admin) = (config.listen, config.admin_listen);
        if queries && listen == admin {
            return Ok(Self::Joint(bind(listen, "http.listen").await?));
        }
        let queries = if queries { Some(bind(listen, "http.listen").await?) } else { None };
        Ok(Self::Apart { queries, admin: bind(admin, "http.admin_listen").await? })
    }
}
