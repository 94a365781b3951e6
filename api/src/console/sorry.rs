//! A problem, as a page tells it: with the status that `/admin/v1` would answer, and the way out.

use askama::Template;
use axum::response::{IntoResponse, Response};
use vitrina_projectors::Refusal;

use super::frame::{Frame, html};
use crate::problem::Problem;

/// A page that is not the one that was asked for.
#[derive(Debug)]
pub(super) struct Sorry(pub(super) Problem);

#[derive(Template)]
#[template(path = "console/sorry.html")]
struct Page<'a> {
    frame: Frame,
    title: &'a str,
    detail: &'a str,
}

impl From<Problem> for Sorry {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<Refusal> for Sorry {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.into())
    }
}

impl IntoResponse for Sorry {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let (title, detail) = (problem.kind().title(), problem.detail());
        html(problem.kind().status(), &Page { frame: Frame::bare(), title, detail })
    }
}
