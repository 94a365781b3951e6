//! Who is let in, as `/admin/v1` lets in; where it wants a token, a browser's user gives it once. Invariant: what a page of
//! elsewhere sends decides nothing, and where no token is wanted it reads nothing either, whatever its name points to.

use std::time::SystemTime;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::Console;
use super::form::Form;
use super::frame::{Frame, html};
use super::session;
use super::sorry::Sorry;
use crate::admin::{Access, By, gate};
use crate::problem::{Kind, Problem};
use crate::query::Parameters;

const SIGN_IN: &str = "/console/sign-in";

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignIn {
    frame: Frame,
    /// Where to go on.
    next: String,
    is_wrong: bool,
}

pub(super) async fn admit(
    State(console): State<Console>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let by = match &console.operators.access {
        Access::Off => return Sorry(gate::off()).into_response(),
        access if is_from_elsewhere(access, request.method(), headers) => {
            return foreign().into_response();
        }
        Access::Local => By::LOCAL,
        Access::Token(token)
            if gate::bears(headers, token) || session::is_on(headers, token, SystemTime::now()) =>
        {
            By::TOKEN
        }
        Access::Token(_) => return stranger(&request),
    };
    request.extensions_mut().insert(by);
    next.run(request).await
}

/// A link that somebody follows may lead here from anywhere: its page sees nothing of the answer, and a GET changes nothing.
fn is_from_elsewhere(access: &Access, method: &Method, headers: &HeaderMap) -> bool {
    let is_link = matches!(*method, Method::GET | Method::HEAD)
        && headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
    let is_local = !matches!(access, Access::Local) || gate::is_local(headers);
    !is_local || gate::is_foreign(headers) && !is_link
}

fn foreign() -> Sorry {
    let detail = "A page from elsewhere asks through this browser. Open this address itself: with the name of this machine \
                  as it is configured or 127.0.0.1, and by HTTPS where it is another machine.";
    Sorry(Problem::new(Kind::Foreign, detail))
}

/// To where somebody signs in, and from there back; a page that renews itself goes there as a whole.
fn stranger(request: &Request) -> Response {
    let is_page = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let next = if is_page { crate::query::path::encode(path) } else { "%2F".to_owned() };
    let to = format!("{SIGN_IN}?next={next}");
    match (request.headers().contains_key("hx-request"), HeaderValue::from_str(&to)) {
        (true, Ok(to)) => {
            (StatusCode::UNAUTHORIZED, [(HeaderName::from_static("hx-redirect"), to)])
                .into_response()
        }
        _ => Redirect::to(&to).into_response(),
    }
}

pub(super) async fn ask(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Sorry> {
    let parameters = Parameters::parse(request.uri().query())?;
    parameters.only("the address to sign in at", &["next"])?;
    let next = onward(parameters.get("next"));
    Ok(match &console.operators.access {
        Access::Off => Sorry(gate::off()).into_response(),
        Access::Local => Redirect::to(&next).into_response(),
        Access::Token(_) => {
            html(StatusCode::OK, &SignIn { frame: Frame::bare(), next, is_wrong: false })
        }
    })
}

pub(super) async fn sign_in(
    State(console): State<Console>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Sorry> {
    let next = onward(form.get("next"));
    let access = &console.operators.access;
    if is_from_elsewhere(access, &Method::POST, &headers) {
        return Err(foreign());
    }
    let Access::Token(token) = access else { return Ok(Redirect::to(&next).into_response()) };
    if !gate::is_token(form.get("token").unwrap_or_default().as_bytes(), token) {
        tracing::warn!("somebody tried to sign in to the console with a wrong token");
        let page = SignIn { frame: Frame::bare(), next, is_wrong: true };
        return Ok(html(StatusCode::UNAUTHORIZED, &page));
    }
    let cookie = session::begin(token, SystemTime::now(), console.operators.is_encrypted);
    Ok(with_cookie(cookie, &next))
}

pub(super) async fn sign_out(State(console): State<Console>, headers: HeaderMap) -> Response {
    if is_from_elsewhere(&console.operators.access, &Method::POST, &headers) {
        return foreign().into_response();
    }
    with_cookie(session::end(console.operators.is_encrypted), SIGN_IN)
}

fn with_cookie(cookie: Option<HeaderValue>, next: &str) -> Response {
    let cookie = cookie.map(|cookie| [(header::SET_COOKIE, cookie)]);
    (cookie, Redirect::to(next)).into_response()
}

/// Only to one of our own pages.
fn onward(next: Option<&str>) -> String {
    let is_own = |next: &&str| {
        next.starts_with("/console/") && next.bytes().all(|byte| byte.is_ascii_graphic())
    };
    next.filter(is_own).unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_signs_in_stays_here() {
        assert_eq!(onward(Some("/console/parked/7?a=b")), "/console/parked/7?a=b");
        for away in [
            None,
            Some(""),
            Some("//evil.example"),
            Some("https://evil.example/console/"),
            Some("/console/\r\nx: y"),
            Some("/consolé/"),
        ] {
            assert_eq!(onward(away), "/", "{away:?}");
        }
    }
}
