//! Questions from inside the process, which carry no credential: whoever asks says whose rights hold. Invariant: they are
//! answered by the routes that the listener has, so whatever a reader may not see over HTTP does not come this way either.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::{Extension, Router};
use tower::ServiceExt as _;

use crate::access::{Caller, Reader};
use crate::api::Api;

impl Api {
    /// What `GET` of an address, a path with its query, is answered, with the rights of `reader`; without one, everything may
    /// be read.
    ///
    /// # Errors
    /// The address is none, or the answer breaks off.
    pub async fn ask(
        &self,
        reader: Option<Reader>,
        address: &str,
    ) -> Result<(StatusCode, String), axum::Error> {
        let caller = reader.map_or(Caller::Anyone, |reader| Caller::Reader(reader.into()));
        let routes: Router = Self::routes().layer(Extension(caller)).with_state(self.clone());
        let mut request = Request::get(address).body(Body::empty()).map_err(axum::Error::new)?;
        request
            .headers_mut()
            .insert(header::ACCEPT, HeaderValue::from_static("application/json, */*"));
        let Ok(answer) = routes.oneshot(request).await;
        let status = answer.status();
        let body = to_bytes(answer.into_body(), usize::MAX).await?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}
