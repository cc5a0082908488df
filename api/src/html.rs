//! The few pages that the API shows to people: plain HTML, without scripts, with one style sheet that the policy names by its hash.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmrelay_domain::signature;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::sync::LazyLock;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1rem/1.5 system-ui,sans-serif;margin:0;padding:1rem;background:Canvas;color:CanvasText}\
main{max-width:34rem;margin:8vh auto 0}\
h1{font-size:1.5rem;line-height:1.25}\
fieldset{border:0;margin:1.5rem 0;padding:0}\
legend{padding:0;margin-bottom:.5rem}\
label{display:flex;gap:.75rem;align-items:baseline;border:1px solid #8886;border-radius:.5rem;padding:.75rem 1rem;margin-bottom:.5rem}\
label:has(:checked){outline:2px solid #36f}\
label small,dt small,.quiet{color:GrayText}\
dt{margin-top:1rem}\
dt:target{outline:2px solid #36f;outline-offset:.25rem}\
dd{margin:0}\
main:has(pre){max-width:60rem;margin-top:4vh}\
h2{font-size:1.1rem;margin:2rem 0 .25rem}\
p{margin:.25rem 0}\
pre{overflow-x:auto;background:#8882;border-radius:.5rem;padding:.75rem 1rem}\
.problem{border-left:.25rem solid #c33;padding-left:.75rem}\
button{font:inherit;padding:.6rem 1.5rem;border:0;border-radius:.5rem;background:#36f;color:#fff;cursor:pointer}\
button:focus-visible,input:focus-visible{outline:2px solid CanvasText;outline-offset:2px}";

static STYLE_HASH: LazyLock<String> = LazyLock::new(|| STANDARD.encode(signature::sha256(STYLE.as_bytes())));

/// A page. Its forms may lead to these places besides here: browsers hold also where a form's answer sends them against the policy.
pub(crate) fn page(status: StatusCode, title: &str, body: &Markup, forms_to: &[String]) -> Response {
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="robots" content="noindex";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { h1 { (title) } (body) } }
        }
    };
    let mut response = (status, Html(whole.into_string())).into_response();
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; form-action 'self' {}; base-uri 'none'; frame-ancestors 'none'",
        *STYLE_HASH,
        forms_to.join(" ")
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex"));
    response
}
