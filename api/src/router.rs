//! The routes. Invariant: every answer leaves through the same layers, so each one is measured, bounded, and a problem where
//! it is not a success.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tower::ServiceBuilder;

use crate::admin::{self, Operators};
use crate::api::Api;
use crate::console;
use crate::edge::{coding, guard, measure, origin, passage};
use crate::health;
use crate::views::{docs, index, list, row, schema};

impl Api {
    /// What frontends see: `/v1/…`, `/openapi.json`, `/docs`, `/livez`, `/readyz`, `/healthz`.
    pub fn router(&self) -> Router {
        self.open(
            self.furnish(self.queries().merge(health::routes()).fallback(guard::unknown_route)),
        )
    }

    /// What operators see: `/`, `/console/…`, `/admin/v1/…`, `/metrics`, `/livez`, `/readyz`, `/healthz`.
    pub fn admin_router(&self, metrics: PrometheusHandle, operators: Operators) -> Router {
        let routes = health::routes().merge(self.operating(metrics, operators));
        self.furnish(routes.fallback(guard::unknown_admin_route))
    }

    /// Both on one listener.
    pub fn joint_router(&self, metrics: PrometheusHandle, operators: Operators) -> Router {
        let routes = self.queries().merge(health::routes());
        let routes = routes.merge(self.operating(metrics, operators));
        self.open(self.furnish(routes.fallback(guard::unknown_route)))
    }

    fn operating(&self, metrics: PrometheusHandle, operators: Operators) -> Router<Self> {
        let console = console::routes(self.clone(), operators.clone());
        measure::routes(metrics).merge(admin::routes(operators)).merge(console)
    }

    /// What is answered to a caller, before anybody has said who that is.
    pub(crate) fn routes() -> Router<Self> {
        Router::new()
            .route("/v1/views", get(index::index))
            .route("/v1/views/{view}", get(list::list))
            .route("/v1/views/{view}/", get(row::row))
            .route("/v1/views/{view}/{*key}", get(row::row))
            .route("/v1/schemas/{view}", get(schema::schema))
            .route("/openapi.json", get(schema::openapi))
            .route("/docs", get(docs::page))
            .route("/docs/style.css", get(docs::style))
            .route("/problems/{slug}", get(docs::problem))
    }

    fn queries(&self) -> Router<Self> {
        Self::routes().layer(from_fn_with_state(self.readers(), passage::read))
    }

    fn furnish(&self, routes: Router<Self>) -> Router {
        let way = ServiceBuilder::new()
            .layer(from_fn(passage::pass))
            .map_response(coding::keep_status)
            .layer(coding::layer())
            .map_response(coding::note_status);
        let routes = routes.layer(way).with_state(self.clone());
        // Only from outside of the routes can be seen which methods they have.
        Router::new().fallback_service(routes).layer(from_fn(guard::methods))
    }

    /// Outermost, so that pages of other origins can read whatever is answered.
    fn open(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.cors(), origin::open))
    }
}
